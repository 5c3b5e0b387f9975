"""The command create-database: Placement's database and its user, created by an administrator."""

import contextlib
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import exc as sa_exc

from entrypoint.database import check, check_url, checks, name_of
from entrypoint.database.checks import CHARACTERS, ERROR, OK, Check, Database, Found
from entrypoint.database.connection import FAILURES, command, connect, report_failures
from entrypoint.database.lock import KEY, number
from entrypoint.database.rights import GRANTED, pattern
from entrypoint.errors import StartError
from entrypoint.variables import ADMIN_CONNECTION, CONNECTION, take, where

PORTS = {"postgresql": 5432, "mysql": 3306}
# The database in which an administrator of PostgreSQL works by default.
MAINTENANCE = "postgres"
# How MySQL and PostgreSQL refuse a password. PostgreSQL's driver has no number for that error, and
# the server writes the text in its own language: in another one, the password is not changed.
WRONG_NUMBER = 1045
WRONG_TEXT = "password authentication failed"
# How MySQL and MariaDB refuse a user who has no right on the database.
NO_RIGHT_NUMBER = 1044
HAS_DATABASE = {
    "postgresql": "SELECT 1 FROM pg_database WHERE datname = :name",
    "mysql": "SELECT 1 FROM information_schema.schemata WHERE schema_name = :name",
}
HAS_USER = {
    "postgresql": "SELECT 1 FROM pg_roles WHERE rolname = :name",
    "mysql": "SELECT 1 FROM mysql.user WHERE user = :name AND host = '%'",
}
HAS_TABLES = "SELECT 1 FROM information_schema.tables WHERE table_schema = :name LIMIT 1"
# Accounts that the server may prefer to the one for all hosts. Those for its own host apply only to
# clients there.
OTHER_HOSTS = """
    SELECT host FROM mysql.user
    WHERE user = :name AND host NOT IN ('%', '') AND (
        host NOT IN ('localhost', '127.0.0.1', '::1')
        OR SUBSTRING_INDEX(USER(), '@', -1) IN ('localhost', '127.0.0.1', '::1')
    )
    ORDER BY host
"""
# The owner of the database, unless the user has the rights of the owner.
OTHER_OWNER = """
    SELECT owner.rolname FROM pg_database JOIN pg_roles AS owner ON owner.oid = datdba
    WHERE datname = current_database() AND NOT EXISTS (
        SELECT FROM pg_roles AS given
        WHERE given.rolname = :user AND pg_has_role(given.oid, datdba, 'USAGE')
    )
"""


def create_database() -> None:
    """Create the database and its user as an administrator, unless they exist."""
    with command() as config:
        url = check_url(config)
        admin = admin_url(url)
        changes = 0
        if login_error(config):
            with report_failures(admin, advice), as_administrator(admin) as connection:
                changes = Creation(config, url, admin, connection).run()
        with connect(config).connect() as connection:
            refuse(config, connection, {**checks_of(url), "rights": checks.check_rights})
        if not changes:
            print("nothing to change")


def admin_url(url: sa.URL) -> sa.URL:
    """Return the administrator's URL. It has to name the server of Placement's URL."""
    kind = url.get_backend_name()
    if kind == "sqlite":
        raise StartError(f"{name_of(url)} has no users: create-database is for database servers")
    if not url.username or not url.password:
        raise StartError(f"{where(CONNECTION)} names no user or no password: add them to the URL")
    text = take(ADMIN_CONNECTION)
    if not text:
        raise StartError(
            f"{ADMIN_CONNECTION} is not set: set it to the URL of an administrator of the server"
        )
    admin = check(where(ADMIN_CONNECTION), text, "", needs_database=False)
    if admin.get_backend_name() != kind or addresses(admin).isdisjoint(addresses(url)):
        raise StartError(
            f"{where(ADMIN_CONNECTION)} is for {name_of(admin)}, but {where(CONNECTION)} is for"
            f" {name_of(url)}: set both to the same server and port"
        )
    return admin.set(database=admin.database or MAINTENANCE) if kind == "postgresql" else admin


def addresses(url: sa.URL) -> set[tuple[str, int]]:
    """Return the hosts or the socket of a URL with its ports, and the addresses of the hosts."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    hosts = str(arguments.get("unix_socket") or arguments.get("host") or "").split(",")
    ports = str(arguments.get("port") or PORTS[url.get_backend_name()]).split(",")
    found = set()
    for host, port in zip(hosts, ports if len(ports) > 1 else ports * len(hosts), strict=True):
        names = {host}
        with contextlib.suppress(OSError):
            names |= {str(each[4][0]) for each in socket.getaddrinfo(host or None, 0)}
        found |= {(name, int(port)) for name in names}
    return found


def login_error(config: cfg.ConfigOpts) -> Exception | None:
    """Return why the server refuses Placement's login. A server without an answer is an error."""
    try:
        connect(config)
    except db_exception.DBConnectionError:
        raise
    except (db_exception.DBError, sa_exc.SQLAlchemyError) as error:
        return error
    return None


def number_of(error: Exception | None) -> object:
    """Return the number of an error of MySQL or MariaDB, which oslo.db may have wrapped."""
    inner = getattr(error, "inner_exception", error)
    return number(inner) if isinstance(inner, sa_exc.DBAPIError) else None


def advice(_: BaseException) -> str:
    """Return what the operator can do when the administrator fails."""
    return (
        f"Correct {where(ADMIN_CONNECTION)}, or give its user the rights to create databases and"
        " users"
    )


def as_administrator(url: sa.URL) -> sa.Connection:
    """Return a connection that commits each statement. Its locks end with it."""
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect()


def checks_of(url: sa.URL) -> dict[str, Check]:
    """Return the checks of a database that do not depend on the user of the connection."""
    return {
        "characters": checks.check_characters,
        "owner": partial(check_owner, user=str(url.username), name=str(url.database)),
    }


def check_owner(database: Database, user: str, name: str) -> Found:
    """Find a database of PostgreSQL that belongs to another user."""
    if database.kind != "postgresql":
        return
    if owner := database.execute(OTHER_OWNER, user=user).scalar():
        yield (
            ERROR,
            f"the database {name} belongs to {owner}: run ALTER DATABASE {name} OWNER TO {user},"
            " or use another database",
        )


def refuse(config: cfg.ConfigOpts, connection: sa.Connection, named: Mapping[str, Check]) -> None:
    """Print what is wrong with a database, and fail if there is an error."""
    found = checks.findings(Database(connection), named)
    checks.report(config, [each for each in found if each.severity != OK], as_json=False)


class Creation:
    """What an administrator does. Several containers may do it at the same time."""

    def __init__(
        self, config: cfg.ConfigOpts, url: sa.URL, admin: sa.URL, connection: sa.Connection
    ) -> None:
        """Take both URLs, and the administrator's connection."""
        self.config, self.url, self.admin, self.connection = config, url, admin, connection
        self.is_mysql = url.get_backend_name() == "mysql"
        self.name, self.user = str(url.database), str(url.username)
        quote = connection.dialect.identifier_preparer.quote_identifier
        self.database, self.pattern = quote(self.name), quote(pattern(self.name))
        self.account = quote(self.user) + ("@'%%'" if self.is_mysql else "")
        self.changes = 0

    def run(self) -> int:
        """Create what is missing, and return the number of changes."""
        if not self.is_mysql:
            self.execute("SET lock_timeout = '5min'")
            self.connection.execute(sa.select(sa.func.pg_advisory_lock(KEY)))
        elif hosts := self.find(OTHER_HOSTS, self.user):
            others = ", ".join(f"{self.user}@{host}" for host in hosts)
            raise StartError(
                f"the server may prefer {others} to {self.user}@%, the only account that"
                f" create-database manages: delete {others}, or set up the database {self.name}"
                " and its user yourself"
            )
        kind = self.url.get_backend_name()
        # Whoever creates the user meanwhile has found no tables, and may create them by now.
        has_tables = self.is_mysql and bool(self.find(HAS_TABLES, self.name))
        has_user = bool(self.find(HAS_USER[kind], self.user))
        has_database = bool(self.find(HAS_DATABASE[kind], self.name))
        if has_database:
            with as_administrator(self.admin.set(database=self.name)) as connection:
                refuse(self.config, connection, checks_of(self.url))
        if has_tables and not has_user:
            raise self.no_rights("does not exist", "create it, and grant")
        created_user = not has_user and self.set_password(
            "CREATE USER", f"created the user {self.user}"
        )
        try:
            # The rights of an existing user on an existing database are only reported.
            if self.is_mysql and not (has_user and has_database):
                self.grant()
            if not has_database:
                self.create_database()
        except FAILURES:
            # If the login works, another container has completed the user meanwhile.
            if created_user and login_error(self.config):
                self.execute(f"DROP USER {self.account}", f"deleted the user {self.user}")
            raise
        error = None if created_user else login_error(self.config)
        if self.is_wrong_password(error):
            self.set_password("ALTER USER", f"changed the password of {self.user}")
            error = login_error(self.config)
        if self.is_mysql and number_of(error) == NO_RIGHT_NUMBER:
            if has_tables:
                raise self.no_rights("has no rights there", "grant")
            # Another run has created the user, and was interrupted or is not complete yet.
            self.grant()
        return self.changes

    def no_rights(self, problem: str, fix: str) -> StartError:
        """Return why the user gets no rights on a database of MySQL or MariaDB with tables.

        The tables may be another service's, or somebody has revoked the rights.
        """
        return StartError(
            f"the database {self.name} has tables, but the user {self.user} {problem}: set another"
            f" database in {where(CONNECTION)}, or {fix} {self.user} {', '.join(GRANTED)} on"
            f" {self.name}"
        )

    def grant(self) -> None:
        """Grant what Placement needs in MySQL or MariaDB. The database need not exist yet."""
        rights = ", ".join(GRANTED)
        self.execute(
            f"GRANT {rights} ON {self.pattern}.* TO {self.account}",
            f"granted {self.user} {rights} on {self.name}",
        )

    def create_database(self) -> None:
        """Create the database. In PostgreSQL, it belongs to the user."""
        characters = CHARACTERS[self.url.get_backend_name()]
        change = f"created the database {self.name} with {characters}"
        if self.is_mysql:
            self.execute(f"CREATE DATABASE IF NOT EXISTS {self.database} {characters}", change)
            return
        # Only a member of a role can create a database for it, or a superuser.
        is_member = self.find(
            "SELECT 1 WHERE pg_has_role(current_user, CAST(:name AS name), 'USAGE')", self.user
        )
        if not is_member:
            self.execute(f"GRANT {self.account} TO CURRENT_USER")
        try:
            # Another template may contain objects, or have another encoding.
            self.execute(
                f"CREATE DATABASE {self.database} OWNER {self.account} TEMPLATE template0"
                f" {characters}",
                change,
            )
        finally:
            if not is_member:
                self.execute(f"REVOKE {self.account} FROM CURRENT_USER")

    def set_password(self, statement: str, change: str) -> bool:
        """Create or alter the user, and return whether that has changed anything.

        The log of PostgreSQL must not contain the password.
        """
        password = str(self.url.password)
        if self.is_mysql:
            # Another container may have created the user meanwhile.
            statement = statement.replace("CREATE USER", "CREATE USER IF NOT EXISTS")
            statement += f" {self.account} IDENTIFIED BY %(it)s"
            return self.execute(statement, change, it=password)
        from psycopg2 import extensions

        session = self.connection.connection.driver_connection
        encrypted = extensions.encrypt_password(password, self.user, session)
        return self.execute(f"{statement} {self.account} PASSWORD %(it)s", change, it=encrypted)

    def is_wrong_password(self, error: Exception | None) -> bool:
        """Return whether a login fails because of the password, and not for another reason."""
        return number_of(error) == WRONG_NUMBER if self.is_mysql else WRONG_TEXT in str(error)

    def find(self, query: str, name: str) -> Sequence[Any]:
        """Return what a query finds for a name."""
        return self.connection.scalars(sa.text(query), {"name": name}).all()

    def execute(self, statement: str, change: str = "", **values: str) -> bool:
        """Execute a statement, print what it has changed, and return whether it has."""
        self.connection.exec_driver_sql(statement, values)
        # After IF NOT EXISTS, MySQL and MariaDB report what exists as a note.
        if self.is_mysql:
            levels = self.connection.exec_driver_sql("SHOW WARNINGS").scalars()
            change = "" if "Note" in levels else change
        if change:
            print(change, flush=True)
            self.changes += 1
        return bool(change)
