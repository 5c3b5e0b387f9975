"""The schema: db-sync, one container at a time, and whether Placement can serve from it."""

import contextlib
import fcntl
import importlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from oslo_config import cfg
from placement.db.sqlalchemy import migration, models

from entrypoint import options
from entrypoint.database import release
from entrypoint.database.connection import WRITABLE_VOLUME, command, connect, preparation
from entrypoint.errors import StartError
from entrypoint.signals import block_signals

# Seconds to wait while another container changes the schema.
LOCK_WAIT = 300
LOCK = {
    "postgresql": "SELECT CAST(pg_try_advisory_lock(7310867) AS INTEGER)",
    "mysql": "SELECT GET_LOCK('placement_db_sync', 0)",
}
UNLOCK = {
    "postgresql": "SELECT pg_advisory_unlock(7310867)",
    "mysql": "SELECT RELEASE_LOCK('placement_db_sync')",
}
VERSION_TABLE = "alembic_version"


def db_sync() -> None:
    """Bring the schema up to date. Any number of containers may do so at the same time."""
    with command() as config:
        sync(config)
    print("the schema is up to date")


def upgrade_check() -> None:
    """Run Placement's own upgrade check. Exit code 1 is a warning; 2 stops the upgrade."""
    try:
        with command() as config:
            engine = connect(config)
            release.refuse_step(engine)
            if migration.version(engine=engine) is None:
                print("the database has no schema yet: nothing to upgrade")
            else:
                run_own("status", "upgrade", "check")
    except StartError as error:
        error.exit_code = 2
        raise


def online_data_migrations(*arguments: str) -> None:
    """Migrate old rows, even while Placement serves: all of them, or at most N."""
    with command() as config:
        require_schema(config)
        run_own("manage", "db", "online_data_migrations", *arguments)


def placement_manage(*arguments: str) -> None:
    """Run Placement's own `placement-manage` with the container's settings."""
    if arguments == ("db", "sync"):
        db_sync()
        return
    with preparation(options.load()):
        run_own("manage", *arguments)


def placement_status(*arguments: str) -> None:
    """Run Placement's own `placement-status` with the container's settings."""
    if arguments == ("upgrade", "check"):
        upgrade_check()
        return
    with preparation(options.load()):
        run_own("status", *arguments)


def run_own(name: str, *arguments: str) -> NoReturn:
    """Run a command of Placement, which reads the same settings again, and exit."""
    # It would report that the database is configured already.
    logging.getLogger("placement.db_api").setLevel(logging.ERROR)
    sys.argv = [options.PROGRAM, *arguments]
    sys.exit(importlib.import_module(f"placement.cmd.{name}").main())


def sync(config: cfg.ConfigOpts) -> None:
    """Wait for the database and bring its schema up to date."""
    with migration_lock(connect(config)) as engine:
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


def require_schema(config: cfg.ConfigOpts) -> None:
    """Wait for the database, and refuse a missing or outdated schema.

    A newer schema is fine while a newer release rolls out.
    """
    engine = connect(config)
    revision = migration.version(engine=engine)
    if is_behind(revision):
        problem = "'s schema is older than this release" if revision else " has no schema yet"
        raise StartError(
            f"the database{problem}: run the command db-sync once, or set DB_SYNC=True"
        )
    with contextlib.suppress(release.NewerDatabaseError):
        release.refuse_step(engine)


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
    if not found.tables or found.tables.keys() - known:
        return
    tables = [table for table in found.sorted_tables if table.name != VERSION_TABLE]
    with engine.connect() as connection:
        if any(connection.execute(table.select().limit(1)).first() for table in tables):
            return
    print("an interrupted sync has left empty tables: starting again")
    found.drop_all(engine)


@contextlib.contextmanager
def migration_lock(engine: sa.Engine) -> Iterator[sa.Engine]:
    """Let one container at a time change the schema: Placement itself has no such lock."""
    if engine.dialect.name == "sqlite":
        with file_lock(engine.url.database):
            yield engine
        return
    lock, unlock = LOCK[engine.dialect.name], UNLOCK[engine.dialect.name]
    with engine.connect() as connection:
        wait_for_lock(lambda: connection.execute(sa.text(lock)).scalar() == 1)
        try:
            yield engine
        finally:
            connection.execute(sa.text(unlock))


@contextlib.contextmanager
def file_lock(database: str | None) -> Iterator[None]:
    """Hold the lock of an SQLite database: a file next to it. A database in memory has none."""
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
                f"another container has been changing the schema for {LOCK_WAIT} s: check its log"
            )
        time.sleep(0.5)
