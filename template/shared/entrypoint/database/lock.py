"""The lock of db-sync: one container at a time changes the schema. Placement itself has no lock."""

import contextlib
import fcntl
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import exc as sa_exc

from entrypoint.database.connection import FAILURES, WRITABLE_VOLUME
from entrypoint.errors import StartError, exit_with
from entrypoint.signals import block_signals

# Seconds to wait while another container changes the schema.
LOCK_WAIT = 300
# The number of PostgreSQL's lock.
KEY = 7310867
# In MySQL and MariaDB, the lock is a row of this table while it exists. GET_LOCK would apply to one
# node of a cluster only, and some servers refuse it.
LEASE = sa.Table(
    "placement_db_sync",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.String(36), nullable=False),
    sa.Column("expires", sa.DateTime, nullable=False),
    mysql_engine="InnoDB",
)
# Seconds after which the lease of a killed container ends, and between two renewals.
LEASE_TIME = 40
RENEWAL = 10
# The server's clock counts, in UTC: each session may have its own time zone.
NOW = sa.func.utc_timestamp()
EXPIRES = sa.func.timestampadd(sa.text("SECOND"), LEASE_TIME, NOW)


class LockedError(Exception):
    """Another container holds the lock."""


def attempts() -> Iterator[None]:
    """Yield at once, and then each half second until LOCK_WAIT has passed."""
    end = time.monotonic() + LOCK_WAIT
    yield
    print(f"another container is changing the schema, waiting up to {LOCK_WAIT} s", flush=True)
    while time.monotonic() < end:
        time.sleep(0.5)
        yield
    raise StartError(
        f"another container has been changing the schema for {LOCK_WAIT} s: check its log"
    )


@contextlib.contextmanager
def wait_for_lock(engine: sa.Engine) -> Iterator[None]:
    """Hold the lock during the block, as soon as no other container has it."""
    with contextlib.ExitStack() as held:
        for _ in attempts():
            with contextlib.suppress(LockedError):
                held.enter_context(migration_lock(engine))
                break
        yield


@contextlib.contextmanager
def migration_lock(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection for changes of the schema, or raise LockedError at once.

    Except in MySQL, whose DDL is not transactional, all changes are one transaction.
    """
    if engine.dialect.name == "mysql":
        with lease(engine) as connection:
            yield connection
        return
    with contextlib.ExitStack() as held:
        if engine.dialect.name == "sqlite":
            held.enter_context(file_lock(engine.url.database))
        connection = held.enter_context(engine.begin())
        # It ends with the transaction, so it holds behind a pooler as well.
        lock = sa.select(sa.func.pg_try_advisory_xact_lock(KEY))
        if engine.dialect.name == "postgresql" and not connection.scalar(lock):
            raise LockedError
        yield connection


@contextlib.contextmanager
def lease(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Hold the lease, and renew it in a thread."""
    holder = str(uuid.uuid4())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A frozen container sends nothing: the server ends its session before the lease expires, so
        # that it cannot go on where another container has taken over.
        connection.exec_driver_sql(f"SET SESSION wait_timeout = {LEASE_TIME // 2}")
        acquire(connection, holder)
        ended = threading.Event()
        renewal = threading.Thread(target=renew_until, args=(ended, engine, holder), daemon=True)
        with block_signals():  # only the main thread handles signals
            renewal.start()
        try:
            yield connection
        finally:
            ended.set()
            renewal.join()
            # If the connection is broken, the lease ends by itself.
            with contextlib.suppress(*FAILURES):
                if renew(connection, holder):
                    LEASE.drop(connection)
            connection.invalidate()  # the pool would keep the timeout


def acquire(connection: sa.Connection, holder: str) -> None:
    """Take the lease, or raise LockedError. On a cluster, a loser's statement fails."""
    values = {"holder": holder, "expires": EXPIRES}
    # No lease is this long, unless the server's clock was set back.
    too_late = sa.func.timestampadd(sa.text("SECOND"), 10 * LEASE_TIME, NOW)
    is_over = sa.or_(LEASE.c.expires < NOW, LEASE.c.expires > too_late)
    expired = LEASE.update().where(is_over).values(values)
    try:
        if not sa.inspect(connection).has_table(LEASE.name):
            connection.execute(sa.schema.CreateTable(LEASE, if_not_exists=True))
        if not connection.execute(expired).rowcount:
            connection.execute(LEASE.insert().values(id=1, **values))
    except (db_exception.DBDuplicateEntry, db_exception.DBDeadlock) as error:
        raise LockedError from error
    except sa_exc.ProgrammingError as error:
        if not is_missing_table(error):
            raise
        raise LockedError from error  # the holder has dropped it


def renew(connection: sa.Connection, holder: str) -> bool:
    """Renew the lease, and return whether this container still has it."""
    own = LEASE.update().where(LEASE.c.holder == holder).values(expires=EXPIRES)
    return bool(connection.execute(own).rowcount)


def renew_until(ended: threading.Event, engine: sa.Engine, holder: str) -> None:
    """Renew the lease until the event, and end the process if that becomes impossible."""
    limit = LEASE_TIME - RENEWAL
    renewed = time.monotonic()
    while not ended.wait(RENEWAL):
        with contextlib.suppress(*FAILURES), engine.begin() as connection:
            if renew(connection, holder):
                renewed = time.monotonic()
        if time.monotonic() - renewed > limit:
            exit_with(
                StartError(
                    f"the lock of db-sync could not be renewed for {limit} s: run db-sync again"
                    " when the database answers"
                )
            )


def is_missing_table(error: sa_exc.DBAPIError) -> bool:
    """Return whether MySQL or MariaDB reports that a table does not exist."""
    return number(error) == 1146


def number(error: sa_exc.DBAPIError) -> object:
    """Return the number of an error of MySQL or MariaDB."""
    return error.orig.args[0] if error.orig and error.orig.args else None


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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError from error
        yield
