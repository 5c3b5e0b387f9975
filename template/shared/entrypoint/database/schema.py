"""The schema: db-sync, one container at a time, and whether Placement can serve from it."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from oslo_config import cfg
from placement.db.sqlalchemy import migration, models

from entrypoint.database import release
from entrypoint.database.connection import WRITABLE_VOLUME, connect
from entrypoint.errors import StartError
from entrypoint.signals import block_signals

# Seconds to wait while another container changes the schema.
LOCK_WAIT = 300
LOCKS = {
    "postgresql": (
        "SELECT CAST(pg_try_advisory_lock(7310867) AS INTEGER)",
        "SELECT pg_advisory_unlock(7310867)",
    ),
    "mysql": (
        "SELECT GET_LOCK('placement_db_sync', 0)",
        "SELECT RELEASE_LOCK('placement_db_sync')",
    ),
}
VERSION_TABLE = "alembic_version"


def sync(config: cfg.ConfigOpts) -> None:
    """Wait for the database and bring its schema up to date."""
    engine = connect(config)
    with migration_lock(engine):
        sync_locked(engine)


def sync_locked(engine: sa.Engine) -> None:
    """Bring the schema up to date under the lock, and record the release."""
    release.refuse_step(engine)
    # MySQL cannot roll back half a migration.
    with block_signals():
        if engine.dialect.name == "mysql" and is_behind(migration.version(engine=engine)):
            discard_partial_migration(engine)
        migration.upgrade("head")
        release.record(engine)


def is_ready(config: cfg.ConfigOpts) -> bool:
    """Wait for the database and return whether it has a schema; refuse an outdated one."""
    engine = connect(config)
    revision = migration.version(engine=engine)
    if revision is None:
        return False
    # A newer schema is fine while a newer release rolls out.
    if is_behind(revision):
        raise StartError(
            "the database's schema is older than this placement: run the command db-sync once,"
            " or set DB_SYNC=True"
        )
    release.refuse_jump(engine)
    return True


def may_be_synced(config: cfg.ConfigOpts) -> bool:
    """Wait for the database and return whether it has a schema; refuse one that sync refuses."""
    engine = connect(config)
    release.refuse_step(engine)
    return migration.version(engine=engine) is not None


def is_behind(revision: str | None) -> bool:
    """Return whether a schema lacks migrations that this release has."""
    known = {script.revision for script in migrations().walk_revisions()}
    return revision is None or revision in known - {migrations().get_current_head()}


def migrations() -> ScriptDirectory:
    """Return the migrations of this release."""
    return ScriptDirectory.from_config(migration._alembic_config())


def discard_partial_migration(engine: sa.Engine) -> None:
    """Drop the tables of a first sync that was cut off, if all of them are empty.

    No data can be lost: Placement writes its traits and resource classes whenever it starts.
    """
    found = sa.MetaData()
    found.reflect(engine)
    known = models.BASE.metadata.tables.keys() | {VERSION_TABLE}
    if not found.tables or found.tables.keys() - known or has_rows(engine, found):
        return
    print("the sync before this one was cut off and has left empty tables: starting afresh")
    found.drop_all(engine)


def has_rows(engine: sa.Engine, schema: sa.MetaData) -> bool:
    """Return whether any table has a row, except the table of the schema's revision."""
    tables = [table for table in schema.sorted_tables if table.name != VERSION_TABLE]
    with engine.connect() as connection:
        return any(
            connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
            for table in tables
        )


@contextlib.contextmanager
def migration_lock(engine: sa.Engine) -> Iterator[None]:
    """Let one container at a time change the schema: Placement itself has no such lock."""
    if engine.dialect.name == "sqlite":
        with file_lock(engine.url.database):
            yield
        return
    acquire, unlock = LOCKS[engine.dialect.name]
    with engine.connect() as connection:
        wait_for_lock(lambda: connection.execute(sa.text(acquire)).scalar() == 1)
        try:
            yield
        finally:
            connection.execute(sa.text(unlock))


@contextlib.contextmanager
def file_lock(database: str | None) -> Iterator[None]:
    """Hold the lock of a SQLite database: a file next to it. A database in memory has none."""
    if database in (None, "", ":memory:"):
        yield
        return
    path = Path(f"{Path(str(database)).resolve()}.lock")
    try:
        file = path.open("a")
    except OSError as error:
        raise StartError(
            f"{path} cannot be written: {error.strerror}. {WRITABLE_VOLUME}"
        ) from error
    with file:
        wait_for_lock(lambda: lock_file(file.fileno()))
        yield


def lock_file(file: int) -> bool:
    """Lock a file and return True, unless another process has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(acquire: Callable[[], bool]) -> None:
    """Acquire the lock, or fail after LOCK_WAIT seconds.

    It tries again and again, because a driver that waits for a lock ignores signals.
    """
    end = time.monotonic() + LOCK_WAIT
    if acquire():
        return
    print(f"another container is changing the schema, waiting up to {LOCK_WAIT} s", flush=True)
    while not acquire():
        if time.monotonic() > end:
            raise StartError(
                f"for {LOCK_WAIT} s another container has been changing the schema:"
                " look at that one"
            )
        time.sleep(0.5)
