"""The database before placement serves from it: its URL, whether it answers, and its schema."""

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from placement import db_api
from placement.db.sqlalchemy import migration
from sqlalchemy import exc as sa_exc

from options import CONNECTION
from problem import StartError

# A server that takes the connection and then says nothing is given so much longer, all in all.
GRACE = 5
# One container at a time changes the schema; the others wait so many seconds for it.
LOCK_WAIT = 300
LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(7310867)", "SELECT pg_advisory_unlock(7310867)"),
    "mysql": (
        f"SELECT GET_LOCK('placement_db_sync', {LOCK_WAIT})",
        "SELECT RELEASE_LOCK('placement_db_sync')",
    ),
}


class NoAnswerError(Exception):
    """The time is up; no OSError, which a driver would take for its own and try again."""


FAILURES = (NoAnswerError, db_exception.DBError, sa_exc.SQLAlchemyError)


@exc_filters.filters(
    "postgresql",
    sa_exc.OperationalError,
    r"(?s).*(failed: (?!.*FATAL)|could not translate host name|FATAL: +the database system is)",
)
def postgresql_is_away(error: Exception, *_: object) -> NoReturn:
    """Have oslo.db ask again: it knows only what PostgreSQL's client said before its version 14."""
    raise db_exception.DBConnectionError(error)


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
    choices = "use sqlite:///, postgresql+psycopg2:// or mysql+pymysql://"
    try:
        url.get_dialect().import_dbapi()
    except sa_exc.NoSuchModuleError as error:
        raise StartError(
            f"{CONNECTION}: no database is known as {url.drivername}; {choices}"
        ) from error
    except ImportError as error:
        raise StartError(f"{CONNECTION}: no driver here for {url.drivername}; {choices}") from error
    return url


def prepare(config: cfg.ConfigOpts, *, sync: bool) -> bool:
    """Wait for the database; bring its schema up to date, or return whether it has one."""
    url = check_url(config)
    engine = connect(config, name_of(url))
    if sync:
        with migration_lock(engine):
            migration.upgrade("head")
    revision = migration.version(engine=engine)
    known = ScriptDirectory.from_config(migration._alembic_config())
    if revision is not None and revision != known.get_current_head():
        refuse_behind(revision, known)
    return revision is not None


def name_of(url: sa.URL) -> str:
    """Return what to call this database in a message: no user, no password, no options."""
    server = sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return f"the database {server.render_as_string()}"


def refuse_behind(revision: str, known: ScriptDirectory) -> None:
    """Refuse a schema that lacks migrations; a newer release's is fine while that rolls out."""
    if revision in {script.revision for script in known.walk_revisions()}:
        raise StartError(
            "the database's schema is older than this placement: run the command db-sync once,"
            " or set DB_SYNC=True"
        )


def connect(config: cfg.ConfigOpts, database: str) -> sa.Engine:
    """Return an engine that has been connected, within the bound that the options set."""
    retries = config.placement_database.max_retries
    bound = retries * config.placement_database.retry_interval + GRACE if retries > 0 else 0
    try:
        with time_limit(bound):
            engine = db_api.get_placement_engine()
            # With max_retries=0 the engine has not connected yet.
            engine.connect().close()
            return engine
    except FAILURES as error:
        raise StartError(f"{database} cannot be used: {reason(error)}. {advice(error)}") from error


def reason(error: BaseException) -> str:
    """Return what the driver said, without what SQLAlchemy puts around it."""
    inner = getattr(error, "inner_exception", None) or error
    return str(getattr(inner, "orig", None) or inner).strip().rstrip(".")


def advice(error: BaseException) -> str:
    """Return what may be done about it."""
    if isinstance(error, NoAnswerError | db_exception.DBConnectionError):
        return f"Start it, or correct {CONNECTION}"
    if "unable to open database file" in str(error) or "readonly" in str(error):
        return "Mount a volume that this user may write at /var/lib/placement"
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
def migration_lock(engine: sa.Engine) -> Iterator[None]:
    """Let one container at a time change the schema: placement itself has no lock for that."""
    take, release = LOCKS.get(engine.dialect.name, ("", ""))
    if not take:
        yield
        return
    with engine.connect() as connection:
        take_lock(connection, take)
        try:
            yield
        finally:
            connection.execute(sa.text(release))


def take_lock(connection: sa.Connection, statement: str) -> None:
    """Take the lock, or say that it cannot be had within its bound."""
    try:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SET lock_timeout = '{LOCK_WAIT}s'"))
        taken = connection.execute(sa.text(statement)).scalar()
    except FAILURES as error:
        raise StartError(f"the lock for changing the schema: {reason(error)}") from error
    if taken == 0:
        raise StartError(
            f"for {LOCK_WAIT} s another container has been changing the schema: look at that one"
        )
