"""Containers that run in the background of a test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa

from entrypoint.database import lock
from tests.support.containers import CONNECTION, PYTHON, Output, flags, logs, new_name, remove
from tests.support.servers import KINDS, PASSWORD, DatabaseServer
from tests.support.waiting import wait_until

InBackground = Callable[..., str]
StuckSync = Callable[[str, str], str]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Run the test with each kind of server."""
    return str(request.param)


# A db-sync that stops, with the lock held, before a statement with the given beginning.
STUCK = """
import runpy, sys, time
import sqlalchemy as sa

@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def stop(connection, cursor, statement, *_):
    if statement.strip().startswith({beginning!r}):
        print("stopped", flush=True)
        time.sleep(600)

sys.argv = ["entrypoint", "db-sync"]
runpy.run_module("entrypoint", run_name="__main__")
"""


@pytest.fixture
def in_background(engine: str, newest: str) -> Iterator[InBackground]:
    """Start a container, wait until its log has a text, and return its name."""
    with ExitStack() as started:

        def in_background(text: str, *arguments: str, url: str, options: Sequence[str] = ()) -> str:
            name = new_name()
            started.callback(remove, engine, name)
            command = [engine, "run", "--detach", "--name", name, *flags({CONNECTION: url})]
            command += [*options, newest, *arguments]
            subprocess.run(command, capture_output=True, check=True)
            wait_until(lambda: text in logs(engine, name), lambda: logs(engine, name))
            return name

        yield in_background


@pytest.fixture
def stuck_sync(in_background: InBackground) -> StuckSync:
    """Start a db-sync that stops before a statement, and return the name of its container."""

    def stuck_sync(url: str, beginning: str) -> str:
        script = STUCK.format(beginning=beginning)
        return in_background("stopped", "-c", script, url=url, options=[PYTHON])

    return stuck_sync


@contextmanager
def hold_lock(server: DatabaseServer, url: str) -> Iterator[None]:
    """Hold the lock of db-sync, as another container would."""
    with server.connect(url).connect() as holder:
        if server.kind == "postgresql":
            holder.execute(sa.select(sa.func.pg_advisory_xact_lock(lock.KEY)))
        else:
            lock.LEASE.create(holder)
            later = sa.text("UTC_TIMESTAMP() + INTERVAL 5 MINUTE")
            holder.execute(lock.LEASE.insert().values(id=1, holder="another", expires=later))
            holder.commit()
        yield


def error_line(output: Output) -> str:
    """Return the only line on standard error of a command that has failed."""
    assert output.returncode == 1, output.stdout + output.stderr
    [line] = output.stderr.splitlines()
    assert line.startswith("placement: ")
    assert PASSWORD not in output.stdout + output.stderr
    return line
