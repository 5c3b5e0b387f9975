"""Placement recovers by itself from faults of its database server, under a light load.

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
from tests.support.faults import FAULTS, FOLDERS, Faulty, full_disk
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
from tests.support.waiting import wait_until

# The seconds that a fault lasts, if it lasts: in `make test` and in `make test-all`.
SECONDS = {"vanished": (14, 60), "cut off": (3, 3)}
OTHERWISE = (2, 60)
# A request waits at most 10 s until its connection counts as dead, and 10 s for a new one. Without
# these limits, a server that vanishes for 14 s blocks requests for 25 s.
LONGEST = 24
# Requests succeed at most this many seconds after the server is back.
BACK = 15
# Faults during which a request waits without a limit.
ENDLESS = ("frozen",)

NewFaulty = Callable[..., AbstractContextManager[Faulty]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each fault that lasts take a minute with --all."""
    if "seconds" in metafunc.fixturenames:
        every = int(metafunc.config.getoption("--all"))
        lasting = [(name, SECONDS.get(name, OTHERWISE)[every]) for name in FAULTS]
        metafunc.parametrize(("fault", "seconds"), lasting, ids=list(FAULTS))


# The server has a small disk in memory. The loop restarts it, as an orchestrator does.
SMALL_DISK = """
    chown {user} {folder}
    while sleep 0.2; do
        setpriv --reuid {user} --regid {user} --clear-groups /start.sh {arguments}
    done
"""
SIZES = {"postgresql": "200m", "mysql": "240m"}
USERS = {"postgresql": "postgres", "mysql": "mysql"}
ARGUMENTS = {"postgresql": "-c max_wal_size=32MB", "mysql": "--innodb-log-file-size=8M"}


def on_a_small_disk(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options and arguments that give a server a small disk."""
    folder = FOLDERS[kind]
    mount = f"--mount=type=tmpfs,destination={folder},tmpfs-size={SIZES[kind]}"
    options = ("--user=0", "--stop-signal=KILL", mount, "--entrypoint=sh")
    script = SMALL_DISK.format(user=USERS[kind], folder=folder, arguments=ARGUMENTS[kind])
    return options, ("-c", script)


@pytest.fixture(scope="module")
def new_faulty(network: Network, engine: str, newest: str, dev_image: DevImage) -> NewFaulty:
    """Start a server for a fault, and a Placement that uses this server."""

    @contextmanager
    def new_faulty(
        kind: str, number: int, options: tuple[str, ...] = (), arguments: tuple[str, ...] = ()
    ) -> Iterator[Faulty]:
        place = network.place(number + KINDS.index(kind))
        options = (*network.options, *place.options, *options)
        with database_server(engine, dev_image(TARGETS[kind]), kind, options, arguments) as server:
            url = f"{server.driver}://placement:{PASSWORD}@[{place.address}]/placement"
            env = {CONNECTION: url, "UWSGI_PROCESSES": "2", "UWSGI_THREADS": "4"}
            with serving(engine, newest, env, network.options) as placement:
                yield Faulty(server, network, place, placement)

    return new_faulty


@pytest.fixture(scope="module", params=one_worker_each("faults"))
def faulty(request: pytest.FixtureRequest, new_faulty: NewFaulty) -> Iterator[Faulty]:
    """Return a server of each kind, with a Placement that uses it."""
    with new_faulty(request.param, 0x20) as faulty:
        yield faulty


def cause(
    faulty: Faulty, name: str, fault: Callable[[Load], None], longest: float = LONGEST
) -> Load:
    """Cause a fault under load, and check that Placement recovers and that no write is lost."""
    with light_load(faulty.placement.client) as load:
        load.wait_until_good_after(time.monotonic(), 10)
        began = time.monotonic()
        fault(load)
        faulty.wait()
        back = time.monotonic()
        load.wait_until_good_after(back, BACK)
        load.wait_for_good_requests(4 * CLIENTS, back, BACK)  # each client reads and writes again
    print(f"| {name} | {faulty.server.kind} | {back - began:.0f} s | {load.row(back)} |")
    assert not load.failed_after(back + BACK)
    assert load.longest < longest
    load.check_writes()
    state = [faulty.server.engine, "inspect", "--format={{.RestartCount}} {{.State.Running}}"]
    assert subprocess.check_output([*state, faulty.placement.name], text=True) == "0 true\n"
    return load


def test_placement_recovers_and_keeps_every_write(
    fault: str, seconds: float, faulty: Faulty
) -> None:
    longest = LONGEST + (seconds if fault in ENDLESS else 0)
    load = cause(faulty, fault, lambda _: FAULTS[fault](faulty, seconds), longest)
    # Requests must notice these faults, by a failure or by a wait.
    assert load.failed or load.longest > 1 or fault not in ("gone", "read only")


def test_full_disk_loses_no_write(kind: str, new_faulty: NewFaulty) -> None:
    with new_faulty(kind, 0x30, *on_a_small_disk(kind)) as faulty:

        def until_a_write_fails(load: Load) -> None:
            began = time.monotonic()
            with full_disk(faulty) as fill_again:

                def a_write_has_failed() -> bool:
                    fill_again()
                    return bool(load.failed_after(began))

                wait_until(a_write_has_failed)

        cause(faulty, "disk full", until_a_write_fails)


# A statement of the first migration, and one of a later migration.
@pytest.mark.parametrize("beginning", ["CREATE TABLE users", "ALTER TABLE consumers ADD"])
def test_next_sync_completes_a_killed_one(
    beginning: str,
    server: DatabaseServer,
    newest: str,
    engine: str,
    run: Run,
    stuck_sync: StuckSync,
) -> None:
    url, reference = server.new_database(), server.new_database()
    subprocess.run(
        [engine, "kill", "--signal=KILL", stuck_sync(url, beginning)],
        capture_output=True,
        check=True,
    )
    again = run(newest, "db-sync", env={CONNECTION: url})
    assert again.returncode == 0, again.stdout + again.stderr
    assert run(newest, "db-sync", env={CONNECTION: reference}).returncode == 0
    assert schema(server, url) == schema(server, reference)


def test_partial_migration_of_a_database_with_data_is_reported(
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
    assert "has left a partial migration, which cannot be rolled back: restore" in done.stderr
    with mariadb.connect(url).connect() as connection:
        assert connection.execute(sa.text("SELECT name FROM traits")).scalar() == "CUSTOM_KEPT"
