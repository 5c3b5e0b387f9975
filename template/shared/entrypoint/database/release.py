"""The release that a database belongs to, recorded in the database, and the steps from it.

The schema does not show the release: several releases share one.
"""

import re
from importlib.metadata import version

import sqlalchemy as sa

from entrypoint.errors import StartError

VERSION = version("openstack-placement")
MAJOR = int(VERSION.split(".")[0])
# A server keeps a comment with a table, SQLite a number with a file. Placement's tables stay
# unchanged, and a dump contains the record.
TABLE = sa.Table("alembic_version", sa.MetaData(), comment=f"placement {VERSION}")


class NewerDatabaseError(StartError):
    """A newer release has brought the database up to date."""


def series(major: int) -> str:
    """Return the OpenStack series of a major version: there are two a year, and 13 is 2025.1."""
    year, half = divmod(major - 13, 2)
    return f"{2025 + year}.{half + 1}"


def is_step(recorded: int, own: int) -> bool:
    """Return whether OpenStack supports this upgrade.

    It leads to the next release, or from a SLURP release, the first of a year, to the next SLURP.
    """
    return own - recorded in ((0, 1, 2) if recorded % 2 else (0, 1))


def refusal(recorded: int, own: int) -> StartError | None:
    """Return the error for a step that OpenStack does not support."""
    if is_step(recorded, own):
        return None
    if own < recorded:
        return NewerDatabaseError(
            f"the database is at release {series(recorded)} and cannot go back to {series(own)}:"
            f" use the image of {series(recorded)}"
        )
    next_slurp = recorded + 2 - (recorded + 1) % 2
    return StartError(
        f"OpenStack cannot upgrade the database from {series(recorded)} to {series(own)} in one"
        f" step: upgrade to {series(next_slurp)} first"
    )


def recorded(connection: sa.Connection) -> int | None:
    """Return the major version of the last sync, or None in a database without a record.

    Only this image's db-sync writes the record.
    """
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql("PRAGMA user_version").scalar() or None
    inspector = sa.inspect(connection)
    if not inspector.has_table(TABLE.name):
        return None
    comment = inspector.get_table_comment(TABLE.name)["text"] or ""
    found = re.fullmatch(r"placement (\d+)\..*", comment)
    return int(found[1]) if found else None


def record(connection: sa.Connection) -> None:
    """Record that this release has brought the database up to date."""
    if recorded(connection) == MAJOR:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {MAJOR}")
    else:
        connection.execute(sa.schema.SetTableComment(TABLE))


def refuse_step(connection: sa.Connection) -> None:
    """Refuse to sync a database from which OpenStack supports no step to this release."""
    found = recorded(connection)
    error = refusal(found, MAJOR) if found else None
    if error:
        raise error
