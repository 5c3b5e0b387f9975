"""The rights that Placement and its migrations need in the database of a server."""

import contextlib
import re
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

SEQUENCES = "USAGE of sequences"
# What Placement needs to serve.
TO_SERVE = ("SELECT", "INSERT", "UPDATE", "DELETE", SEQUENCES)
# For each right in MySQL and MariaDB, a statement that always fails. Its error names the right only
# if the user does not have it. Without SELECT, nothing works.
ATTEMPTS = {
    "INSERT": "INSERT INTO placement_check VALUES (1)",
    "UPDATE": "UPDATE placement_check SET a = 1",
    "DELETE": "DELETE FROM placement_check",
    "CREATE": "CREATE TABLE placement_check (a INT, a INT)",
    "ALTER": "ALTER TABLE placement_check ADD COLUMN a INT",
    "DROP": "DROP TABLE placement_check",
    "INDEX": "CREATE INDEX a ON placement_check (a)",
    "REFERENCES": "CREATE TABLE placement_check (a INT, a INT, FOREIGN KEY (a) REFERENCES b (a))",
}
# What a new user in MySQL and MariaDB gets. In PostgreSQL, the owner has all rights.
GRANTED = ("SELECT", *ATTEMPTS)
DENIED = 1142
# A user who can read MySQL's own tables sees the rights of all users.
SHOWN = sa.text("""
    SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = :grantee
    UNION SELECT privilege_type FROM information_schema.schema_privileges
        WHERE grantee = :grantee AND table_schema = :database
""")
# What PostgreSQL allows on each of Placement's tables.
ALLOWED = sa.text("""
    SELECT
        pg_has_role(relowner, 'USAGE') AS "ALTER",
        has_table_privilege(oid, 'SELECT') AS "SELECT",
        has_table_privilege(oid, 'INSERT') AS "INSERT",
        has_table_privilege(oid, 'UPDATE') AS "UPDATE",
        has_table_privilege(oid, 'DELETE') AS "DELETE",
        (
            SELECT COALESCE(bool_and(has_sequence_privilege(
                pg_get_serial_sequence(CAST(CAST(attrelid AS regclass) AS text), attname),
                'USAGE, UPDATE'
            )), true)
            FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        ) AS "USAGE of sequences"
    FROM pg_class
    WHERE relkind = 'r' AND relname = ANY (:names)
        AND relnamespace = to_regnamespace(quote_ident(current_schema()))
""")


def missing(connection: sa.Connection, tables: Iterable[str]) -> list[str]:
    """Return the rights that the user does not have; the tables are those that exist."""
    if connection.dialect.name == "mysql":
        return list(denied_by_mysql(connection))
    return list(denied_by_postgresql(connection, list(tables)))


def denied_by_mysql(connection: sa.Connection) -> Iterator[str]:
    """Yield the rights that MySQL or MariaDB denies.

    It does not show the rights of a role, so a right that it does not show is attempted. A right
    that it shows is not: Galera would send the statement to all nodes. A grant whose name of the
    database is a pattern does not count as shown: a more specific one may replace it.
    """
    user, database = connection.execute(sa.text("SELECT CURRENT_USER(), DATABASE()")).one()
    name, _, host = user.rpartition("@")
    values = {"grantee": f"'{name}'@'{host}'", "database": pattern(database)}
    shown = set(connection.execute(SHOWN, values).scalars())
    for right, statement in ATTEMPTS.items():
        if right not in shown and is_denied(connection, right, statement):
            yield right


def pattern(database: str) -> str:
    """Return the name of a database as a grant in MySQL and MariaDB contains it."""
    return re.sub(r"([_%])", r"\\\1", database)


def is_denied(connection: sa.Connection, right: str, statement: str) -> bool:
    """Return whether the server denies a right to a statement that always fails."""
    driver = connection.dialect.loaded_dbapi
    with contextlib.closing(connection.connection.cursor()) as cursor:
        try:
            cursor.execute(statement)
        except driver.Error as error:
            return error.args[0] == DENIED and right in error.args[1].split()
    return False


def denied_by_postgresql(connection: sa.Connection, tables: list[str]) -> Iterator[str]:
    """Yield the rights that PostgreSQL denies. Only the owner of a table can alter it."""
    if not connection.scalar(sa.text("SELECT has_schema_privilege(current_schema(), 'CREATE')")):
        yield "CREATE"
    allowed = connection.execute(ALLOWED, {"names": tables}).mappings().all()
    yield from (right for right in (*TO_SERVE, "ALTER") if not all(row[right] for row in allowed))
