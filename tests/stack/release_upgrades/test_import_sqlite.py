"""The command import-sqlite copies all rows or none, to both kinds of server."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from placement.db.sqlalchemy import migration, models

from tests.support.containers import (
    CONNECTION,
    Run,
    flags,
    logs,
    new_name,
    readable,
    remove,
    serving,
)
from tests.support.servers import DatabaseServer
from tests.support.waiting import wait_until

SQLITE = "/var/lib/placement/cats.db"
NOWHERE = {CONNECTION: "postgresql+psycopg2://placement:secret@nowhere.invalid/placement"}
TABLES = models.BASE.metadata.sorted_tables
REVISIONS = ScriptDirectory.from_config(migration._alembic_config())
# More rows than one INSERT statement of import-sqlite has.
PROVIDERS = 1100
THEN = datetime(2026, 11, 21, 23, 59, 59, 900000)

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write an SQLite file with data that is hard to copy, in a folder for one test."""
    path = tmp_path / "data" / "cats.db"
    path.parent.mkdir()
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        models.BASE.metadata.create_all(connection)
        MigrationContext.configure(connection).stamp(REVISIONS, "head")
        for name, hard in hard_rows().items():
            connection.execute(models.BASE.metadata.tables[name].insert(), hard)
    readable(path.parent)
    return path


def hard_rows() -> dict[str, list[dict[str, Any]]]:
    """Return rows for all tables: NULLs, gaps, an id of zero, parents after children, fractions."""
    times = {"created_at": THEN, "updated_at": None}
    providers = [
        {
            "id": number,
            "uuid": str(UUID(int=number)),
            "name": f"Zürich-東京-{number}" if number % 10 else None,
            "generation": number % 3 or None,
            # The root of the tree is the last row.
            "root_provider_id": PROVIDERS if number > 1 else None,
            "parent_provider_id": number + 1 if 1 < number < PROVIDERS else None,
            **times,
        }
        for number in range(1, PROVIDERS + 1)
    ]
    ratios = [1.0, 1.1, 1 / 3, 1.23456789, 123456.789, 3.4e38]
    inventories = [
        {
            "id": number * 7,
            "resource_provider_id": number,
            "resource_class_id": 0,
            **dict.fromkeys(("reserved", "min_unit", "max_unit", "step_size"), 1),
            "total": 2**31 - 1,
            "allocation_ratio": ratio,
            "created_at": THEN + timedelta(microseconds=number),
            "updated_at": THEN,
        }
        for number, ratio in enumerate(ratios, 1)
    ]
    usage = {"resource_provider_id": 1, "resource_class_id": 10007, "used": 1}
    consumer = {"user_id": 1, "project_id": 9, "generation": 0, **times}
    return {
        "resource_classes": [
            {"id": 0, "name": "VCPU", **times},
            {"id": 10007, "name": "CUSTOM_A", **times},
        ],
        "traits": [
            {"id": 3, "name": "HW_NUMA_ROOT", **times},
            {"id": 900, "name": "CUSTOM_B", **times},
        ],
        "resource_providers": providers,
        "inventories": inventories,
        "allocations": [{"id": 5, "consumer_id": "c" * 36, **usage, **times}],
        "placement_aggregates": [
            {"id": 40, "uuid": "a" * 36, **times},
            {"id": 41, "uuid": None, **times},
        ],
        "resource_provider_aggregates": [{"resource_provider_id": 2, "aggregate_id": 40, **times}],
        "resource_provider_traits": [{"resource_provider_id": 2, "trait_id": 900, **times}],
        "projects": [{"id": 9, "external_id": "Ωmega", **times}],
        "users": [{"id": 1, "external_id": "Zoë", **times}],
        "consumer_types": [{"id": 2, "name": "INSTANCE", **times}],
        "consumers": [
            {"id": 1, "uuid": "c" * 36, "consumer_type_id": 2, **consumer},
            {"id": 3, "uuid": "d" * 36, "consumer_type_id": None, **consumer},
        ],
    }


def rows(url: str) -> Rows:
    """Read all tables."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in TABLES
        }


def as_mysql_stores(value: Any) -> Any:
    """Return a value with the precision that MySQL and MariaDB keep."""
    if isinstance(value, float):
        return pytest.approx(value, rel=5e-6)
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def mounted(source: Path) -> tuple[str, ...]:
    """Return the option that mounts the file read-only."""
    return (f"--volume={source.parent}:/var/lib/placement:ro",)


def test_every_row_is_copied_and_new_rows_get_higher_ids(
    server: DatabaseServer, source: Path, newest: str, engine: str, run: Run
) -> None:
    """Placement has served from the database before, so it has the standard rows."""
    env = {CONNECTION: server.new_database()}
    before = source.read_bytes()
    with serving(engine, newest, env):
        pass
    assert len(rows(env[CONNECTION])["traits"]) > 100
    done = run(newest, "import-sqlite", env=env, options=mounted(source))
    assert done.returncode == 0, done.stdout + done.stderr
    wanted, found = rows(f"sqlite:///{source}"), rows(env[CONNECTION])
    if server.kind == "mysql":
        wanted = {
            name: [tuple(map(as_mysql_stores, row)) for row in table]
            for name, table in wanted.items()
        }
        assert "MySQL stores whole seconds" in done.stdout
    assert found == wanted
    for name, table in wanted.items():
        assert f"\n{name}: {len(table)} rows\n" in f"\n{done.stdout}"
    assert source.read_bytes() == before

    again = run(newest, "import-sqlite", env=env, options=mounted(source))
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "already contains data" in again.stderr
    assert rows(env[CONNECTION]) == found

    with serving(engine, newest, env) as placement:
        new = {"openstack-api-version": "placement 1.39"}
        for path in ("/resource_classes/CUSTOM_NEW", "/traits/CUSTOM_NEW"):
            assert placement.client.put(path, headers=new).status_code == 201
        added = placement.client.post("/resource_providers", json={"name": "new"}, headers=new)
        assert added.status_code == 200, added.text
        claim = {
            "allocations": {str(UUID(int=2)): {"resources": {"VCPU": 1}}},
            **dict.fromkeys(("project_id", "user_id", "consumer_type"), "NEW"),
            "consumer_generation": None,
        }
        path = "/allocations/" + "e" * 8 + "-0000-4000-8000-" + "e" * 12
        claimed = placement.client.put(path, json=claim, headers=new)
        assert claimed.status_code == 204, claimed.text
    ids = highest(env[CONNECTION])
    for name in ("resource_providers", "traits", "allocations", "consumers", "projects"):
        assert ids[name] > max(row["id"] for row in hard_rows()[name]), name
    assert ids["resource_classes"] == 10008


def highest(url: str) -> dict[str, int]:
    """Return the highest id of each table that has them."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
            for table in TABLES
            if "id" in table.c
        }


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (None, "cats.db does not exist: mount the volume with the SQLite file"),
        ("DROP TABLE alembic_version", "cats.db has no schema of Placement: nothing to copy"),
        (
            "UPDATE alembic_version SET version_num = 'b5c396305c25'",
            "is not at release 2026.2, the",
        ),
        ("PRAGMA user_version = 15", "first run the command db-sync with"),
        ("PRAGMA user_version = 17", "cats.db is not at release 2026.2, the release of this image"),
    ],
)
def test_unsuitable_source_is_refused(
    source: Path, newest: str, run: Run, edit: str | None, message: str
) -> None:
    """The server is not needed for this, and does not exist here."""
    if edit is None:
        source.unlink()
    else:
        with sa.create_engine(f"sqlite:///{source}").begin() as connection:
            connection.execute(sa.text(edit))
    assert_refused(run, newest, NOWHERE, source, message)


def assert_refused(run: Run, image: str, env: dict[str, str], source: Path, message: str) -> None:
    """Check that an import fails with one line, and does not change the file."""
    before = {path: path.read_bytes() for path in source.parent.iterdir()}
    done = run(image, "import-sqlite", env=env, options=mounted(source))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stdout + done.stderr
    assert message in done.stderr
    assert {path: path.read_bytes() for path in source.parent.iterdir()} == before


def test_file_that_is_no_database_is_refused(source: Path, newest: str, run: Run) -> None:
    source.write_text("This file is no database.\n" * 100)
    assert_refused(run, newest, NOWHERE, source, "cats.db cannot be read: file is not a database")


def test_import_into_sqlite_is_refused(source: Path, newest: str, run: Run) -> None:
    assert_refused(
        run, newest, {CONNECTION: "sqlite:////tmp/x.db"}, source, "is an SQLite database: set it"
    )


def test_import_takes_at_most_one_path(source: Path, newest: str, run: Run) -> None:
    done = run(newest, "import-sqlite", "/other.db", env=NOWHERE, options=mounted(source))
    assert "/other.db does not exist" in done.stderr
    done = run(newest, "import-sqlite", "/a.db", "/b.db", env=NOWHERE)
    assert "the command import-sqlite takes [PATH]" in done.stderr


# Ends in the middle of a transaction that has started to write to the file.
HALF_WRITTEN = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size = 2")
connection.execute("UPDATE resource_providers SET generation = 77")
os._exit(1)
"""


def test_half_written_file_is_not_read(
    postgresql: DatabaseServer, source: Path, newest: str, run: Run
) -> None:
    """db-sync, which the message suggests, repairs the file."""
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, source], check=False)
    assert Path(f"{source}-journal").stat().st_size
    readable(source.parent)
    env = {CONNECTION: postgresql.new_database()}
    assert_refused(
        run, newest, env, source, "cats.db cannot be read: attempt to write a readonly database"
    )
    for path in (source.parent, *source.parent.iterdir()):
        path.chmod(0o777)
    volume = (f"--volume={source.parent}:/var/lib/placement",)
    assert (
        run(newest, "db-sync", env={CONNECTION: f"sqlite:///{SQLITE}"}, options=volume).returncode
        == 0
    )
    done = run(newest, "import-sqlite", env=env, options=mounted(source))
    assert done.returncode == 0, done.stderr
    with postgresql.connect(env[CONNECTION]).connect() as database:
        generations = sa.select(sa.func.max(models.ResourceProvider.generation))
        assert database.execute(generations).scalar() == 2


def test_name_that_the_server_refuses_stops_the_import(
    mariadb: DatabaseServer, source: Path, newest: str, run: Run
) -> None:
    """utf8mb3, the character set that Placement uses, lacks these characters."""
    rename(source, "cat-🐱")
    env = {CONNECTION: mariadb.new_database()}
    assert_refused(
        run, newest, env, source, "resource_providers of /var/lib/placement/cats.db cannot be"
    )
    assert not any(rows(env[CONNECTION]).values())
    rename(source, "cat")
    done = run(newest, "import-sqlite", env=env, options=mounted(source))
    assert done.returncode == 0, done.stderr


def rename(source: Path, name: str) -> None:
    """Rename a provider of the file."""
    with sa.create_engine(f"sqlite:///{source}").begin() as connection:
        provider = sa.update(models.ResourceProvider).where(models.ResourceProvider.id == 8)
        connection.execute(provider.values(name=name))


@pytest.mark.parametrize(
    "action",
    ["NEW.used := 7; RETURN NEW", "RETURN NULL"],
)
def test_import_that_the_server_alters_is_rolled_back(
    postgresql: DatabaseServer, source: Path, newest: str, run: Run, action: str
) -> None:
    """One trigger changes a row, the other one drops it."""
    env = {CONNECTION: postgresql.new_database()}
    assert run(newest, "db-sync", env=env).returncode == 0
    with postgresql.connect(env[CONNECTION]).begin() as database:
        for statement in (
            "CREATE FUNCTION change_row() RETURNS trigger"
            f" AS $$ BEGIN {action}; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER change_row BEFORE INSERT ON allocations"
            " FOR EACH ROW EXECUTE FUNCTION change_row()",
        ):
            database.execute(sa.text(statement))
    assert_refused(run, newest, env, source, "the copy of allocations differs from")
    assert not any(rows(env[CONNECTION]).values())


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_interrupted_import_changes_neither_database(
    server: DatabaseServer, source: Path, newest: str, engine: str, run: Run, signal: str
) -> None:
    """The import waits for a lock on the last table, and gets a signal there."""
    env, name = {CONNECTION: server.new_database()}, new_name()
    assert run(newest, "db-sync", env=env).returncode == 0
    before = source.read_bytes()
    with server.connect(env[CONNECTION]).connect() as locking:
        lock_last_table(locking)
        command = [engine, "run", "--detach", "--name", name, *flags(env), *mounted(source)]
        try:
            subprocess.run([*command, newest, "import-sqlite"], capture_output=True, check=True)
            wait_for_last_table(engine, name)
            subprocess.run([engine, "kill", "--signal", signal, name], check=True)
            code = subprocess.check_output([engine, "wait", name], text=True)
            assert int(code) == {"TERM": 143, "KILL": 137}[signal]
        finally:
            remove(engine, name)
    assert source.read_bytes() == before
    assert not any(rows(env[CONNECTION]).values())
    done = run(newest, "import-sqlite", env=env, options=mounted(source))
    assert done.returncode == 0, done.stderr


def lock_last_table(connection: sa.Connection) -> None:
    """Lock the table that is copied last against writes."""
    lock = {"postgresql": f"LOCK TABLE {TABLES[-1].name} IN SHARE MODE"}
    connection.execute(
        sa.text(lock.get(connection.dialect.name, f"LOCK TABLES {TABLES[-1].name} READ"))
    )


def wait_for_last_table(engine: str, name: str) -> None:
    """Wait until every table except the last is written."""
    text = f"{TABLES[-2].name}: "
    wait_until(lambda: text in logs(engine, name), lambda: logs(engine, name))
