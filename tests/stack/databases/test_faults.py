"""A server that fails under a light load: Placement fails with it, and answers again by itself.

Each test prints the line of docs/reference/faults.md that it has measured.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import sqlalchemy as sa

from tests.stack.databases.conftest import StuckSync
from tests.support.containers import CONNECTION, Run, serving
from tests.support.faults import FAULTS, FOLDERS, Fault, Faulty, disk_full, frozen
from tests.support.load import CLIENTS, Load, light_load
from tests.support.networks import Network
from tests.support.servers import (
    KINDS,
    PASSWORD,
    TARGETS,
    DatabaseServer,
    DevImage,
    database_server,
    one_worker_each,
    schema,
)

# How long a fault lasts, where it is not over at once: in `make test`, and with all tests.
SECONDS = {"vanished": (14, 60), "cut off": (3, 3)}
OTHERWISE = (2, 60)
# A request waits 10 s at most to learn that its connection is dead, and 10 s for a new one. Where
# nobody looked, a server that has vanished for 14 s would keep it waiting for 25.
LONGEST = 24
# So long after the server is back, requests succeed.
BACK = 15
# What nothing but a bound on the server's side would end.
ENDLESS = (frozen,)

NewFaulty = Callable[..., AbstractContextManager[Faulty]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let what lasts last for a minute where all tests are run."""
    if "seconds" in metafunc.fixturenames:
        every = int(metafunc.config.getoption("--all"))
        lasting = [(name, SECONDS.get(name, OTHERWISE)[every]) for name in FAULTS]
        metafunc.parametrize(("fault", "seconds"), lasting, ids=list(FAULTS))


# Its disk is a small one in memory; the loop is what an orchestrator is elsewhere.
SMALL_DISK = """
    chown {user} {folder}
    while sleep 0.2; do
        setpriv --reuid {user} --regid {user} --clear-groups /{target}.sh {arguments}
    done
"""
SIZES = {"postgresql": "200m", "mysql": "240m"}
USERS = {"postgresql": "postgres", "mysql": "mysql"}
ARGUMENTS = {"postgresql": "-c max_wal_size=32MB", "mysql": "--innodb-log-file-size=8M"}


def on_a_small_disk(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the engine's options and the arguments for a server whose disk can be filled."""
    folder = FOLDERS[kind]
    mount = f"--mount=type=tmpfs,destination={folder},tmpfs-size={SIZES[kind]}"
    options = ("--user=0", "--stop-signal=KILL", mount, "--entrypoint=sh")
    script = SMALL_DISK.format(
        user=USERS[kind], folder=folder, target=TARGETS[kind], arguments=ARGUMENTS[kind]
    )
    return options, ("-c", script)


@pytest.fixture(scope="module")
def new_faulty(network: Network, engine: str, newest: str, dev_image: DevImage) -> NewFaulty:
    """Start a server that a fault may befall, and a Placement that serves from it."""

    @contextmanager
    def new_faulty(
        kind: str, number: int, options: tuple[str, ...] = (), arguments: tuple[str, ...] = ()
    ) -> Iterator[Faulty]:
        place = network.place(number + KINDS.index(kind))
        there = (*network.options, *place.options, *options)
        with database_server(engine, dev_image(TARGETS[kind]), kind, there, arguments) as server:
            url = f"{server.driver}://placement:{PASSWORD}@[{place.address}]/placement"
            env = {CONNECTION: url, "UWSGI_PROCESSES": "2", "UWSGI_THREADS": "4"}
            with serving(engine, newest, env, network.options) as placement:
                yield Faulty(server, network, place, placement)

    return new_faulty


@pytest.fixture(scope="module", params=one_worker_each("faults"))
def faulty(request: pytest.FixtureRequest, new_faulty: NewFaulty) -> Iterator[Faulty]:
    """Return one of each kind."""
    with new_faulty(request.param, 0x20) as faulty:
        yield faulty


def befall(faulty: Faulty, name: str, fault: Fault, seconds: float) -> Load:
    """Let the fault befall the server under load; fail unless requests succeed afterwards."""
    with light_load(faulty.placement.client) as load:
        load.wait_until_good_after(time.monotonic(), 10)
        began = time.monotonic()
        fault(faulty, seconds)
        faulty.wait()
        back = time.monotonic()
        load.wait_until_good_after(back, BACK)
        load.wait_for_good_requests(4 * CLIENTS, back, BACK)  # each client reads and writes again
    print(f"| {name} | {faulty.server.kind} | {back - began:.0f} s | {load.row(back)} |")
    assert not load.failed_after(back + BACK)
    assert load.longest < LONGEST + (seconds if fault in ENDLESS else 0)
    load.check_writes()
    state = [faulty.server.engine, "inspect", "--format={{.RestartCount}} {{.State.Running}}"]
    assert subprocess.check_output([*state, faulty.placement.name], text=True) == "0 true\n"
    return load


def test_it_answers_again_and_no_write_is_lost(fault: str, seconds: float, faulty: Faulty) -> None:
    load = befall(faulty, fault, FAULTS[fault], seconds)
    # These cannot go unnoticed; a short absence may only be waited for.
    assert load.failed or load.longest > 1 or fault not in ("gone", "read only")


def test_a_full_disk_loses_no_write(kind: str, new_faulty: NewFaulty) -> None:
    with new_faulty(kind, 0x30, *on_a_small_disk(kind)) as faulty:
        load = befall(faulty, "disk full", disk_full, 2)
    assert load.failed


# In the first migration, and in one after it.
@pytest.mark.parametrize("beginning", ["CREATE TABLE users", "ALTER TABLE consumers ADD"])
def test_a_sync_that_is_killed_is_done_by_the_next(
    beginning: str,
    server: DatabaseServer,
    newest: str,
    engine: str,
    run: Run,
    stuck_sync: StuckSync,
) -> None:
    url, alone = server.new_database(), server.new_database()
    subprocess.run(
        [engine, "kill", "--signal=KILL", stuck_sync(url, beginning)],
        capture_output=True,
        check=True,
    )
    again = run(newest, "db-sync", env={CONNECTION: url})
    assert again.returncode == 0, again.stdout + again.stderr
    assert run(newest, "db-sync", env={CONNECTION: alone}).returncode == 0
    assert schema(server, url) == schema(server, alone)


def test_half_a_migration_under_data_is_told(
    mariadb: DatabaseServer, newest: str, run: Run
) -> None:
    url = mariadb.new_database()
    assert run(newest, "db-sync", env={CONNECTION: url}).returncode == 0
    with mariadb.connect(url).begin() as connection:
        connection.execute(sa.text("INSERT INTO traits (name) VALUES ('CUSTOM_KEPT')"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'b5c396305c25'"))
    done = run(newest, "db-sync", env={CONNECTION: url})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "has left half a migration, which cannot be taken back: restore" in done.stderr
    with mariadb.connect(url).connect() as connection:
        assert connection.execute(sa.text("SELECT name FROM traits")).scalar() == "CUSTOM_KEPT"
