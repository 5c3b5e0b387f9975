"""The migrations of this release, and the revision that a schema is at."""

import logging

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from placement.db.sqlalchemy import migration

VERSION_TABLE = "alembic_version"
# Alembic logs how it reads each schema. Only the migrations that it runs are of interest.
logging.getLogger("alembic").setLevel(logging.WARNING)


def revision(connection: sa.Connection) -> str | None:
    """Return the migration that a database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def is_behind(revision: str | None) -> bool:
    """Return whether a schema lacks migrations that this release has."""
    known = {script.revision for script in migrations().walk_revisions()}
    return revision is None or revision in known - {migrations().get_current_head()}


def migrations() -> ScriptDirectory:
    """Return the migrations of this release."""
    return ScriptDirectory.from_config(migration._alembic_config())
