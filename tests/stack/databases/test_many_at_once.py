"""Many containers start on one database: one changes the schema, and all serve."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

import httpx
import pytest
import sqlalchemy as sa
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.stack.databases.conftest import InBackground, StuckSync, hold_lock
from tests.support.containers import CONNECTION, PORT, PYTHON, Run, flags, logs, new_name, succeed
from tests.support.proxies import refusing
from tests.support.servers import DatabaseServer, address, schema
from tests.support.statements import recorded
from tests.support.topologies import Topology

TWELVE = 12
SETTINGS = {
    "DB_SYNC": "True",
    "OS_API__AUTH_STRATEGY": "noauth2",
    "PORT": str(PORT),
    "UWSGI_PROCESSES": "1",
    "UWSGI_THREADS": "2",
}
# The longest that any container may take to serve, in seconds.
LONGEST_START = 90
MIGRATIONS = (
    "-> b4ed3a175331",
    "-> 611cd6dffd7b",
    "-> b5c396305c25",
    "-> 422ece571366",
    "-> a082b8bb98d0",
)
DROPPED_TABLE = re.compile(r"DROP TABLE (?:IF EXISTS )?[`\"]?(\w+)", re.IGNORECASE)
# SHOW CREATE TABLE only reads.
LOCK_OR_DDL = re.compile(
    r"get_lock|advisory|placement_db_sync|(?<!show )(?:create|alter|drop) (?:table|index)",
    re.IGNORECASE,
)
# A db-sync that waits only two seconds for the lock.
IMPATIENT = """
import runpy, sys
from entrypoint.database import lock
lock.LOCK_WAIT = 2
sys.argv = ["entrypoint", "db-sync"]
runpy.run_module("entrypoint", run_name="__main__")
"""


@dataclass(frozen=True)
class Start:
    """A container that has started: its answers, and the seconds until them."""

    answers: list[httpx.Response]
    seconds: float


def send_requests(address: str) -> list[httpx.Response]:
    """Wait for a container, and return its version document and its traits."""
    waiting = Retrying(
        stop=stop_after_delay(LONGEST_START),
        wait=wait_fixed(0.3),
        retry=retry_if_exception_type(httpx.TransportError),
        reraise=True,
    )
    headers = {"x-auth-token": "admin", "openstack-api-version": "placement 1.6"}
    with httpx.Client(base_url=f"http://{address}", headers=headers) as client:
        return [waiting(client.get, "/"), client.get("/traits", timeout=60)]


def start(engine: str, image: str, name: str, url: str) -> Start:
    """Start a container that brings the schema up to date, and wait until it serves.

    No port is published: in many starts at once the engine can choose the same port twice.
    """
    began = time.monotonic()
    succeed(engine, "run", "--detach", "--name", name, *flags({**SETTINGS, CONNECTION: url}), image)
    answers = send_requests(f"{address(engine, name)}:{PORT}")
    return Start(answers, time.monotonic() - began)


@dataclass(frozen=True)
class Round:
    """The start of all containers: their logs, and the seconds of the longest start."""

    log: str
    longest: float


def start_twelve(engine: str, image: str, urls: Sequence[str]) -> Round:
    """Start twelve containers at once, check that all serve the same, and remove them."""
    names = [new_name() for _ in range(TWELVE)]
    try:
        with ThreadPoolExecutor(TWELVE) as pool:
            starting = [
                pool.submit(start, engine, image, name, url)
                for name, url in zip(names, cycle(urls), strict=False)
            ]
        failed = [name for name, one in zip(names, starting, strict=True) if one.exception()]
        assert not failed, "".join(f"{name}:\n{logs(engine, name)}\n" for name in failed)
        log = "".join(f"{name}:\n{logs(engine, name)}\n" for name in names)
        started = [future.result() for future in starting]
        statuses = [[answer.status_code for answer in one.answers] for one in started]
        assert statuses == [[200, 200]] * TWELVE, log
        assert len({tuple(sorted(one.answers[1].json()["traits"])) for one in started}) == 1
        form = "{{.State.Running}} {{.RestartCount}}"
        state = subprocess.check_output([engine, "inspect", "--format", form, *names], text=True)
        assert state.split("\n")[:-1] == ["true 0"] * TWELVE
        assert "Traceback" not in log, log
        return Round(log, max(one.seconds for one in started))
    finally:
        for command in (["kill"], ["rm", "--force", "--volumes"]):
            subprocess.run([engine, *command, *names], capture_output=True, check=False)


def test_twelve_start_at_once(
    topology: Topology,
    newest: str,
    engine: str,
    run: Run,
    record_property: Callable[[str, object], None],
) -> None:
    """On an empty database, one container changes the schema; then, none takes a lock."""
    urls, reference = topology.new_database(), topology.new_database()
    with recorded(topology.servers) as statements:
        empty = start_twelve(engine, newest, urls)
    done = run(newest, "db-sync", env={CONNECTION: reference[0]})
    assert done.returncode == 0, done.stderr
    assert [empty.log.count(step) for step in MIGRATIONS] == [1] * len(MIGRATIONS), empty.log
    server = topology.servers[0]
    tables = schema(server, reference[0])
    assert [schema(server, url) for url in urls] == [tables] * len(urls)
    assert tables.keys().isdisjoint(DROPPED_TABLE.findall(statements.text))
    with recorded(topology.servers) as statements:
        current = start_twelve(engine, newest, urls)
    assert statements.text
    assert not LOCK_OR_DDL.findall(statements.text)
    record_property(
        "figures",
        f"longest start: {empty.longest:.0f} s on an empty database,"
        f" {current.longest:.0f} s with a current schema",
    )
    assert max(empty.longest, current.longest) < LONGEST_START


# The statements that read the revision, that take the lock, and that read the columns of a table.
@pytest.mark.parametrize("text", ["alembic_version", "placement_db_sync", "SHOW CREATE TABLE"])
def test_sync_looks_again_after_a_conflict(
    text: str, mariadb: DatabaseServer, newest: str, run: Run
) -> None:
    """A cluster refuses to read or write a table that another container changes."""
    url, reference = mariadb.new_database(), mariadb.new_database()
    synced = [reference, url] if text.startswith("SHOW") else [reference]
    for database in synced:
        assert run(newest, "db-sync", env={CONNECTION: database}).returncode == 0
    with refusing(mariadb, newest, 1213, text, 3) as proxy:
        done = run(newest, "db-sync", env={CONNECTION: proxy.url(url)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert schema(mariadb, url) == schema(mariadb, reference)


def test_wait_for_a_held_lock_ends(server: DatabaseServer, newest: str, run: Run) -> None:
    url = server.new_database()
    with hold_lock(server, url):
        done = run(newest, "-c", IMPATIENT, env={CONNECTION: url}, options=(PYTHON,))
    assert "another container is changing the schema, waiting up to 2 s" in done.stdout
    assert done.returncode == 1
    assert done.stderr == (
        "placement: another container has been changing the schema for 2 s: check its log\n"
    )
    assert set(sa.inspect(server.connect(url)).get_table_names()) <= {"placement_db_sync"}


def test_killed_container_releases_the_lock(
    server: DatabaseServer, engine: str, stuck_sync: StuckSync, in_background: InBackground
) -> None:
    url = server.new_database()
    holder = stuck_sync(url, "CREATE TABLE allocations")
    waiting = in_background("another container is changing the schema", "db-sync", url=url)
    subprocess.run([engine, "kill", "--signal=KILL", holder], capture_output=True, check=True)
    killed = time.monotonic()
    code = subprocess.check_output([engine, "wait", waiting], text=True).strip()
    assert code == "0", logs(engine, waiting)
    assert time.monotonic() - killed < 60


def test_empty_database_without_sync_is_refused(
    server: DatabaseServer, newest: str, run: Run
) -> None:
    env = {CONNECTION: server.new_database(), "OS_API__AUTH_STRATEGY": "noauth2", "PORT": "8778"}
    done = run(newest, env=env)
    assert done.returncode == 1
    assert done.stderr == (
        "placement: the database has no schema yet: run the command db-sync once,"
        " or set DB_SYNC=True\n"
    )
