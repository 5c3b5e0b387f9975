"""A network of the tests' own, and containers of the image in it."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from tests.support.containers import flags, logs, new_name, remove
from tests.support.servers import DatabaseServer

CONNECTION = "OS_PLACEMENT_DATABASE__CONNECTION"
TARGETS = {"postgresql": "postgresql", "mysql": "mariadb"}
KINDS = tuple(TARGETS)
PYTHON = "--entrypoint=/opt/placement/bin/python3"

InBackground = Callable[..., str]
StuckSync = Callable[[str, str], str]


@dataclass(frozen=True)
class Place:
    """Where in a network a container is, also after a restart."""

    address: str
    mac: str

    @property
    def options(self) -> tuple[str, ...]:
        """What puts a container there."""
        return (f"--ip6={self.address}", f"--mac-address={self.mac}")


class Network:
    """A network where containers find each other by name, by IPv4 and by IPv6."""

    def __init__(self, engine: str) -> None:
        """Choose a name and a subnet that nobody else has."""
        self.engine = engine
        self.name = new_name()
        random = secrets.token_hex(5)
        self.prefix = f"fd{random[:2]}:{random[2:6]}:{random[6:]}"
        self.options = (f"--network={self.name}",)

    def command(self, *words: str) -> None:
        """Run one of the engine's commands for networks."""
        subprocess.run([self.engine, "network", *words], capture_output=True, check=True)

    def create(self) -> None:
        """Make it."""
        self.command("create", "--ipv6", f"--subnet={self.prefix}::/64", self.name)

    def place(self, host: int) -> Place:
        """Return a place in it, of which there is one for each number."""
        return Place(f"{self.prefix}::{host:x}", f"02:00:00:00:00:{host:02x}")


@pytest.fixture(scope="session")
def network(engine: str) -> Iterator[Network]:
    """Return a network for the tests of this worker."""
    network = Network(engine)
    network.create()
    yield network
    network.command("rm", "--force", network.name)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of server in turn."""
    return str(request.param)


# A db-sync that stays where a statement begins with what is given, with the lock held.
STUCK = """
import runpy, sys, time
import sqlalchemy as sa

@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def stay(connection, cursor, statement, *_):
    if statement.strip().startswith({beginning!r}):
        print("stays there", flush=True)
        time.sleep(600)

sys.argv = ["/startup", "db-sync"]
runpy.run_path("/startup", run_name="__main__")
"""


@pytest.fixture
def in_background(engine: str, newest: str) -> Iterator[InBackground]:
    """Start a container and wait until it says something; return its name."""
    with ExitStack() as started:

        def in_background(says: str, *arguments: str, url: str, options: Sequence[str] = ()) -> str:
            name = new_name()
            started.callback(remove, engine, name)
            command = [engine, "run", "--detach", "--name", name, *flags({CONNECTION: url})]
            command += [*options, newest, *arguments]
            subprocess.run(command, capture_output=True, check=True)
            end = time.monotonic() + 60
            while says not in logs(engine, name):
                assert time.monotonic() < end, logs(engine, name)
                time.sleep(0.1)
            return name

        yield in_background


@pytest.fixture
def stuck_sync(in_background: InBackground) -> StuckSync:
    """Start a sync of a database that stays before a statement; return its container."""

    def stuck_sync(url: str, beginning: str) -> str:
        script = STUCK.format(beginning=beginning)
        return in_background("stays there", "-c", script, url=url, options=[PYTHON])

    return stuck_sync


def schema(server: DatabaseServer, url: str) -> dict[str, object]:
    """Return all that makes up the schema: each table's columns, indexes and keys, its revision."""
    engine = server.connect(url)
    inspector = sa.inspect(engine)
    with engine.connect() as connection:
        revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).all()
    found: dict[str, object] = {"revision": [tuple(row) for row in revision]}
    for table in inspector.get_table_names():
        found[table] = [
            [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
            sorted(str(index) for index in inspector.get_indexes(table)),
            sorted(str(key) for key in inspector.get_foreign_keys(table)),
            sorted(str(key) for key in inspector.get_unique_constraints(table)),
            inspector.get_pk_constraint(table),
        ]
    return found
