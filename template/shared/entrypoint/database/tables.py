"""The tables of the database, compared with those of Placement's model."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from placement.db.sqlalchemy import models


def differences(connection: sa.Connection) -> list[str]:
    """Return what the database lacks, such as `the table traits`; nothing if it is whole.

    Only a schema at the head of the migrations equals the model. What the database has in addition,
    such as an index for a report, does no harm.
    """
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    compared = compare_metadata(context, models.BASE.metadata)
    return [describe(*step) for step in compared if str(step[0]).startswith("add_")]


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
