"""A schema is whole, or it is not served; and a sync holds the lock while it changes the schema."""

from __future__ import annotations

import re
import subprocess
import time

import sqlalchemy as sa

from tests.stack.databases.conftest import InBackground, error_line, hold_lock
from tests.support.containers import CONNECTION, PYTHON, Run, logs
from tests.support.servers import DatabaseServer, schema

SERVE = {"OS_API__AUTH_STRATEGY": "noauth2", "PORT": "8778"}
# What removes a part of the schema, and what messages call the part.
PARTS = {
    "DROP TABLE placement_aggregates": "the table placement_aggregates",
    "ALTER TABLE traits DROP COLUMN created_at": "the column traits.created_at",
}
# A sync whose lease ends after three seconds unless it is renewed, stopped during a migration.
SHORT_LEASE = """
import runpy, sys, time
import sqlalchemy as sa
from entrypoint.database import lock

lock.LEASE_TIME, lock.RENEWAL = 3, 1
lock.EXPIRES = sa.func.timestampadd(sa.text("SECOND"), 3, lock.NOW)

@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def stop(connection, cursor, statement, *_):
    if statement.strip().startswith("CREATE TABLE users"):
        print("stopped", flush=True)
        {wait}

sys.argv = ["entrypoint", "db-sync"]
runpy.run_module("entrypoint", run_name="__main__")
"""


def synced(server: DatabaseServer, newest: str, run: Run) -> str:
    """Return the URL of a new database with the schema."""
    url = server.new_database()
    assert run(newest, "db-sync", env={CONNECTION: url}).returncode == 0
    return url


def execute(server: DatabaseServer, url: str, *statements: str) -> None:
    """Execute statements in a database."""
    with server.connect(url).begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def remove_parts(server: DatabaseServer, url: str) -> None:
    """Remove all PARTS from the schema."""
    on = "" if server.kind == "postgresql" else " ON allocations"
    execute(server, url, *(statement.format(on=on) for statement in PARTS))


def test_incomplete_schema_without_data(server: DatabaseServer, newest: str, run: Run) -> None:
    url = synced(server, newest, run)
    whole = schema(server, url)
    remove_parts(server, url)
    line = error_line(run(newest, env={CONNECTION: url, **SERVE}))
    begin, end = "placement: the database's schema lacks ", ": run the command db-sync"
    assert (line.startswith(begin), line.endswith(end)) == (True, True), line
    named = line.removeprefix(begin).removesuffix(end)
    assert sorted(named.split(", ")) == sorted(PARTS.values())
    done = run(newest, "db-sync", env={CONNECTION: url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert schema(server, url) == whole


def test_incomplete_schema_with_data(server: DatabaseServer, newest: str, run: Run) -> None:
    url = synced(server, newest, run)
    remove_parts(server, url)
    execute(server, url, "INSERT INTO traits (name) VALUES ('CUSTOM_KEPT')")
    before = schema(server, url)
    line = error_line(run(newest, "db-sync", env={CONNECTION: url}))
    assert all(part in line for part in PARTS.values())
    assert line.endswith(
        ", and the database has data: restore the database from a complete backup, and run"
        " db-sync again"
    )
    assert schema(server, url) == before


def test_current_schema_with_additions_needs_no_lock(
    server: DatabaseServer, newest: str, run: Run
) -> None:
    url = synced(server, newest, run)
    assert "placement_db_sync" not in sa.inspect(server.connect(url)).get_table_names()
    execute(
        server,
        url,
        "CREATE TABLE reports (id INTEGER PRIMARY KEY)",
        "CREATE INDEX by_used ON allocations (used)",
    )
    with hold_lock(server, url):
        done = run(newest, "db-sync", env={CONNECTION: url})
    assert (done.returncode, done.stdout) == (0, "the schema is up to date\n"), done.stderr


def test_lease_is_renewed_while_a_migration_runs(
    mariadb: DatabaseServer, in_background: InBackground, newest: str, run: Run
) -> None:
    url = mariadb.new_database()
    script = SHORT_LEASE.format(wait="cursor.execute('SELECT SLEEP(8)')")
    in_background("stopped", "-c", script, url=url, options=[PYTHON])
    done = run(newest, "db-sync", env={CONNECTION: url})
    assert done.returncode == 0, done.stderr
    # The other container has run the migrations.
    assert "Running upgrade" not in done.stdout


def test_sync_that_loses_its_lease_ends(
    mariadb: DatabaseServer, in_background: InBackground, engine: str
) -> None:
    url = mariadb.new_database()
    script = SHORT_LEASE.format(wait="cursor.execute('SELECT SLEEP(600)')")
    name = in_background("stopped", "-c", script, url=url, options=[PYTHON])
    execute(mariadb, url, "UPDATE placement_db_sync SET holder = 'another'")
    assert subprocess.check_output([engine, "wait", name], text=True, timeout=30) == "1\n"
    assert "the lock of db-sync could not be renewed for 2 s: run db-sync" in logs(engine, name)


def test_session_of_a_frozen_container_ends_before_its_lease(
    mariadb: DatabaseServer, newest: str, run: Run
) -> None:
    """It could otherwise go on in the schema of the container that has taken over."""
    url = mariadb.new_database()
    script = SHORT_LEASE.format(wait="time.sleep(5)")
    done = run(newest, "-c", script, env={CONNECTION: url}, options=(PYTHON,))
    assert re.search(r"\(20(06|13), ", error_line(done))
    time.sleep(3)
    again = run(newest, "db-sync", env={CONNECTION: url})
    assert again.returncode == 0, again.stderr
    assert "starting again" in again.stdout


def test_index_may_be_missing_or_have_another_name(
    server: DatabaseServer, newest: str, run: Run
) -> None:
    """Other programs rename all indexes when they convert a database."""
    url = synced(server, newest, run)
    on = "" if server.kind == "postgresql" else " ON allocations"
    unique = "uniq_traits0name"
    replaced = (
        (
            f"ALTER TABLE traits DROP CONSTRAINT {unique}",
            "CREATE UNIQUE INDEX idx_1 ON traits (name)",
        )
        if server.kind == "postgresql"
        else (f"ALTER TABLE traits RENAME INDEX {unique} TO idx_1",)
    )
    execute(server, url, f"DROP INDEX allocations_consumer_id_idx{on}", *replaced)
    done = run(newest, "check-config", "--database", env={CONNECTION: url, **SERVE})
    assert "without the index allocations_consumer_id_idx of allocations" in done.stdout
    assert "idx_1" not in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert run(newest, "db-sync", env={CONNECTION: url}).returncode == 0
