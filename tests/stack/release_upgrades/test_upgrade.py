"""`make upgrade` after `copier update`: single steps and SLURP steps, with data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.stack.release_upgrades.conftest import Image, Repository
from tests.support.containers import NEWEST
from tests.support.contents import contents, fill
from tests.support.stack import TagImages

EACH = ("2025.1", "2025.2", "2026.1", "2026.2")
SLURP = ("2025.1", "2026.1")
LAST = ("2026.1", "2026.2")
# Each step once, on both servers.
ALWAYS = [("postgresql", EACH), ("mysql", SLURP)]
ALL = [(database, path) for database in ("postgresql", "mysql") for path in (EACH, SLURP)]
ALL += [("sqlite", LAST)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Upgrade along these paths, with --all along every path on every database."""
    if "path" in metafunc.fixturenames:
        paths = ALL if metafunc.config.getoption("all") else ALWAYS
        ids = [f"{database}-{'-'.join(path)}" for database, path in paths]
        metafunc.parametrize(("database", "path"), paths, ids=ids)


def test_data_is_the_same_after_each_step(
    repository: Callable[[str, str], Repository],
    tag_images: TagImages,
    database: str,
    path: tuple[str, ...],
) -> None:
    repo = repository(path[0], database)
    repo.make("up")
    with repo.client("admin") as client:
        fill(client)
        before = contents(client)
        secrets = (repo.repository / ".env").read_bytes() if database != "sqlite" else b""
        for release in path[1:]:
            repo.change_answers(release=release)
            repo = replace(repo, image=tag_images({"release": release, "database": database}))
            output = repo.make_without_build("upgrade")
            assert contents(client) == before
            assert f"The database and Placement are at release {release}" in output
            steps = ["upgrade-check", "db-sync", "up --detach\n", "online-data-migrations"]
            places = [output.rindex(step) for step in steps]
            assert places == sorted(places)
            assert repo.serving_image == repo.image
        if database != "sqlite":
            assert (repo.repository / ".env").read_bytes() == secrets


def test_unsupported_step_is_refused_and_the_old_release_keeps_serving(
    repository: Callable[[str, str], Repository], image: Image
) -> None:
    """The database has a record of its release."""
    repo = repository("2025.2", "postgresql")
    repo.make("up")
    with repo.client("admin") as client:
        fill(client)
        before = contents(client)
        for release, message in {
            "2026.2": "from 2025.2 to 2026.2 in one step: upgrade to 2026.1 first",
            "2025.1": "cannot go back to 2025.1: use the image of 2025.2",
        }.items():
            output = replace(repo, image=image(release)).refuse("upgrade")
            assert output.count(message) == 1, output
            assert "db-sync" not in output
            assert contents(client) == before
            assert repo.serving_image == repo.image


@pytest.mark.only_all
def test_upgrade_builds_and_starts_a_new_repository(
    repository: Callable[[str, str], Repository],
) -> None:
    """The command can be repeated."""
    repo = repository(NEWEST, "sqlite")
    for output in (repo.make("upgrade"), repo.make_without_build("upgrade")):
        assert f"The database and Placement are at release {NEWEST}" in output
    with repo.client("admin") as client:
        assert client.get("/resource_providers").status_code == 200
