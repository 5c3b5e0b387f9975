"""What all tiers share: a committed copy of the template, and rendered repositories."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

pytest_plugins = [
    "tests.support.sharing",
    "tests.support.batch",
    "tests.support.containers",
    "tests.support.gabbi",
    "tests.support.networks",
    "tests.support.servers",
    "tests.support.stack",
    "tests.support.repositories",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make test-all` sets."""
    parser.addoption("--all", action="store_true", help="run the full cross products, too")


def pytest_configure(config: pytest.Config) -> None:
    """Name what only `make test-all` runs: what takes long and rarely breaks by itself."""
    config.addinivalue_line("markers", "only_all: run with --all alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make test-all` runs."""
    if not config.getoption("--all"):
        items[:] = [item for item in items if not item.get_closest_marker("only_all")]


@pytest.fixture(scope="session", autouse=True)
def _as_at_a_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep out the developer's own Copier defaults, and the `make test` that runs this.

    dev/maintain runs the maintenance tool of the work tree, which is faster than to install it from
    git; test_maintain.py does that.
    """
    with pytest.MonkeyPatch.context() as patch:
        settings = tmp_path_factory.mktemp("settings") / "settings.yml"
        settings.write_text("{}\n", encoding="utf-8")
        patch.setenv("COPIER_SETTINGS_PATH", str(settings))
        patch.setenv("COPIER_PLACEMENT", f"{sys.executable} -m copier_placement")
        for variable in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def copier_template_paths() -> list[str]:
    """Tell pytest-copier what belongs to the template."""
    return [
        "CHANGELOG.md",
        "copier.yml",
        "extensions",
        "includes",
        "pyproject.toml",
        "releases",
        "src",
        "template",
    ]
