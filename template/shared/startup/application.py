"""What uWSGI loads: placement, on a database that is ready, and frozen in memory for the fork."""

import gc
import logging
import os
from typing import Any

import ending  # noqa: F401
from problem import STDERR_VARIABLE, StartError, told_in_one_line

# What probes ask for, also under the prefix.
PROBED = ("/", "/placement", "/placement/")


def load() -> Any:
    """Return placement's WSGI application, loaded on a database that is ready."""
    from placement import db_api, deploy, wsgi

    import database

    load_placement = deploy.loadapp

    def load_on_ready_database(config: Any) -> Any:
        with database.preparing(config):
            prepare(config)
            application = load_placement(config)
        if config.api.auth_strategy != "keystone":
            return application
        from unavailable import told_by_503

        return told_by_503(application)

    # placement has no hook between reading its configuration and writing to the database.
    deploy.loadapp = load_on_ready_database
    application = wsgi.init_application()
    # The processes that serve have connections of their own: here they would only count.
    db_api.get_placement_engine().dispose()
    return application


def prepare(config: Any) -> None:
    """Wait for the database, and have a schema in it."""
    import database
    import release
    from server import check_sync

    if check_sync(os.environ.get("DB_SYNC", "")) or config.placement_database.sync_on_startup:
        try:
            database.sync(config)
        except release.NewerDatabaseError as newer:
            # A container of the old release that starts again while the new one rolls out.
            print(f"serving without a sync: {newer}", flush=True)
        # Done, or not to be done: placement itself would not ask.
        config.set_override("sync_on_startup", False, "placement_database")
    if not database.is_ready(config):
        raise StartError(
            "the database has no schema yet: run the command db-sync once, or set DB_SYNC=True"
        )


def is_told(record: logging.LogRecord) -> bool:
    """Return whether a request is worth a line: a probe of / that went well is not."""
    request = record.args if isinstance(record.args, dict) else {}
    return request.get("status") != "200" or request.get("REQUEST_URI") not in PROBED


def start() -> Any:
    """Load the application, or end this process with one line that says why."""
    with told_in_one_line():
        application = load()
    logging.getLogger("placement.requestlog").addFilter(is_told)
    if STDERR_VARIABLE in os.environ:
        os.close(int(os.environ.pop(STDERR_VARIABLE)))
    return application


application = start()
# What is loaded now is never garbage: to look for it there costs a fifth of a large request.
gc.collect()
gc.freeze()
