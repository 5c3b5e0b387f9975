"""What every connection to the database gets, and when Placement leaves a server.

oslo.db drops all connections of a process after a DBConnectionError.
"""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import sqlalchemy as sa
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import exc as sa_exc

# Seconds after which a connection to an unreachable server times out.
TCP_TIMEOUT = 10
# PostgreSQL's default.
PORT = 5432
# The defaults for several hosts of PostgreSQL: only the primary, and the seconds for each host.
SEVERAL_HOSTS = {"target_session_attrs": "read-write", "connect_timeout": "5"}
# The host and port of the last connection to PostgreSQL.
last_used: list[tuple[str, int]] = []
# Seconds between two checks that the server of a connection is not read-only.
READ_ONLY_INTERVAL = 1
# PostgreSQL reports the values of these settings, from version 14 on, with each of its answers.
READ_ONLY_SETTINGS = ("in_hot_standby", "default_transaction_read_only")


@exc_filters.filters(  # type: ignore[untyped-decorator]
    "postgresql",
    sa_exc.OperationalError,
    r"(?s).*(failed: (?!.*FATAL)|could not translate host name|FATAL: +(the database system is"
    r"|sorry, too many clients already|too many connections for|remaining connection slots)"
    # Messages without the "failed: " before them.
    r"|Connection refused|Connection timed out|No route to host|Network is unreachable"
    r"|server closed the connection unexpectedly)",
)
@exc_filters.filters(  # type: ignore[untyped-decorator]
    "postgresql", sa_exc.DBAPIError, r"\(psycopg2\.errors\.ReadOnlySqlTransaction\) "
)
# 1040, 1203, 1226: too many connections. 1180: a failed commit, as on a Galera node without a
# majority. 1290, 1792, 1836: a read-only server.
@exc_filters.filters(  # type: ignore[untyped-decorator]
    "mysql",
    sa_exc.DBAPIError,
    r"\(pymysql\.err\.\w+\) \((1040|1180|1203|1226|1290|1792|1836), ",
)
def is_connection_error(error: Exception, *_: object) -> NoReturn:
    """Have oslo.db connect again after errors that it does not know: another server may be better.

    Of PostgreSQL, it knows only the messages of the client before version 14.
    """
    raise db_exception.DBConnectionError(error)


@sa.event.listens_for(sa.Engine, "do_connect")
def connect(
    dialect: sa.Dialect, _: object, arguments: list[Any], parameters: dict[str, Any]
) -> Any:
    """Connect, and of several hosts of PostgreSQL try the last one first.

    libpq tries the hosts in order. A silent host would delay each new connection.
    """
    if dialect.name == "mysql":
        return connect_to_mysql(dialect, arguments, parameters)
    if dialect.name != "postgresql":
        return None
    hosts = str(parameters.get("host")).split(",")
    if len(hosts) > 1:
        servers = sorted(
            zip(hosts, parameters["port"].split(","), strict=True),
            key=lambda server: (server[0], int(server[1] or PORT)) not in last_used,
        )
        host, port = map(",".join, zip(*servers, strict=True))
        parameters = {**SEVERAL_HOSTS, **parameters, "host": host, "port": port}
    connection = without_callback(lambda: dialect.connect(*arguments, **parameters))
    last_used[:] = [(connection.info.host, connection.info.port or PORT)]
    return connection


def connect_to_mysql(dialect: sa.Dialect, arguments: list[Any], parameters: dict[str, Any]) -> Any:
    """Connect to MySQL or MariaDB, and limit the wait for the server's first packets.

    HAProxy keeps a connection open whose server has vanished before it answered. The driver limits
    only the TCP connection, so a request would wait until the proxy's timeout, often an hour.
    """
    limit = parameters.get("connect_timeout", TCP_TIMEOUT)
    connection: Any = dialect.connect(*arguments, **{"read_timeout": limit, **parameters})
    connection._read_timeout = parameters.get("read_timeout")
    return connection


@contextlib.contextmanager
def interruptible(url: sa.URL) -> Iterator[None]:
    """Let PostgreSQL's driver wait in Python: its C library would not return for a signal."""
    if url.get_backend_name() != "postgresql":
        yield
        return
    # Imported only for PostgreSQL, because it takes long to load.
    from psycopg2 import extensions, extras

    extensions.set_wait_callback(extras.wait_select)
    try:
        yield
    finally:
        extensions.set_wait_callback(None)


def without_callback(connect: Callable[[], Any]) -> Any:
    """Let libpq connect by itself, because only then its timeout applies to each host.

    libpq does not return for a signal, but the wait for a thread does.
    """
    from psycopg2 import extensions

    callback = extensions.get_wait_callback()
    if callback is None:  # while Placement serves
        return connect()
    extensions.set_wait_callback(None)
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(connect).result()
    finally:
        thread.shutdown(wait=False)
        extensions.set_wait_callback(callback)


@sa.event.listens_for(sa.pool.Pool, "checkout")
def leave_read_only_server(connection: Any, record: sa.pool.ConnectionPoolEntry, _: object) -> None:
    """Drop all connections of this process when the server has become read-only.

    It may be a former primary. A proxy opens new connections to the current primary, but need not
    close the existing ones, and only a write would fail.
    """
    now = time.monotonic()
    if now - record.info.setdefault("checked", now) < READ_ONLY_INTERVAL:
        return
    record.info["checked"] = now
    if is_read_only(connection):
        raise sa_exc.InvalidatePoolError


def is_read_only(connection: Any) -> bool:
    """Return whether the server accepts no writes."""
    if hasattr(connection, "get_parameter_status"):  # psycopg2
        return "on" in map(connection.get_parameter_status, READ_ONLY_SETTINGS)
    if not hasattr(connection, "get_server_info"):  # sqlite
        return False
    with connection.cursor() as cursor:
        # A proxy may send a SELECT to a replica.
        cursor.execute("SHOW GLOBAL VARIABLES LIKE 'read_only'")
        [(_, value)] = cursor.fetchall()
    return bool(value != "OFF")


@sa.event.listens_for(sa.Engine, "connect")
def set_tcp_timeouts(connection: Any, _: object) -> None:
    """Let a request fail when the server's host has vanished; without this it hangs for 15 minutes.

    The kernel of a server that is only slow keeps answering.
    """
    opened = getattr(connection, "_sock", connection)  # where PyMySQL keeps its socket
    if not hasattr(opened, "fileno"):  # sqlite
        return
    with socket.socket(fileno=os.dup(opened.fileno())) as shared:
        if shared.family != socket.AF_UNIX:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TCP_TIMEOUT // 2)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, TCP_TIMEOUT // 2)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_TIMEOUT * 1000)


@sa.event.listens_for(sa.pool.Pool, "connect")
def disable_snapshot_isolation(connection: Any, _: object) -> None:
    """Let the later of two writers win in MariaDB from 11.6 on, as in MySQL and older MariaDB.

    By default the later writer fails there with 1020 "Record has changed since last read", which
    Placement answers with 500 (https://mariadb.com/kb/en/innodb-system-variables).
    """
    info = getattr(connection, "get_server_info", str)()
    found = re.search(r"(\d+)\.(\d+)\.\d+-MariaDB", info)
    if found and (int(found[1]), int(found[2])) >= (11, 6):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_snapshot_isolation = OFF")
