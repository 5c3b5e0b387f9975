"""Which release a database belongs to, recorded in the database itself, and where it may go.

The schema does not tell: releases may share one, and these four do.
"""

import re
from importlib.metadata import version

import sqlalchemy as sa

from problem import StartError

VERSION = version("openstack-placement")
MAJOR = int(VERSION.split(".")[0])
# A server keeps a comment with a table, SQLite a number with a file: placement's tables stay as
# they are, and a dump takes either along.
TABLE = sa.Table("alembic_version", sa.MetaData(), comment=f"placement {VERSION}")


class NewerDatabaseError(StartError):
    """A newer release has brought the database up to date."""


def series(major: int) -> str:
    """Return the OpenStack release of a placement: two come a year, and 13 is 2025.1."""
    year, half = divmod(major - 13, 2)
    return f"{2025 + year}.{half + 1}"


def is_step(recorded: int, own: int) -> bool:
    """Return whether OpenStack upgrades from the one to the other.

    To the next release, or from a SLURP release, the first of a year, to the next one of these.
    """
    return own - recorded in ((0, 1, 2) if recorded % 2 else (0, 1))


def refusal(recorded: int, own: int) -> StartError | None:
    """Return what a step that OpenStack does not support is refused with."""
    if is_step(recorded, own):
        return None
    if own < recorded:
        return NewerDatabaseError(
            f"the database is of release {series(recorded)} already, and none goes back to"
            f" {series(own)}: use the image of {series(recorded)}"
        )
    next_slurp = recorded + 2 - (recorded + 1) % 2
    return StartError(
        f"the database is of release {series(recorded)}, and OpenStack supports no single step from"
        f" there to {series(own)}: upgrade to {series(next_slurp)} first"
    )


def recorded(engine: sa.Engine) -> int | None:
    """Return the major version that has brought the database up to date, where there is a record.

    There is none in a database that this image has not brought up to date so far.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            return connection.exec_driver_sql("PRAGMA user_version").scalar() or None
    inspector = sa.inspect(engine)
    if not inspector.has_table(TABLE.name):
        return None
    comment = inspector.get_table_comment(TABLE.name)["text"] or ""
    found = re.fullmatch(r"placement (\d+)\..*", comment)
    return int(found[1]) if found else None


def record(engine: sa.Engine) -> None:
    """Record that this release has brought the database up to date, if that is not there yet."""
    if recorded(engine) == MAJOR:
        return
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA user_version = {MAJOR}")
        else:
            connection.execute(sa.schema.SetTableComment(TABLE))


def refuse_step(engine: sa.Engine) -> None:
    """Refuse to bring the database from its release to this one, where OpenStack does not."""
    found = recorded(engine)
    refused = refusal(found, MAJOR) if found else None
    if refused:
        raise refused


def refuse_jump(engine: sa.Engine) -> None:
    """Refuse a database that is too old to be used; a newer one is fine while that rolls out."""
    try:
        refuse_step(engine)
    except NewerDatabaseError:
        return
