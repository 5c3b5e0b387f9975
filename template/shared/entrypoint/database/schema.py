"""The schema: db-sync, by one container at a time, and whether Placement can serve from it."""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exception
from placement.db.sqlalchemy import migration, models
from sqlalchemy import exc as sa_exc

from entrypoint import options
from entrypoint.database import checks, release
from entrypoint.database.connection import RESTORE, command, connect, preparation
from entrypoint.database.lock import (
    LEASE,
    LockedError,
    attempts,
    is_missing_table,
    migration_lock,
    number,
)
from entrypoint.database.revisions import VERSION_TABLE, is_behind, migrations, revision
from entrypoint.database.tables import differences
from entrypoint.errors import StartError
from entrypoint.signals import block_signals

Look = TypeVar("Look", bound=Callable[..., object])


def is_conflict(error: Exception) -> bool:
    """Return whether MySQL or MariaDB reports a conflict that oslo.db has not translated.

    SQLAlchemy reads the columns of a table without telling oslo.db of errors.
    """
    return isinstance(error, sa_exc.DBAPIError) and number(error) == 1213


# A cluster ends a transaction that has read from a table which another container changes.
retried_on_conflict: Callable[[Look], Look] = oslo_db_api.wrap_db_retry(
    retry_interval=0.5,
    max_retries=20,
    max_retry_interval=2,
    retry_on_deadlock=True,
    exception_checker=is_conflict,
)


def db_sync() -> None:
    """Bring the schema up to date. Any number of containers may do so at the same time."""
    with command() as config:
        sync(config)
    print("the schema is up to date")


def upgrade_check() -> None:
    """Run Placement's own upgrade check. Exit code 1 is a warning; 2 stops the upgrade."""
    try:
        with command() as config:
            with connect(config).connect() as connection:
                release.refuse_step(connection)
                found = revision(connection)
            if found is None:
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
    """Wait for the database and bring its schema up to date, by this container or another one."""
    engine = connect(config)
    # The look needs no lock, so any number of containers can start on a current schema.
    if is_current(engine):
        return
    refuse_unusable(engine)
    for _ in attempts():
        # A sync that has begun is completed, and its lock released.
        with (
            contextlib.suppress(LockedError),
            block_signals(),
            migration_lock(engine) as connection,
        ):
            sync_locked(connection)
            return
        if is_current(engine):
            return


@retried_on_conflict
def is_current(engine: sa.Engine) -> bool:
    """Return whether a sync would change nothing."""
    with tables_may_vanish(), engine.connect() as connection:
        wait_for_replication(connection)
        release.refuse_step(connection)
        return (
            not is_behind(revision(connection))
            and release.recorded(connection) == release.MAJOR
            and not differences(connection)
        )
    return False


@retried_on_conflict
def refuse_unusable(engine: sa.Engine) -> None:
    """Refuse a database in which a sync would fail, before it changes anything."""
    with tables_may_vanish(), engine.connect() as connection:
        checks.refuse(connection)


@contextlib.contextmanager
def tables_may_vanish() -> Iterator[None]:
    """End the block if another container has just dropped a table."""
    try:
        yield
    except sa_exc.NoSuchTableError:
        pass
    except sa_exc.ProgrammingError as error:
        if not is_missing_table(error):
            raise


def wait_for_replication(connection: sa.Connection) -> None:
    """Wait until this node of a Galera cluster has all that the other nodes have committed."""
    if connection.dialect.name != "mysql":
        return
    found = connection.exec_driver_sql("SHOW SESSION VARIABLES LIKE 'wsrep_sync_wait'").first()
    if found:
        connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 15")
        try:
            connection.exec_driver_sql("SELECT 1")
        except db_exception.DBDeadlock as error:
            raise StartError(
                "this node of the Galera cluster has not applied what the others have committed:"
                " wait until it has, or connect to another node"
            ) from error
        connection.exec_driver_sql(f"SET SESSION wsrep_sync_wait = {found[1]}")


def sync_locked(connection: sa.Connection) -> None:
    """Bring the schema up to date under the lock, and record the release."""
    wait_for_replication(connection)
    release.refuse_step(connection)
    if needs_discarding(connection):
        discard_empty_tables(connection)
    upgrade(connection)
    if lacks := differences(connection):
        raise StartError(
            f"the schema lacks {', '.join(lacks)}, and the database has data: {RESTORE}, and run"
            " db-sync again"
        )
    release.record(connection)


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database lacks on the connection that holds the lock.

    Placement's own command would open another one: behind a small pooler there may be none.
    """
    scripts = migrations()
    logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)

    def steps(current: Any, _: object) -> Any:
        return scripts._upgrade_revs("head", current)

    with EnvironmentContext(migration._alembic_config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=models.BASE.metadata)
        with environment.begin_transaction():
            environment.run_migrations()


@retried_on_conflict
def require_schema(config: cfg.ConfigOpts) -> None:
    """Wait for the database, and refuse a missing, outdated or incomplete schema.

    A newer schema is fine while a newer release rolls out.
    """
    with connect(config).connect() as connection:
        wait_for_replication(connection)
        found = revision(connection)
        if is_behind(found):
            problem = "'s schema is older than this release" if found else " has no schema yet"
            raise StartError(
                f"the database{problem}: run the command db-sync once, or set DB_SYNC=True"
            )
        if found == migrations().get_current_head() and (lacks := differences(connection)):
            raise StartError(
                f"the database's schema lacks {', '.join(lacks)}: run the command db-sync"
            )
        with contextlib.suppress(release.NewerDatabaseError):
            release.refuse_step(connection)


def needs_discarding(connection: sa.Connection) -> bool:
    """Return whether the database may have a part of a migration, or lacks a part of the schema."""
    if is_behind(revision(connection)):
        # Only MySQL cannot roll back a migration.
        return connection.dialect.name == "mysql"
    return bool(differences(connection))


def discard_empty_tables(connection: sa.Connection) -> None:
    """Drop the tables of a first sync that was cut off, if all of them are empty.

    No data can be lost: Placement writes its traits and resource classes whenever it starts.
    """
    found = sa.MetaData()
    found.reflect(connection)
    known = models.BASE.metadata.tables.keys() | {VERSION_TABLE, LEASE.name}
    tables = [
        table for table in found.sorted_tables if table.name not in (VERSION_TABLE, LEASE.name)
    ]
    if not tables or found.tables.keys() - known:
        return
    if any(connection.execute(table.select().limit(1)).first() for table in tables):
        return
    print("an interrupted sync has left empty tables: starting again")
    found.drop_all(connection, [table for table in found.sorted_tables if table.name != LEASE.name])
