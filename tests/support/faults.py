"""What a database server does to those who use it, and how that ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
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
# What takes the room that a server has set aside: PostgreSQL's log needs a new file for this, and
# MariaDB has to find room for each row in the pages that the table has.
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
    """A database server that a fault befalls, and a Placement that serves from it."""

    server: DatabaseServer
    network: Network
    place: Place
    placement: Server

    def container(self, command: str, *words: str) -> None:
        """Run one of the engine's commands for the server's container."""
        done = [self.server.engine, command, *words, self.server.name]
        subprocess.run(done, capture_output=True, check=True)

    def inside(self, script: str) -> None:
        """Run a script in the server's container, whether or not it can do what it is to do."""
        command = [self.server.engine, "exec", "--user=0", self.server.name, "sh", "-c", script]
        subprocess.run(command, capture_output=True, check=False)

    def wait(self) -> None:
        """Wait until the server lets somebody in."""
        wait_for(self.server)


Fault = Callable[[Faulty, float], None]


def restarted(it: Faulty, seconds: float) -> None:
    """Restart the server, as for a new version of it."""
    it.container("restart")


def gone(it: Faulty, seconds: float) -> None:
    """Stop the server for a while."""
    it.container("stop")
    time.sleep(seconds)
    it.container("start")


def killed(it: Faulty, seconds: float) -> None:
    """Kill the server, which has to recover what it had not written yet."""
    it.container("kill")
    it.container("start")


def vanished(it: Faulty, seconds: float) -> None:
    """Cut the server's cable: nothing says that it is gone."""
    it.network.command("disconnect", it.network.name, it.server.name)
    time.sleep(seconds)
    it.network.command("connect", *it.place.options, it.network.name, it.server.name)


def frozen(it: Faulty, seconds: float) -> None:
    """Freeze the server: it takes what is sent and answers nothing."""
    it.container("pause")
    time.sleep(seconds)
    it.container("unpause")


def cut_off(it: Faulty, seconds: float) -> None:
    """End all connections, again and again."""
    for _ in range(3):
        it.server.administer(KILL[it.server.kind])
        time.sleep(seconds / 3)


def read_only(it: Faulty, seconds: float) -> None:
    """Let the server take no writes for a while, as one that is no longer the primary."""
    begin, end = READ_ONLY[it.server.kind]
    for statement, pause in ((begin, seconds), (end, 0)):
        it.server.administer(statement)
        if it.server.kind == "postgresql":
            it.server.administer("SELECT pg_reload_conf()")
        time.sleep(pause)


def disk_full(it: Faulty, seconds: float) -> None:
    """Fill the server's disk for a while, down to the last byte that it has set aside."""
    file = f"{FOLDERS[it.server.kind]}/fill"
    it.inside(f"{SLACK[it.server.kind]} > {file}")
    with suppress(subprocess.CalledProcessError):
        it.server.administer(SWELL[it.server.kind], "placement")
    it.inside(f"cat /dev/zero >> {file}")
    time.sleep(seconds)
    it.inside(f"rm {file}")


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (restarted, killed, gone, vanished, frozen, cut_off, read_only)
}
