"""`make import-sqlite` after `copier update --data database=…`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values

from entrypoint.database import DRIVERS
from tests.stack.release_upgrades.conftest import Repository
from tests.support.containers import NEWEST, logs
from tests.support.contents import contents, fill
from tests.support.servers import TARGETS, address
from tests.support.stack import TagImages
from tests.support.waiting import wait_until

# The table that is copied last.
LAST = "resource_provider_traits"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Use PostgreSQL, and with --all MariaDB, too. test_import_sqlite.py always tests both."""
    if "database" in metafunc.fixturenames:
        both = metafunc.config.getoption("all")
        metafunc.parametrize("database", ["postgresql", "mysql"] if both else ["postgresql"])


def test_import_after_an_interrupted_one_copies_everything(
    repository: Callable[[str, str], Repository], tag_images: TagImages, database: str
) -> None:
    """Placement already serves from the server. The import has several hundred rows."""
    repo = repository(NEWEST, "sqlite")
    repo.make("up")
    with repo.client("admin") as client:
        fill(client, hosts=20)
        before = contents(client)
        repo.change_answers(database=database)
        tag_images({"database": database})
        repo.make("up")
        empty = contents(client)
        assert empty["providers"] == []

        with last_table_locked(repo, database), ThreadPoolExecutor() as pool:
            interrupted_import = pool.submit(repo.refuse, "import-sqlite")
            name = importing_container(repo)
            wait_for_last_table(repo, name)
            subprocess.run([repo.engine, "kill", name], check=True, capture_output=True)
            interrupted_import.result()
        assert contents(client) == empty

        output = repo.make("import-sqlite")
        assert "\nresource_providers: 60 rows\n" in output
        assert contents(client) == before

        assert "already contains data" in repo.refuse("import-sqlite")
        assert contents(client) == before


@pytest.mark.only_all
def test_sqlite_keeps_serving_when_the_import_is_refused(
    repository: Callable[[str, str], Repository], tag_images: TagImages, database: str
) -> None:
    """The server may be new."""
    repo = repository("2026.1", "sqlite")
    repo.make("up")
    with repo.client("admin") as client:
        fill(client)
        before = contents(client)
        repo.change_answers(database=database)
        newer = replace(repo, image=tag_images({"database": database}))
        assert "is not of release 2026.2" in newer.refuse("import-sqlite")
        assert contents(client) == before
        assert repo.serving_image == repo.image
        tag_images({"release": "2026.1", "database": database})
        repo.make("import-sqlite")
        assert contents(client) == before


@contextmanager
def last_table_locked(repo: Repository, database: str) -> Iterator[None]:
    """Lock the table that is copied last against writes."""
    server = TARGETS[database]
    form = ["--format", "{{.Names}}", "--filter", f"name={repo.project}.{server}"]
    name = subprocess.check_output([repo.engine, "ps", *form], text=True).strip()
    password = dotenv_values(repo.repository / ".env")["DATABASE_PASSWORD"]
    host = address(repo.engine, name)
    url = sa.URL.create(DRIVERS[database][0], "placement", password, host, None, "placement")
    lock = {
        "postgresql": f"LOCK TABLE {LAST} IN SHARE MODE",
        "mysql": f"LOCK TABLES {LAST} READ",
    }
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        connection.execute(sa.text(lock[database]))
        yield


def importing_container(repo: Repository) -> str:
    """Wait for the container that imports, and return its name."""
    form = ["--no-trunc", "--format", "{{.Names}} {{.Command}}"]
    found: list[str] = []

    def is_running() -> bool:
        running = subprocess.check_output([repo.engine, "ps", *form], text=True).splitlines()
        found.extend(
            line.split()[0]
            for line in running
            if line.startswith(repo.project) and "import-sqlite" in line
        )
        return bool(found)

    wait_until(is_running)
    return found[0]


def wait_for_last_table(repo: Repository, name: str) -> None:
    """Wait until every table except the last is written."""
    wait_until(lambda: "\nconsumers: " in logs(repo.engine, name))
