"""What uWSGI loads: placement, on a database that is ready, and frozen in memory for the fork."""

import gc
import logging
import os
import signal
from typing import Any

from problem import STDERR_VARIABLE, StartError, told_in_one_line


def load() -> Any:
    """Return placement's WSGI application, loaded on a database that is ready."""
    from placement import deploy, wsgi

    load_placement = deploy.loadapp

    def load_on_ready_database(config: Any) -> Any:
        prepare(config)
        return load_placement(config)

    # placement has no hook between reading its configuration and writing to the database.
    deploy.loadapp = load_on_ready_database
    return wsgi.init_application()


def prepare(config: Any) -> None:
    """Wait for the database, and have a schema in it."""
    import database
    from server import check_sync

    sync = check_sync(os.environ.get("DB_SYNC", "")) or config.placement_database.sync_on_startup
    if not database.prepare(config, sync=sync):
        raise StartError(
            "the database has no schema yet: run the command db-sync once, or set DB_SYNC=True"
        )


def is_told(record: logging.LogRecord) -> bool:
    """Return whether a request is worth a line: a probe of / that went well is not."""
    request = record.args if isinstance(record.args, dict) else {}
    return (request.get("REQUEST_URI"), request.get("status")) != ("/", "200")


def end(*_: object) -> None:
    """End on SIGTERM while still starting: as process 1 nothing else would."""
    os._exit(128 + signal.SIGTERM)


def start() -> Any:
    """Load the application, or end this process with one line that says why."""
    before = signal.signal(signal.SIGTERM, end)
    with told_in_one_line():
        application = load()
    signal.signal(signal.SIGTERM, before)
    logging.getLogger("placement.requestlog").addFilter(is_told)
    os.close(int(os.environ.pop(STDERR_VARIABLE, os.dup(2))))
    return application


application = start()
# What is loaded now is never garbage: to look for it there costs a fifth of a large request.
gc.collect()
gc.freeze()
