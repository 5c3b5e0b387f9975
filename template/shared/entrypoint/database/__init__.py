"""Placement's database: its URL, and what is wrong with it."""

import os
import re
from urllib.parse import parse_qsl, unquote

import sqlalchemy as sa
from oslo_config import cfg
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
    # Placement writes.
    "target_session_attrs": {"any", "primary", "read-write"},
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "ssl_disabled": {"true"},
}
# SQLAlchemy reads more than this, and differently with each unencoded character.
SERVER_URL = re.compile(r"[\w+]+://([^/?#@]*@)?[^/?#@]*(/[^/?#@]*)?(\?[^#@]*)?")
# What to do instead of writing several hosts before the name of the database.
USE_ONE_HOST = {
    "mysql": "use the host of a proxy in front of the servers",
    "postgresql": (
        "write the hosts as options of a URL:"
        " postgresql+psycopg2://USER:PASSWORD@/NAME?host=HOST&host=HOST"
    ),
}
# Several hosts before the name of the database.
SEVERAL_HOSTS = re.compile(r"[\w+]+://([^/?#@]*@)?[^/?#@]*,[^/?#@]*([/?][^@]*)?")


def check_url(config: cfg.ConfigOpts) -> sa.URL:
    """Return the database's URL, or report what is wrong with it, without its password."""
    group = config.placement_database
    parameters = group.connection_parameters or ""
    if group.slave_connection:
        check(f"{PREFIX}SLAVE_CONNECTION", group.slave_connection, parameters)
    url = check(f"{PREFIX}CONNECTION", group.connection, parameters)
    backend = os.environ.get("DATABASE_BACKEND") or url.get_backend_name()
    if backend != url.get_backend_name():
        raise StartError(
            f"DATABASE_BACKEND={backend} does not match {name_of(url)}: set DATABASE_HOST, or the"
            f" URL in {PREFIX}CONNECTION, to a server of {backend}"
        )
    return url


def check(
    variable: str, connection: str, parameters: str, *, needs_database: bool = True
) -> sa.URL:
    """Return the URL in a variable, with the parameters that oslo.db would append."""
    if SEVERAL_HOSTS.fullmatch(connection):
        backend = "mysql" if connection.startswith("mysql") else "postgresql"
        raise StartError(f"{variable}: a URL has only one host: {USE_ONE_HOST[backend]}")
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
    if needs_database and url.database in (None, "", ":memory:"):
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
        if name == "host" and url.host:
            raise StartError(f"{variable}: the option host replaces {url.host}: remove one of them")
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
    """Return the name of a database for messages: its hosts, but no user and no password."""
    hosts = {name: url.query[name] for name in ("host", "port") if name in url.query}
    server = sa.URL.create(url.drivername, None, None, url.host, url.port, url.database, hosts)
    return f"the database {unquote(server.render_as_string())}"
