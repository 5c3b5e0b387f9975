"""The statements that clients send to a database server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.containers import logs, new_name
from tests.support.servers import DatabaseServer


@dataclass
class Recording:
    """The log of the statements, complete after the block of `recorded()`."""

    text: str = ""


@contextmanager
def recorded(servers: Sequence[DatabaseServer]) -> Iterator[Recording]:
    """Record the statements that these servers get during the block."""
    recording = Recording()
    with ExitStack() as running:
        for server in servers:
            record = postgresql_log if server.kind == "postgresql" else mysql_log
            running.enter_context(record(server, recording))
        yield recording


@contextmanager
def postgresql_log(server: DatabaseServer, recording: Recording) -> Iterator[None]:
    """Record the statements that PostgreSQL gets; its log is the one of its container."""
    before = logs(server.engine, server.name)
    set_statement_log(server, "all")
    try:
        yield
    finally:
        set_statement_log(server, "none")
    recording.text += logs(server.engine, server.name)[len(before) :]


def set_statement_log(server: DatabaseServer, value: str) -> None:
    """Set which statements PostgreSQL logs."""
    server.administer(f"ALTER SYSTEM SET log_statement = '{value}'")
    server.administer("SELECT pg_reload_conf()")


@contextmanager
def mysql_log(server: DatabaseServer, recording: Recording) -> Iterator[None]:
    """Record the statements that a server of MySQL's family gets, in a file of its container."""
    file = f"/tmp/{new_name()}.log"  # noqa: S108 # in the container
    server.administer(f"SET GLOBAL general_log_file = '{file}'; SET GLOBAL general_log = ON")
    try:
        yield
    finally:
        server.administer("SET GLOBAL general_log = OFF")
    read = [server.engine, "exec", server.name, "cat", file]
    recording.text += subprocess.check_output(read, text=True, errors="replace")
