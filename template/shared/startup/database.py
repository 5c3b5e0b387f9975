"""The database before placement serves from it: its URL, whether it answers, and its schema."""

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from placement import db_api
from placement.db.sqlalchemy import migration
from sqlalchemy import exc as sa_exc

import ending
import release
import unfinished
from options import CONNECTION
from problem import StartError

# A server that takes the connection and then says nothing is given so much longer, all in all.
GRACE = 5
# A server whose host has vanished is given up after so many seconds, as when it is connected to.
VANISHED = 10
# One container at a time changes the schema; the others wait so many seconds for it.
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
WRITABLE_VOLUME = "Mount a volume that this user may write at /var/lib/placement"
# What is in the image, and what oslo.db knows the failures of.
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg2", "mysql+pymysql")

# PyMySQL does not say which of them it cannot read.
TLS_FILES = {"ssl_ca", "ssl_cert", "ssl_key"}


class NoAnswerError(Exception):
    """The time is up; no OSError, which a driver would take for its own and try again."""


FAILURES = (NoAnswerError, db_exception.DBError, sa_exc.SQLAlchemyError)


@exc_filters.filters(
    "postgresql",
    sa_exc.OperationalError,
    r"(?s).*(failed: (?!.*FATAL)|could not translate host name|FATAL: +(the database system is"
    r"|sorry, too many clients already|remaining connection slots)"
    # Without what precedes "failed: ", where interruptible() has the driver wait.
    r"|Connection refused|Connection timed out|No route to host|Network is unreachable"
    r"|server closed the connection unexpectedly)",
)
def postgresql_is_away(error: Exception, *_: object) -> NoReturn:
    """Have oslo.db ask again: it knows only what PostgreSQL's client said before its version 14."""
    raise db_exception.DBConnectionError(error)


@sa.event.listens_for(sa.Engine, "connect")
def give_up_the_vanished(connection: Any, _: object) -> None:
    """Have a request fail when the server's host has vanished: it would hang for 15 minutes.

    The kernel of a server that is only slow goes on answering this one's.
    """
    opened = getattr(connection, "_sock", connection)  # PyMySQL keeps its socket there
    if not hasattr(opened, "fileno"):  # sqlite
        return
    with socket.socket(fileno=os.dup(opened.fileno())) as shared:
        if shared.family != socket.AF_UNIX:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, VANISHED // 2)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, VANISHED // 2)
            shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED * 1000)


@sa.event.listens_for(sa.pool.Pool, "connect")
def let_the_later_writer_win(connection: Any, _: object) -> None:
    """Have MariaDB from 11.6 on work as before, and as MySQL does.

    There a writer that was overtaken fails with 1020 "Record has changed since last read", which
    Placement answers by 500 (https://mariadb.com/kb/en/innodb-system-variables).
    """
    info = getattr(connection, "get_server_info", str)()
    found = re.search(r"(\d+)\.(\d+)\.\d+-MariaDB", info)
    if found and (int(found[1]), int(found[2])) >= (11, 6):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_snapshot_isolation = OFF")


def check_url(config: cfg.ConfigOpts) -> sa.URL:
    """Return the database's URL, or say what is wrong with it; its password is never shown."""
    not_a_url = StartError(
        f"{CONNECTION} is not a database URL: write it as mysql+pymysql://USER:PASSWORD@HOST/NAME,"
        " with every special character of the password URL-encoded"
    )
    try:
        url = sa.make_url(config.placement_database.connection)
    except (sa_exc.ArgumentError, ValueError) as error:
        raise not_a_url from error
    if "@" in (url.host or ""):  # the rest of a password that holds an @
        raise not_a_url
    if url.drivername not in DRIVERS:
        raise StartError(
            f"{CONNECTION}: there is no driver for {url.drivername}; write sqlite:///,"
            " postgresql+psycopg2://, or mysql+pymysql:// for MySQL and MariaDB alike"
        )
    if url.get_backend_name() == "mysql" and not str(url.password or "").isascii():
        raise StartError(
            f"{CONNECTION}: the driver for MySQL and MariaDB sends only a password of ASCII"
            " characters as it is: give the user such a one"
        )
    for option in TLS_FILES & url.query.keys():
        if not os.access(str(url.query[option]), os.R_OK):
            raise StartError(
                f"{CONNECTION}: {option}={url.query[option]} cannot be read: mount the file so that"
                f" uid {os.getuid()} may read it"
            )
    return url


@contextlib.contextmanager
def preparing(config: cfg.ConfigOpts) -> Iterator[None]:
    """While the database is prepared: signals are heard, and what fails is told in one line."""
    url = check_url(config)
    try:
        with interruptible(url):
            yield
    except FAILURES as error:
        raise StartError(
            f"{name_of(url)} cannot be used: {reason(error)}. {advice(error)}"
        ) from error


@contextlib.contextmanager
def interruptible(url: sa.URL) -> Iterator[None]:
    """Have PostgreSQL's driver wait in Python: in its library, it would hear no signal."""
    if url.get_backend_name() != "postgresql":
        yield
        return
    # Only here, because it takes its time.
    from psycopg2 import extensions

    extensions.set_wait_callback(wait)
    try:
        yield
    finally:
        extensions.set_wait_callback(None)


def wait(connection: Any) -> None:
    """Wait until the server has answered; for a connection as long as PGCONNECT_TIMEOUT says."""
    from psycopg2 import OperationalError, extensions

    connecting = connection.status not in (extensions.STATUS_READY, extensions.STATUS_BEGIN)
    limit = int(os.environ.get("PGCONNECT_TIMEOUT", "0")) if connecting else 0
    end = time.monotonic() + limit if limit else None
    while (state := connection.poll()) != extensions.POLL_OK:
        reading = [connection] if state == extensions.POLL_READ else []
        writing = [connection] if state == extensions.POLL_WRITE else []
        left = max(0.0, end - time.monotonic()) if end else None
        if not any(select.select(reading, writing, [], left)):
            raise OperationalError("connection failed: timeout expired")


def sync(config: cfg.ConfigOpts) -> None:
    """Wait for the database, and bring its schema up to date."""
    engine = connect(config)
    with migration_lock(engine):
        sync_locked(engine)


def sync_locked(engine: sa.Engine) -> None:
    """Bring the schema up to date, and record the release that has."""
    release.refuse_step(engine)
    with undisturbed():
        if engine.dialect.name == "mysql" and is_behind(migration.version(engine=engine)):
            unfinished.discard(engine)
        migration.upgrade("head")
        release.record(engine)


def is_ready(config: cfg.ConfigOpts) -> bool:
    """Wait for the database, and return whether it has a schema, which has to be up to date."""
    engine = connect(config)
    revision = migration.version(engine=engine)
    if revision is not None:
        refuse_behind(revision)
        release.refuse_jump(engine)
    return revision is not None


def may_be_synced(config: cfg.ConfigOpts) -> bool:
    """Wait for the database, and return whether it has a schema, which a sync has to accept."""
    engine = connect(config)
    release.refuse_step(engine)
    return migration.version(engine=engine) is not None


def name_of(url: sa.URL) -> str:
    """Return what to call this database in a message: no user, no password, no options."""
    server = sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return f"the database {server.render_as_string()}"


def refuse_behind(revision: str) -> None:
    """Refuse a schema that lacks migrations; a newer release's is fine while that rolls out."""
    if is_behind(revision):
        raise StartError(
            "the database's schema is older than this placement: run the command db-sync once,"
            " or set DB_SYNC=True"
        )


def is_behind(revision: str | None) -> bool:
    """Return whether a schema lacks migrations that this placement knows."""
    known = ScriptDirectory.from_config(migration._alembic_config())
    older = {script.revision for script in known.walk_revisions()} - {known.get_current_head()}
    return revision is None or revision in older


def connect(config: cfg.ConfigOpts) -> sa.Engine:
    """Return an engine that has been connected, within the bound that the options set."""
    retries = config.placement_database.max_retries
    bound = retries * config.placement_database.retry_interval + GRACE if retries > 0 else 0
    with time_limit(bound):
        engine = db_api.get_placement_engine()
        # With max_retries=0 the engine has not connected yet.
        engine.connect().close()
        return engine


def reason(error: BaseException) -> str:
    """Return what the driver said, without what SQLAlchemy puts around it."""
    inner = getattr(error, "inner_exception", None) or error
    return str(getattr(inner, "orig", None) or inner).strip().rstrip(".")


def advice(error: BaseException) -> str:
    """Return what may be done about it."""
    if re.search("too many (clients|connections)|connection slots", str(error), re.IGNORECASE):
        return "Let it take more connections, or others hold fewer"
    if re.search(unfinished.ERRORS, str(error)):
        return unfinished.ADVICE
    if isinstance(error, NoAnswerError | db_exception.DBConnectionError):
        return f"Start it, or correct {CONNECTION}"
    if "unable to open database file" in str(error) or "readonly" in str(error):
        return WRITABLE_VOLUME
    return f"Correct it there, or in {CONNECTION}"


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise NoAnswerError in the block after so many seconds; 0 sets no limit."""

    def expire(*_: object) -> None:
        raise NoAnswerError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put off the end until the schema is whole: MySQL cannot take back half a migration."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ending.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ending.SIGNALS)


@contextlib.contextmanager
def migration_lock(engine: sa.Engine) -> Iterator[None]:
    """Let one container at a time change the schema: placement itself has no lock for that."""
    if engine.dialect.name == "sqlite":
        with file_lock(engine.url.database):
            yield
        return
    take, release = LOCKS[engine.dialect.name]
    with engine.connect() as connection:
        take_lock(lambda: connection.execute(sa.text(take)).scalar() == 1)
        try:
            yield
        finally:
            connection.execute(sa.text(release))


@contextlib.contextmanager
def file_lock(database: str | None) -> Iterator[None]:
    """Hold the lock of a sqlite database, a file beside it; a database in memory has none."""
    if database in (None, "", ":memory:"):
        yield
        return
    path = Path(f"{Path(database).resolve()}.lock")
    try:
        file = path.open("a")
    except OSError as error:
        raise StartError(
            f"{path} cannot be written: {error.strerror}. {WRITABLE_VOLUME}"
        ) from error
    with file:
        take_lock(lambda: is_locked(file.fileno()))
        yield


def is_locked(file: int) -> bool:
    """Lock a file and return True, unless another process has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_lock(is_taken: Callable[[], bool]) -> None:
    """Take the lock, or say that it cannot be had within its bound.

    By asking again and again: what waits in a database's driver hears no signal.
    """
    end = time.monotonic() + LOCK_WAIT
    if is_taken():
        return
    print(f"another container is changing the schema, waiting up to {LOCK_WAIT} s", flush=True)
    while not is_taken():
        if time.monotonic() > end:
            raise StartError(
                f"for {LOCK_WAIT} s another container has been changing the schema:"
                " look at that one"
            )
        time.sleep(0.5)
