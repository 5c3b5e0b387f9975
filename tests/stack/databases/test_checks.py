"""check-config --database, and what db-sync refuses, on databases that Placement cannot use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from tests.support.batch import Case, Outcome, RunBatch
from tests.support.chart import component, environment, manifests, pods
from tests.support.containers import CONNECTION, PYTHON, Output, Run, new_name
from tests.support.galera import one_worker
from tests.support.servers import PASSWORD, DatabaseServer, DevImage, database_server
from tests.support.template import Render

SETTINGS = {
    "OS_API__AUTH_STRATEGY": "noauth2",
    "OS_PLACEMENT_DATABASE__MAX_RETRIES": "2",
    "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
    "UWSGI_PROCESSES": "2",
    "UWSGI_THREADS": "4",
}
PREFIX = "OS_PLACEMENT_DATABASE__"
CHECK = ("check-config", "--database", "--json")
# The first revision, with an allocation whose consumer is missing: a later migration refuses it.
OLD = """
from entrypoint.database import connection
from placement.db.sqlalchemy import migration
with connection.command() as config:
    connection.connect(config)
    migration.upgrade("b4ed3a175331")
"""
INCOMPLETE = (
    "INSERT INTO allocations (resource_provider_id, consumer_id, resource_class_id, used)"
    " VALUES (1, 'one', 1, 1)"
)
# Databases of other releases, and of another program.
NOT_OURS = {
    "too old": "OpenStack cannot upgrade the database from 2025.1 to 2026.2 in one step",
    "too new": "cannot go back to 2026.2: use the image of",
    "of another program": "release 2026.2 has no revision ffffffffffff, which the database is at",
}
SET_REVISION = "INSERT INTO alembic_version VALUES ('{}')"
# Checks with a shorter limit.
LIMIT = 3
LIMITED = f"""
import runpy
from entrypoint.database import checks
checks.LIMIT = {LIMIT}
runpy.run_module("entrypoint", run_name="__main__")
"""
LOCK = {
    "postgresql": "LOCK TABLE resource_providers IN ACCESS EXCLUSIVE MODE",
    "mysql": "LOCK TABLES resource_providers WRITE",
}
GRANT_ROWS = {
    "postgresql": (
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user};"
        " GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {user}"
    ),
    "mysql": "GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {user}@'%'",
}
TABLES = {
    "postgresql": "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
    "mysql": "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()",
}


@dataclass(frozen=True)
class Checked:
    """What check-config and db-sync have done with a database."""

    check: Outcome | Output
    sync: Outcome | None

    def findings(self, severity: str) -> dict[str, str]:
        """Return the findings of a severity: each check with its message."""
        document = json.loads(self.check.stdout)
        errors = [each for each in document["findings"] if each["severity"] == "error"]
        assert document["ok"] == (not errors) == (self.check.returncode == 0)
        return {
            each["check"]: each["message"]
            for each in document["findings"]
            if each["severity"] == severity
        }

    def ok(self, check: str) -> str:
        """Return the message of a check that has found no problem."""
        return self.findings("ok")[check]

    def error(self) -> str:
        """Return the only error."""
        [message] = self.findings("error").values()
        return message

    def assert_refused(self, pattern: str) -> None:
        """Check that both commands refuse the database with the same reason, in one line."""
        assert self.check.returncode == 1
        assert re.search(pattern, self.error())
        assert self.sync is not None
        [line] = self.sync.stderr.splitlines()
        assert self.sync.returncode == 1
        assert line == f"placement: {self.error()}"


def run_both(
    run_batch: RunBatch, urls: dict[str, str], *synced: str, **more: str
) -> dict[str, Checked]:
    """Check all databases at once, and then sync some of them."""
    env = {name: {**SETTINGS, **more, CONNECTION: url} for name, url in urls.items()}
    checks = run_batch({name: Case(CHECK, env[name]) for name in urls})
    syncs = run_batch({name: Case(("db-sync",), env[name]) for name in synced}) if synced else {}
    for outcome in (*checks.values(), *syncs.values()):
        assert PASSWORD not in outcome.stdout + outcome.stderr
    return {name: Checked(checks[name], syncs.get(name)) for name in urls}


def database_of(url: str) -> str:
    """Return the name of the database in a URL."""
    return str(sa.make_url(url).database)


def count_tables(server: DatabaseServer, url: str) -> int:
    """Return the number of tables in a database."""
    return int(server.administer(TABLES[server.kind], database_of(url)))


def dump(server: DatabaseServer, url: str) -> dict[str, list[object]]:
    """Return the definition, the indexes, the comment and the rows of each table."""
    engine, found = server.connect(url), sa.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [
                str(sa.schema.CreateTable(table)),
                sorted(str(sa.schema.CreateIndex(index)) for index in table.indexes),
                table.comment,
                connection.execute(table.select()).all(),
            ]
            for table in found.sorted_tables
        }


def assert_states(found: dict[str, Checked]) -> None:
    """Check what is found in each state of the schema."""
    empty, current, old = found["empty"], found["current"], found["old"]
    assert "no schema yet: db-sync creates the one of release 2026.2" in empty.ok("release")
    assert {"characters", "rights", "limits"} < empty.findings("ok").keys()
    assert empty.check.returncode == 0

    assert "revision a082b8bb98d0, which is the newest of release 2026.2" in current.ok("release")
    assert current.ok("tables") == "the schema is complete"
    assert current.findings("warning") == {
        "data": "the database has 1 missing consumers: run the command online-data-migrations"
    }
    assert current.check.returncode == 0

    assert "revision b4ed3a175331: db-sync upgrades it to release 2026.2" in old.ok("release")
    assert "1 missing consumers: run online_data_migrations of the release" in old.error()

    assert "and the database has no data: db-sync starts again" in found["cut off"].ok("tables")
    # Each migration that creates a table again would fail.
    assert "no right to CREATE, " in found["cut off, few rights"].error()
    assert found["damaged"].error() == (
        "the schema lacks the table placement_aggregates: restore the database from a complete"
        " backup"
    )
    without = found["without revision"].findings("error")
    assert "Placement's tables have data, but the schema has no revision" in without["tables"]
    for state, message in NOT_OURS.items():
        found[state].assert_refused(message)


def test_each_state_of_the_schema_is_described_and_not_changed(
    server: DatabaseServer, run: Run, newest: str, run_batch: RunBatch, render: Render
) -> None:
    states = {
        "empty": (),
        "old": (INCOMPLETE,),
        "current": (INCOMPLETE,),
        "cut off": ("DROP TABLE placement_aggregates",),
        "damaged": ("DROP TABLE placement_aggregates", INCOMPLETE),
        "without revision": (INCOMPLETE, "DROP TABLE alembic_version"),
        "too old": version_table(server, "a082b8bb98d0", "placement 13.0.0"),
        "too new": version_table(server, "ffffffffffff", "placement 99.0.0"),
        "of another program": version_table(server, "ffffffffffff"),
    }
    urls = {name: server.new_database() for name in states}
    synced = ("current", "cut off", "damaged", "without revision")
    run_batch({name: Case(("db-sync",), SETTINGS | {CONNECTION: urls[name]}) for name in synced})
    assert run(newest, "-c", OLD, env={CONNECTION: urls["old"]}, options=(PYTHON,)).returncode == 0
    for name, statements in states.items():
        for statement in statements:
            server.administer(statement, database_of(urls[name]))
    before = {name: dump(server, url) for name, url in urls.items()}
    database, user = database_of(urls["cut off"]), new_user(server)
    server.administer(GRANT_ROWS[server.kind].format(database=database, user=user), database)
    urls["cut off, few rights"] = as_user(server, urls["cut off"], user)
    assert_states(run_both(run_batch, urls, *NOT_OURS))
    # Without the check, the Job of the chart would stop after the first of the pending migrations.
    [script], env = job(render, server.kind)
    done = run(
        newest, "-euc", script, env=env | {CONNECTION: urls["old"]}, options=("--entrypoint=sh",)
    )
    assert done.returncode == 1
    assert "error: data: the database has 1 missing consumers" in done.stdout
    assert {name: dump(server, urls[name]) for name in before} == before
    with server.connect(urls["current"]).connect() as other:
        other.execute(sa.text(LOCK[server.kind]))
        env = SETTINGS | {CONNECTION: urls["current"]}
        done = run(newest, "-c", LIMITED, *CHECK, env=env, options=(PYTHON,))
    found = Checked(done, None)
    assert found.error() == f"no answer in {LIMIT} s: another session may have locked a table"
    assert "which is the newest of release 2026.2" in found.ok("release")
    assert len(done.stderr.splitlines()) == 2, done.stderr


def job(render: Render, database: str) -> tuple[list[str], dict[str, str]]:
    """Return the arguments of the Job that runs db-sync, and its variables except the database."""
    objects = manifests(render({"database": database}))
    [pod] = (each for each in pods(objects) if component(each) == "db-sync")
    env = environment(pod)
    del env[f"{CONNECTION}_FILE"]
    return pod["spec"]["containers"][0]["args"], env


def version_table(server: DatabaseServer, revision: str, comment: str = "") -> tuple[str, ...]:
    """Return statements that create Alembic's table, with the release that db-sync has recorded."""
    table = "ALTER TABLE alembic_version OWNER TO placement; COMMENT ON TABLE alembic_version IS"
    if server.kind == "mysql":
        table = "ALTER TABLE alembic_version COMMENT"
    return (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
        SET_REVISION.format(revision),
        f"{table} '{comment}'",
    )


USER = {
    "postgresql": "CREATE ROLE {user} LOGIN PASSWORD '{password}' {limit}",
    "mysql": "CREATE USER {user}@'%' IDENTIFIED BY '{password}' {limit}",
}


def new_user(server: DatabaseServer, limit: str = "") -> str:
    """Create a user without rights, and return its name."""
    user = new_name().replace("-", "_")
    server.administer(USER[server.kind].format(user=user, password=PASSWORD, limit=limit))
    return user


def as_user(server: DatabaseServer, url: str, user: str) -> str:
    """Return the URL of a database for another user."""
    return server.url(database_of(url), user)


# MySQL and MariaDB.

one_worker_for_mysql = pytest.mark.xdist_group("checks-mysql")
RIGHTS = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX")
FEW_RIGHTS = ("only SELECT", "a pattern with a more specific grant")


@contextmanager
def set_globally(server: DatabaseServer, name: str, value: str, normal: str) -> Iterator[None]:
    """Set a variable of the server for all new connections during the block."""
    server.administer(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        server.administer(f"SET GLOBAL {name} = {normal}")


@pytest.fixture(scope="module")
def in_mysql(mariadb: DatabaseServer, run_batch: RunBatch) -> dict[str, Checked]:
    """Check a database in each character set, and one for users with different rights."""
    urls = {name: mariadb.new_database() for name in ("latin1", "binary", "utf8mb4")}
    for name, url in urls.items():
        mariadb.administer(f"ALTER DATABASE {database_of(url)} CHARACTER SET {name}")
    refused = ["latin1", "binary"]
    granted = {right: ["SELECT", *(each for each in RIGHTS if each != right)] for right in RIGHTS}
    for right, others in granted.items():
        url, user = mariadb.new_database(), new_user(mariadb)
        mariadb.administer(f"GRANT {', '.join(others)} ON {database_of(url)}.* TO {user}@'%'")
        urls[right] = as_user(mariadb, url, user)
        refused.append(right)
    url, user = mariadb.new_database(), new_user(mariadb)
    # This user sees the grants of all users.
    mariadb.administer(f"GRANT SELECT ON *.* TO {user}@'%'")
    urls["only SELECT"] = as_user(mariadb, url, user)
    url, user = mariadb.new_database(), new_user(mariadb)
    name = database_of(url)
    mariadb.administer(
        f"GRANT ALL ON `{name[:-1]}_`.* TO {user}@'%';"
        f" GRANT SELECT ON `{name.replace('_', chr(92) + '_')}`.* TO {user}@'%'"
    )
    urls["a pattern with a more specific grant"] = as_user(mariadb, url, user)
    refused += FEW_RIGHTS
    url, user = mariadb.new_database(), new_user(mariadb)
    role = f"{user}_role"
    mariadb.administer(
        f"CREATE ROLE {role}; GRANT ALL ON {database_of(url)}.* TO {role};"
        f" GRANT {role} TO {user}@'%'; SET DEFAULT ROLE {role} FOR {user}@'%'"
    )
    urls["role"] = as_user(mariadb, url, user)
    url, user = mariadb.new_database(), new_user(mariadb)
    mariadb.administer(f"GRANT ALL ON `{database_of(url)[:-1]}_`.* TO {user}@'%'")
    urls["pattern"] = as_user(mariadb, url, user)
    url, user = mariadb.new_database(), new_user(mariadb, "WITH MAX_USER_CONNECTIONS 15")
    mariadb.administer(f"GRANT ALL ON {database_of(url)}.* TO {user}@'%'")
    urls["limit"] = as_user(mariadb, url, user)
    found = run_both(run_batch, urls, *refused, "role", "pattern")
    assert {name: count_tables(mariadb, urls[name]) for name in refused} == dict.fromkeys(
        refused, 0
    )
    pool = {f"{PREFIX}MAX_POOL_SIZE": "1", f"{PREFIX}MAX_OVERFLOW": "-1"}
    return found | run_both(run_batch, {"no limit": urls["role"]}, **pool)


@one_worker_for_mysql
@pytest.mark.parametrize("right", RIGHTS)
def test_user_without_a_right_is_refused(right: str, in_mysql: dict[str, Checked]) -> None:
    in_mysql[right].assert_refused(rf"the user .* has no right to {right}: grant it all privileges")


@one_worker_for_mysql
@pytest.mark.parametrize("name", FEW_RIGHTS)
def test_right_of_another_grant_does_not_count(name: str, in_mysql: dict[str, Checked]) -> None:
    in_mysql[name].assert_refused(f"has no right to {', '.join(RIGHTS)}: grant it all privileges")


@one_worker_for_mysql
@pytest.mark.parametrize("name", ["role", "pattern"])
def test_right_of_a_role_or_a_pattern_counts(name: str, in_mysql: dict[str, Checked]) -> None:
    checked = in_mysql[name]
    assert "has all rights" in checked.ok("rights")
    assert checked.sync is not None
    assert checked.sync.returncode == 0, checked.sync.stderr


@one_worker_for_mysql
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("latin1", "the character set latin1 cannot store all names: create the database with"),
        ("binary", "in the character set binary, text is not returned as text: create"),
    ],
)
def test_unusable_character_set_is_refused(
    name: str, message: str, in_mysql: dict[str, Checked]
) -> None:
    in_mysql[name].assert_refused(message)


@one_worker_for_mysql
def test_usable_character_set_is_accepted(in_mysql: dict[str, Checked]) -> None:
    assert in_mysql["utf8mb4"].ok("characters") == "the character set is utf8mb4"


@one_worker_for_mysql
def test_limit_below_the_connections_of_a_container(in_mysql: dict[str, Checked]) -> None:
    assert re.search(
        "of 15 connections, others have 0 open, and a container opens up to 16: raise the limit",
        in_mysql["limit"].findings("warning")["limits"],
    )
    assert "there is room for" in in_mysql["role"].ok("limits")
    assert "any number of connections" in in_mysql["no limit"].findings("warning")["limits"]


@one_worker_for_mysql
@pytest.mark.parametrize(
    ("name", "value", "normal", "message"),
    [
        (
            "read_only",
            "ON",
            "OFF",
            r"the server is read-only \(read_only\): connect to the primary",
        ),
        (
            "innodb_default_row_format",
            "compact",
            "dynamic",
            r"in the character set utf8mb4, an index needs 1020 bytes, and InnoDB allows 767: set",
        ),
    ],
)
def test_server_that_cannot_hold_the_schema_is_refused(
    name: str, value: str, normal: str, message: str, mariadb: DatabaseServer, run_batch: RunBatch
) -> None:
    url = mariadb.new_database()
    mariadb.administer(f"ALTER DATABASE {database_of(url)} CHARACTER SET utf8mb4")
    with set_globally(mariadb, name, value, normal):
        run_both(run_batch, {"": url}, "")[""].assert_refused(message)
    assert count_tables(mariadb, url) == 0


# PostgreSQL.


def test_unusable_database_of_postgresql_is_refused(
    postgresql: DatabaseServer, run_batch: RunBatch
) -> None:
    urls = {name: postgresql.new_database() for name in ("no rights", "read-only", "owner")}
    name = f"{database_of(urls['read-only'])}_latin1"
    postgresql.administer(
        f"CREATE DATABASE {name} OWNER placement ENCODING LATIN1 LOCALE 'C' TEMPLATE template0"
    )
    urls["latin1"] = postgresql.url(name)
    postgresql.administer(
        f"ALTER DATABASE {database_of(urls['read-only'])} SET default_transaction_read_only = on"
    )
    run_both(run_batch, {"owner": urls["owner"]}, "owner")
    user, writer = new_user(postgresql), new_user(postgresql)
    database = database_of(urls["owner"])
    urls["no sequences"] = as_user(postgresql, urls["owner"], writer)
    for name in ("no rights", "owner"):
        urls[name] = as_user(postgresql, urls[name], user)
    postgresql.administer(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}", database)
    grant = GRANT_ROWS["postgresql"].format(user=writer)
    postgresql.administer(grant.partition(";")[0], database)
    found = run_both(run_batch, urls, "no rights", "read-only", "latin1")
    found["no rights"].assert_refused(f"the user {user} has no right to CREATE: make it the owner")
    found["read-only"].assert_refused("is read-only: set default_transaction_read_only=off")
    found["latin1"].assert_refused("the character set LATIN1 cannot store all names: create")
    missing = "CREATE, INSERT, UPDATE, DELETE, USAGE of sequences, ALTER"
    assert f"no right to {missing}: make" in found["owner"].error()
    assert "no right to CREATE, USAGE of sequences, ALTER: m" in found["no sequences"].error()
    for name in ("no rights", "read-only", "latin1"):
        assert count_tables(postgresql, urls[name]) == 0


# A server that starts as a standby, without a primary.
ROLE = f"CREATE ROLE placement LOGIN PASSWORD $${PASSWORD}$$;"
EMPTY = "CREATE DATABASE placement OWNER placement;"
CHANGES = f"""s:^exec postgres:touch "$data/standby.signal"; &:; s:^ALTER ROLE:{ROLE} {EMPTY} &:"""
START_STANDBY = f"sed '{CHANGES}' /start.sh | sh -s"


def test_server_in_recovery_is_refused(
    engine: str, dev_image: DevImage, run_batch: RunBatch
) -> None:
    standby = database_server(
        engine,
        dev_image("postgresql"),
        "postgresql",
        ("--entrypoint=/bin/sh",),
        ("-c", START_STANDBY),
    )
    with standby as server:
        found = run_both(run_batch, {"": server.url("placement")}, "")[""]
    found.assert_refused("the server is in recovery, as a standby is: connect to the primary")


# Galera.


@one_worker
def test_method_that_changes_one_node_only_is_refused(
    galera: list[DatabaseServer], run_batch: RunBatch
) -> None:
    url = galera[0].new_database()
    with set_globally(galera[0], "wsrep_OSU_method", "RSU", "TOI"):
        found = run_both(run_batch, {"": url}, "")[""]
    found.assert_refused("wsrep_OSU_method is RSU, which would change this node only: set")
    assert [count_tables(node, url) for node in galera] == [0] * len(galera)


@one_worker
def test_reads_after_writes_on_several_nodes(
    galera: list[DatabaseServer], run_batch: RunBatch
) -> None:
    url = galera[0].new_database()
    warned = run_both(run_batch, {"": url})[""]
    assert "init_command=SET SESSION wsrep_sync_wait=1" in warned.findings("warning")["galera"]
    option = "init_command=SET SESSION wsrep_sync_wait=1"
    waiting = run_both(run_batch, {"": url}, OS_PLACEMENT_DATABASE__CONNECTION_PARAMETERS=option)[
        ""
    ]
    assert waiting.findings("warning") == {}
    assert waiting.ok("galera") == "Galera has 3 nodes, and wsrep_sync_wait is 1"


# MySQL.


@pytest.mark.only_all
def test_user_without_references_is_refused(mysql8: DatabaseServer, run_batch: RunBatch) -> None:
    """MariaDB needs no such right. MySQL would refuse the first foreign key, after three tables."""
    url, user = mysql8.new_database(), new_user(mysql8)
    rights = ", ".join(("SELECT", *RIGHTS))
    mysql8.administer(f"GRANT {rights} ON {database_of(url)}.* TO {user}@'%'")
    found = run_both(run_batch, {"": as_user(mysql8, url, user)}, "")[""]
    found.assert_refused("has no right to REFERENCES: grant it all privileges on the database")
    assert count_tables(mysql8, url) == 0
