"""Faults of a database server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.support.containers import Server
from tests.support.networks import Network, Place
from tests.support.servers import DatabaseServer, wait_for

FOLDERS = {"postgresql": "/var/lib/postgresql", "mysql": "/var/lib/mysql"}
KILL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = 'placement'",
    "mysql": "KILL USER placement",
}
READ_ONLY = {
    "postgresql": (
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "ALTER SYSTEM RESET default_transaction_read_only",
    ),
    "mysql": ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
}
# What uses up the space that a server has reserved. The statements make PostgreSQL add new files to
# its write-ahead log, and MariaDB fill the free pages of the table.
SLACK = {"postgresql": "head -c 60M /dev/zero", "mysql": "cat /dev/zero"}
SWELL = {
    "postgresql": "CREATE TABLE swollen AS"
    " SELECT repeat(md5(n::text), 30) FROM generate_series(1, 1000000) AS n",
    "mysql": "DELIMITER //\n"
    "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;"
    " FOR n IN 1..10000 DO"
    " INSERT INTO resource_providers (uuid, name) VALUES (uuid(), uuid()); END FOR; END//",
}


@dataclass(frozen=True)
class Faulty:
    """A database server for a fault, and a Placement that uses this server."""

    server: DatabaseServer
    network: Network
    place: Place
    placement: Server

    def container(self, command: str, *arguments: str) -> None:
        """Run a command of the engine on the server's container."""
        done = [self.server.engine, command, *arguments, self.server.name]
        subprocess.run(done, capture_output=True, check=True)

    def inside(self, script: str) -> None:
        """Run a script in the server's container, and ignore errors."""
        command = [self.server.engine, "exec", "--user=0", self.server.name, "sh", "-c", script]
        subprocess.run(command, capture_output=True, check=False)

    def wait(self) -> None:
        """Wait until the server accepts a login."""
        wait_for(self.server)


Fault = Callable[[Faulty, float], None]


def restarted(faulty: Faulty, seconds: float) -> None:
    """Restart the server, as for an upgrade of the server."""
    faulty.container("restart")


def gone(faulty: Faulty, seconds: float) -> None:
    """Stop the server for a while."""
    faulty.container("stop")
    time.sleep(seconds)
    faulty.container("start")


def killed(faulty: Faulty, seconds: float) -> None:
    """Kill the server, which then has to recover its last writes."""
    faulty.container("kill")
    faulty.container("start")


def vanished(faulty: Faulty, seconds: float) -> None:
    """Disconnect the server from the network, so that connections do not end."""
    faulty.network.command("disconnect", faulty.network.name, faulty.server.name)
    time.sleep(seconds)
    faulty.network.command(
        "connect", *faulty.place.options, faulty.network.name, faulty.server.name
    )


def frozen(faulty: Faulty, seconds: float) -> None:
    """Freeze the server, which then accepts connections and sends nothing."""
    faulty.container("pause")
    time.sleep(seconds)
    faulty.container("unpause")


def cut_off(faulty: Faulty, seconds: float) -> None:
    """End all connections three times."""
    for _ in range(3):
        faulty.server.administer(KILL[faulty.server.kind])
        time.sleep(seconds / 3)


def read_only(faulty: Faulty, seconds: float) -> None:
    """Make the server read-only for a while, like a demoted primary."""
    begin, end = READ_ONLY[faulty.server.kind]
    for statement, pause in ((begin, seconds), (end, 0)):
        faulty.server.administer(statement)
        if faulty.server.kind == "postgresql":
            faulty.server.administer("SELECT pg_reload_conf()")
        time.sleep(pause)


@contextmanager
def full_disk(faulty: Faulty) -> Iterator[Callable[[], None]]:
    """Fill the server's disk during the block, including the space that it has reserved.

    Yield a function that fills it again: a server that restarts removes some of its files.
    """
    file = f"{FOLDERS[faulty.server.kind]}/fill"

    def fill() -> None:
        faulty.inside(f"cat /dev/zero >> {file}")

    faulty.inside(f"{SLACK[faulty.server.kind]} > {file}")
    with suppress(subprocess.CalledProcessError):
        faulty.server.administer(SWELL[faulty.server.kind], "placement")
    fill()
    yield fill
    faulty.inside(f"rm {file}")


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (restarted, killed, gone, vanished, frozen, cut_off, read_only)
}
