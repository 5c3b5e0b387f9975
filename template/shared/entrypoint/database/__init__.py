"""Placement's database: its URL, and what every connection to it gets."""

import os
import re
import socket
from typing import Any, NoReturn

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import exc as sa_exc

from entrypoint.errors import StartError
from entrypoint.variables import CONNECTION

# The drivers in the image whose errors oslo.db knows. The first of each database is the one to use.
DRIVERS = {
    "sqlite": ("sqlite", "sqlite+pysqlite"),
    "postgresql": ("postgresql+psycopg2", "postgresql"),
    "mysql": ("mysql+pymysql",),
}
# PyMySQL's error does not name the file that it cannot read.
TLS_FILES = {"ssl_ca", "ssl_cert", "ssl_key"}
# Seconds after which a connection to an unreachable server times out.
TCP_TIMEOUT = 10


def check_url(config: cfg.ConfigOpts) -> sa.URL:
    """Return the database's URL, or report what is wrong with it, without its password."""
    not_a_url = StartError(
        f"{CONNECTION} is not a database URL: write it as mysql+pymysql://USER:PASSWORD@HOST/NAME,"
        " with every special character of the password URL-encoded"
    )
    try:
        url = sa.make_url(config.placement_database.connection)
    except (sa_exc.ArgumentError, ValueError) as error:
        raise not_a_url from error
    if "@" in (url.host or ""):  # the rest of a password that contains an @
        raise not_a_url
    if url.drivername not in DRIVERS.get(url.get_backend_name(), ()):
        raise StartError(
            f"{CONNECTION}: the image has no driver for {url.drivername}; use sqlite:///,"
            " postgresql+psycopg2://, or mysql+pymysql:// for MySQL and MariaDB"
        )
    if url.get_backend_name() == "mysql" and not str(url.password or "").isascii():
        raise StartError(
            f"{CONNECTION}: the driver for MySQL and MariaDB supports only passwords of ASCII"
            " characters: change the user's password"
        )
    for option in TLS_FILES & url.query.keys():
        if not os.access(str(url.query[option]), os.R_OK):
            raise StartError(
                f"{CONNECTION}: {option}={url.query[option]} cannot be read: mount the file so that"
                f" uid {os.getuid()} can read it"
            )
    return url


def name_of(url: sa.URL) -> str:
    """Return the name of a database for messages: no user, no password, no options."""
    server = sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return f"the database {server.render_as_string()}"


@exc_filters.filters(  # type: ignore[untyped-decorator]
    "postgresql",
    sa_exc.OperationalError,
    r"(?s).*(failed: (?!.*FATAL)|could not translate host name|FATAL: +(the database system is"
    r"|sorry, too many clients already|remaining connection slots)"
    # Messages without the "failed: " before them, as in connection.interruptible().
    r"|Connection refused|Connection timed out|No route to host|Network is unreachable"
    r"|server closed the connection unexpectedly)",
)
def is_connection_error(error: Exception, *_: object) -> NoReturn:
    """Have oslo.db connect again: it knows only the messages of PostgreSQL's client before 14."""
    raise db_exception.DBConnectionError(error)


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
