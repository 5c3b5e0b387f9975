"""Placement's database: its URL, and what every connection to it gets."""

import os
import re
import socket
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import exc as sa_exc

from entrypoint.errors import StartError

PREFIX = "OS_PLACEMENT_DATABASE__"
# The drivers in the image whose errors oslo.db knows. The first of each database is the one to use.
DRIVERS = {
    "sqlite": ("sqlite", "sqlite+pysqlite"),
    "postgresql": ("postgresql+psycopg2", "postgresql"),
    "mysql": ("mysql+pymysql",),
}
# The drivers' errors do not name the file that they cannot read.
TLS_FILES = {"ssl_ca", "ssl_cert", "ssl_key", "sslrootcert", "sslcert", "sslkey"}
# Without ssl_ca, PyMySQL does not verify the server.
MYSQL_TLS = {"ssl_cert", "ssl_check_hostname", "ssl_cipher", "ssl_key"}
# The options of a URL that have an effect, and the one that their names promise.
OPTIONS = {
    "sqlite": {"timeout"},
    "mysql": {
        *("bind_address", "charset", "collation", "connect_timeout", "init_command"),
        *("program_name", "read_timeout", "sql_mode", "ssl_ca", "ssl_disabled", "unix_socket"),
        "write_timeout",
        *MYSQL_TLS,
    },
}
# Options of PostgreSQL's client that replace other parts of the URL, or read them from a file.
REPLACING = {"database", "dbname", "dsn", "passfile", "password", "service", "user"}
# PyMySQL would read `ssl_disabled=false` as true.
VALUES = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "ssl_disabled": {"true"},
}
# SQLAlchemy reads more than this, and differently with each unencoded character.
SERVER_URL = re.compile(r"[\w+]+://([^/?#@]*@)?[^/?#@]*(/[^/?#@]*)?(\?[^#@]*)?")
# Seconds after which a connection to an unreachable server times out.
TCP_TIMEOUT = 10


def check_url(config: cfg.ConfigOpts) -> sa.URL:
    """Return the database's URL, or report what is wrong with it, without its password."""
    group = config.placement_database
    parameters = group.connection_parameters or ""
    if group.slave_connection:
        check(f"{PREFIX}SLAVE_CONNECTION", group.slave_connection, parameters)
    return check(f"{PREFIX}CONNECTION", group.connection, parameters)


def check(variable: str, connection: str, parameters: str) -> sa.URL:
    """Return the URL in a variable, with the parameters that oslo.db would append."""
    not_a_url = StartError(
        f"{variable} is not a database URL: write it as mysql+pymysql://USER:PASSWORD@HOST/NAME,"
        " with every special character of the password percent-encoded: %40 for @, %2F for /,"
        " %3F for ?, %23 for #, %25 for %"
    )
    try:
        url = sa.make_url(connection)
    except (sa_exc.ArgumentError, ValueError) as error:
        raise not_a_url from error
    backend = url.get_backend_name()
    if url.drivername not in DRIVERS.get(backend, ()):
        if backend not in DRIVERS and not SERVER_URL.fullmatch(connection):
            raise not_a_url
        raise StartError(
            f"{variable}: the image has no driver for {url.drivername}; use sqlite:///,"
            " postgresql+psycopg2://, or mysql+pymysql:// for MySQL and MariaDB"
        )
    if backend != "sqlite" and not SERVER_URL.fullmatch(connection):
        raise not_a_url
    if url.database in (None, "", ":memory:"):
        example = "sqlite:////PATH" if backend == "sqlite" else f"{url.drivername}://.../NAME"
        raise StartError(f"{variable} names no database: write it as {example}")
    if backend == "mysql" and not str(url.password or "").isascii():
        raise StartError(
            f"{variable}: the driver for MySQL and MariaDB supports only passwords of ASCII"
            " characters: change the user's password"
        )
    query = "&".join((connection.partition("?")[2], parameters))
    url = url.update_query_string(parameters, append=True)
    check_options(variable, url, dict(parse_qsl(query, keep_blank_values=True)))
    return url


def check_options(variable: str, url: sa.URL, given: dict[str, str]) -> None:
    """Refuse options that the driver would refuse, ignore, or use to do without TLS."""
    backend = url.get_backend_name()
    supported = OPTIONS.get(backend)
    for name, value in given.items():
        if name in REPLACING or (supported and name not in supported):
            advice = f"use only {', '.join(sorted(supported))}" if supported else "remove it"
            raise StartError(
                f"{variable}: the option {name} is not supported for {url.drivername}: {advice}"
            )
        if not value or value not in VALUES.get(name, {value}):
            raise StartError(f"{variable}: {name}={value} is not a valid value")
        if name in TLS_FILES and not os.access(value, os.R_OK):
            raise StartError(
                f"{variable}: {name}={value} cannot be read: mount the file so that"
                f" uid {os.getuid()} can read it"
            )
    if MYSQL_TLS & given.keys() and "ssl_ca" not in given:
        raise StartError(f"{variable}: without ssl_ca, the server is not verified: add ssl_ca")
    dialect = url.get_dialect()
    try:
        _, arguments = dialect().create_connect_args(url)
        if backend == "mysql":
            dialect.import_dbapi().Connection(**arguments, defer_connect=True)
        if backend == "postgresql":
            dialect.import_dbapi().extensions.make_dsn(**arguments)
    except Exception as error:
        raise StartError(f"{variable}: the driver refuses an option: {error}") from error


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
