"""Many containers start on one database: one changes the schema, and all serve."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy as sa
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.stack.databases.conftest import InBackground, StuckSync, hold_lock
from tests.support.containers import CONNECTION, PYTHON, Run, flags, logs, new_name, remove
from tests.support.servers import DatabaseServer, address, schema
from tests.support.waiting import LONGEST

TEN = 10
MIGRATIONS = (
    "-> b4ed3a175331",
    "-> 611cd6dffd7b",
    "-> b5c396305c25",
    "-> 422ece571366",
    "-> a082b8bb98d0",
)
# A db-sync that waits only two seconds for the lock.
IMPATIENT = """
import runpy, sys
from entrypoint.database import lock
lock.LOCK_WAIT = 2
sys.argv = ["entrypoint", "db-sync"]
runpy.run_module("entrypoint", run_name="__main__")
"""


@pytest.fixture
def ten(engine: str) -> Iterator[list[str]]:
    """Return names for ten containers, and remove the containers after the test."""
    names = [new_name() for _ in range(TEN)]
    yield names
    with ThreadPoolExecutor(TEN) as pool:
        list(pool.map(lambda name: remove(engine, name), names))


def send_requests(address: str) -> list[httpx.Response]:
    """Wait for a container, and return its version document and its traits."""
    waiting = Retrying(
        stop=stop_after_delay(LONGEST),
        wait=wait_fixed(0.3),
        retry=retry_if_exception_type(httpx.TransportError),
        reraise=True,
    )
    headers = {"x-auth-token": "admin", "openstack-api-version": "placement 1.6"}
    with httpx.Client(base_url=f"http://{address}", headers=headers) as client:
        return [waiting(client.get, "/"), client.get("/traits", timeout=60)]


def test_ten_start_at_once_on_an_empty_database(
    server: DatabaseServer, newest: str, engine: str, ten: list[str], run: Run
) -> None:
    url = server.new_database()
    env = {
        CONNECTION: url,
        "DB_SYNC": "True",
        "OS_API__AUTH_STRATEGY": "noauth2",
        "PORT": "8778",
        "UWSGI_PROCESSES": "1",
        "UWSGI_THREADS": "2",
    }
    # No port is published: in ten starts at once the engine can choose the same port twice.
    command = [engine, "run", "--detach", *flags(env)]
    starting = [
        subprocess.Popen([*command, "--name", name, newest], stdout=subprocess.DEVNULL)
        for name in ten
    ]
    assert [process.wait() for process in starting] == [0] * TEN
    addresses = [f"{address(engine, name)}:8778" for name in ten]
    with ThreadPoolExecutor(TEN) as pool:
        answers = list(pool.map(send_requests, addresses))
    log = {name: logs(engine, name) for name in ten}
    assert [[root.status_code, traits.status_code] for root, traits in answers] == [
        [200, 200]
    ] * TEN, log
    names = {tuple(sorted(traits.json()["traits"])) for _, traits in answers}
    assert len(names) == 1
    all_logs = "".join(log.values())
    assert [all_logs.count(step) for step in MIGRATIONS] == [1] * len(MIGRATIONS)
    assert "Traceback" not in all_logs
    form = "{{.State.Running}} {{.RestartCount}}"
    state = subprocess.check_output([engine, "inspect", "--format", form, *ten], text=True)
    assert state.split("\n")[:-1] == ["true 0"] * TEN
    reference = server.new_database()
    assert run(newest, "db-sync", env={CONNECTION: reference}).returncode == 0
    assert schema(server, url) == schema(server, reference)


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
