"""Fixtures and options of all tiers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

pytest_plugins = [
    "tests.support.sharing",
    "tests.support.batch",
    "tests.support.containers",
    "tests.support.gabbi",
    "tests.support.networks",
    "tests.support.nova",
    "tests.support.servers",
    "tests.support.galera",
    "tests.support.mysql",
    "tests.support.proxies",
    "tests.support.registries",
    "tests.support.topologies",
    "tests.support.stack",
    "tests.support.repositories",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that `make test-all` sets."""
    parser.addoption("--all", action="store_true", help="also run the full cross products")


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker of tests that only `make test-all` runs, and react to interruptions."""
    config.addinivalue_line("markers", "only_all: run only with --all")
    # A script's background job ignores Ctrl-C, and so would the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that only `make test-all` runs."""
    if not config.getoption("--all"):
        items[:] = [item for item in items if not item.get_closest_marker("only_all")]


@pytest.fixture(scope="session", autouse=True)
def _user_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the developer's Copier defaults and the variables of the `make test` that runs this.

    dev/maintain runs the maintenance tool of the work tree, because installing it from git takes
    long. test_maintain.py installs it from git.
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
    """Return the parts of the template that pytest-copier copies."""
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
