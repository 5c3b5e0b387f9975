"""Waiting for the database, with a time limit, and the messages when it cannot be used."""

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import log
from placement import db_api
from sqlalchemy import exc as sa_exc

from entrypoint import options
from entrypoint.database import check_url, name_of
from entrypoint.database.pool import interruptible
from entrypoint.errors import StartError
from entrypoint.variables import CONNECTION, where

# Seconds, in addition to all retries, for a server that accepts the connection and never answers.
GRACE = 5
WRITABLE_VOLUME = f"Mount a volume at /var/lib/placement that uid {os.getuid()} can write"
# The URL, and those of its parts that are wrong when a server refuses the user.
URL = (CONNECTION, "DATABASE_USER", "DATABASE_PASSWORD")
RESTORE = "restore the database from a complete backup"
# The advice for an error whose text matches; the first match counts.
ADVICE = {
    r"(?i)too many (clients|connections)|connection slots|max_user_connections": (
        "Raise the server's connection limit, or close other connections"
    ),
    r"\((1290|1792|1836), |ReadOnlySqlTransaction|session is read-only": (
        f"Promote a server, or set {CONNECTION} to the primary server"
    ),
    # MySQL's errors for creating what exists, or dropping what does not.
    r"\((1050|1060|1061|1091), ": (
        "An interrupted sync has left a partial migration, which cannot be rolled back:"
        f" {RESTORE} made before that sync, and run db-sync again"
    ),
    "unable to open database file|readonly": WRITABLE_VOLUME,
}


class NoAnswerError(BaseException):
    """The time limit has passed.

    A driver would handle an OSError as its own, and oslo.db would wrap and log any Exception. After
    a BaseException, SQLAlchemy closes the connection, which can no longer be used.
    """


FAILURES = (NoAnswerError, db_exception.DBError, sa_exc.SQLAlchemyError)


@contextlib.contextmanager
def command(config: cfg.ConfigOpts | None = None) -> Iterator[cfg.ConfigOpts]:
    """Load the settings for a command, unless they are given, and prepare its database."""
    config = config or options.load()
    log.setup(config, "placement")
    db_api.configure(config)
    with preparation(config):
        yield config


@contextlib.contextmanager
def preparation(config: cfg.ConfigOpts) -> Iterator[None]:
    """Report a database error of the block in one line, and let signals interrupt the wait."""
    url = check_url(config)
    with report_failures(url, advice), interruptible(url):
        yield


@contextlib.contextmanager
def report_failures(url: sa.URL, advice: Callable[[BaseException], str]) -> Iterator[None]:
    """Report a database error of the block in one line, with advice."""
    try:
        yield
    except FAILURES as error:
        raise StartError(
            f"{name_of(url)} cannot be used: {reason(error)}. {advice(error)}"
        ) from error


def reason(error: BaseException) -> str:
    """Return the driver's message, without what SQLAlchemy and oslo.db add."""
    inner = getattr(error, "inner_exception", None) or error
    return str(getattr(inner, "orig", None) or inner).strip().rstrip(".")


def advice(error: BaseException) -> str:
    """Return what the operator can do about an error."""
    for pattern, text in ADVICE.items():
        if re.search(pattern, str(error)):
            return text
    if isinstance(error, NoAnswerError | db_exception.DBConnectionError):
        return f"Start the database, or correct {where(*URL)}"
    return f"Correct the database's settings, or {where(*URL)}"


def connect(config: cfg.ConfigOpts) -> sa.Engine:
    """Return an engine that has connected, within the time that the options allow."""
    retries = config.placement_database.max_retries
    limit = retries * config.placement_database.retry_interval + GRACE if retries > 0 else 0
    with time_limit(limit):
        engine: sa.Engine = db_api.get_placement_engine()
        # With max_retries=0 the engine has not connected yet.
        engine.connect().close()
        return engine


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise NoAnswerError in the block after this many seconds; 0 sets no limit."""

    def expire(*_: object) -> None:
        raise NoAnswerError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
