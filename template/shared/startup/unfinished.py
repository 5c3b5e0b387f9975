"""What a sync that was cut off leaves in MySQL and MariaDB: half a migration stays there."""

import sqlalchemy as sa
from placement.db.sqlalchemy import models

VERSION_TABLE = "alembic_version"
# Their errors for what is to be made and is there, or is to be dropped and is not.
ERRORS = r"\((1050|1060|1061|1091), "
ADVICE = (
    "A sync that was cut off has left half a migration, which cannot be taken back: restore the"
    " database from before that sync, and run db-sync again"
)


def discard(engine: sa.Engine) -> None:
    """Have a first sync that was cut off start afresh, where it has left nothing but empty tables.

    No data can be lost: each start of placement writes its traits before it serves.
    """
    left = sa.MetaData()
    left.reflect(engine)
    own = models.BASE.metadata.tables.keys() | {VERSION_TABLE}
    if not left.tables or left.tables.keys() - own or has_rows(engine, left):
        return
    print("the sync before this one was cut off and has left empty tables: starting afresh")
    left.drop_all(engine)


def has_rows(engine: sa.Engine, schema: sa.MetaData) -> bool:
    """Return whether there is a row in any table, but for the schema's revision."""
    tables = [table for table in schema.sorted_tables if table.name != VERSION_TABLE]
    with engine.connect() as connection:
        return any(
            connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
            for table in tables
        )
