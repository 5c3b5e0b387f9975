"""The tables of the database, compared with those of Placement's model."""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from placement.db.sqlalchemy import models


def differences(connection: sa.Connection) -> list[str]:
    """Return what the database lacks, such as `the table traits`; nothing if it is whole.

    Only a schema at the head of the migrations equals the model. What the database has in addition,
    such as an index for a report, does no harm.
    """
    return [describe(*step) for step in lacking(connection) if step[0] != "add_index"]


def missing_indexes(connection: sa.Connection) -> list[str]:
    """Return the indexes that the database lacks. Placement only becomes slower without them."""
    return [describe(*step) for step in lacking(connection) if step[0] == "add_index"]


def lacking(connection: sa.Connection) -> list[tuple[Any, ...]]:
    """Return the steps of Alembic that would add what the database lacks."""
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    compared = compare_metadata(context, models.BASE.metadata)
    added = (step for step in compared if str(step[0]).startswith("add_"))
    inspector = sa.inspect(connection)
    return [step for step in added if not is_renamed(inspector, step[-1])]


def is_renamed(inspector: sa.Inspector, added: object) -> bool:
    """Return whether an index has another name, as after a conversion by another program."""
    if not isinstance(added, sa.Index | sa.UniqueConstraint) or added.table is None:
        return False
    if not inspector.has_table(added.table.name):
        return False
    columns = [column.name for column in added.columns]
    unique = isinstance(added, sa.UniqueConstraint)
    return any(
        index["column_names"] == columns and (index["unique"] or not unique)
        for index in inspector.get_indexes(added.table.name)
    )


def describe(step: str, *subject: object) -> str:
    """Return the name of what a step of Alembic would add."""
    added = subject[-1]
    name = getattr(added, "name", None)
    if isinstance(added, sa.Table):
        return f"the table {name}"
    if isinstance(added, sa.Column):
        return f"the column {subject[1]}.{name}"
    table = getattr(getattr(added, "table", None), "name", "")
    kind = "index" if isinstance(added, sa.Index) else "constraint"
    return f"the {kind} {name or step} of {table}"
