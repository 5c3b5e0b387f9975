"""`make upgrade` after `copier update`: each step and the SLURP jumps, with data in it."""

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
# Each step once, and both servers.
SHORT = [("postgresql", EACH), ("mysql", SLURP)]
ALL = [(database, way) for database in ("postgresql", "mysql") for way in (EACH, SLURP)]
ALL += [("sqlite", LAST)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take all ways on all databases where `--all` is given."""
    if "way" in metafunc.fixturenames:
        ways = ALL if metafunc.config.getoption("all") else SHORT
        ids = [f"{database}-{'-'.join(way)}" for database, way in ways]
        metafunc.parametrize(("database", "way"), ways, ids=ids)


def test_the_data_is_the_same_after_each_step(
    repository: Callable[[str, str], Repository],
    tag_images: TagImages,
    database: str,
    way: tuple[str, ...],
) -> None:
    repo = repository(way[0], database)
    repo.make("up")
    with repo.client("admin") as client:
        fill(client)
        before = contents(client)
        secrets = (repo.repository / ".env").read_bytes() if database != "sqlite" else b""
        for release in way[1:]:
            repo.answer(f"release={release}")
            repo = replace(repo, image=tag_images({"release": release, "database": database}))
            said = repo.make_built("upgrade")
            assert contents(client) == before
            assert f"The database and Placement are at release {release}" in said
            steps = ["upgrade-check", "db-sync", "up --detach\n", "online-data-migrations"]
            places = [said.rindex(step) for step in steps]
            assert places == sorted(places)
            assert repo.serving_image == repo.image
        if database != "sqlite":
            assert (repo.repository / ".env").read_bytes() == secrets


def test_what_is_no_step_is_refused_and_the_old_release_serves_on(
    repository: Callable[[str, str], Repository], image: Image
) -> None:
    """The database knows its release, whatever image is run on it."""
    repo = repository("2025.2", "postgresql")
    repo.make("up")
    with repo.client("admin") as client:
        fill(client)
        before = contents(client)
        for release, message in {
            "2026.2": "no single step from there to 2026.2: upgrade to 2026.1 first",
            "2025.1": "none goes back to 2025.1: use the image of 2025.2",
        }.items():
            said = replace(repo, image=image(release)).refuse("upgrade")
            assert said.count(message) == 1, said
            assert "db-sync" not in said
            assert contents(client) == before
            assert repo.serving_image == repo.image


@pytest.mark.only_all
def test_it_builds_and_starts_what_is_not_there(
    repository: Callable[[str, str], Repository],
) -> None:
    """All of it by the one command, which may be repeated."""
    repo = repository(NEWEST, "sqlite")
    for said in (repo.make("upgrade"), repo.make_built("upgrade")):
        assert f"The database and Placement are at release {NEWEST}" in said
    with repo.client("admin") as client:
        assert client.get("/resource_providers").status_code == 200
