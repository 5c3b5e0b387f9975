"""The WSGI application that uWSGI loads: Placement, on a database that is ready."""

import functools
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from entrypoint.errors import STDERR_VARIABLE, report_errors
from entrypoint.logs import escape_log
from entrypoint.signals import handle_signals
from entrypoint.supervisor import LOADED, SUPERVISOR_VARIABLE

# The patches in this image, which `make build PATCHES=...` selects.
PATCHES = Path("/usr/share/placement/patches")
# The paths of probes, with and without the prefix.
PREFIX = "/placement"
PROBES = ("/", PREFIX, f"{PREFIX}/")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def start() -> Application:
    """Return the application, or end this process with an error in one line."""
    with report_errors():
        application = load()
    logging.getLogger("placement.requestlog").addFilter(is_logged)
    escape_log()
    if STDERR_VARIABLE in os.environ:
        os.close(int(os.environ.pop(STDERR_VARIABLE)))
    return split_uri(application)


def load() -> Application:
    """Load Placement when its database is ready."""
    load_http_checks_when_used()
    from placement import db_api, deploy, wsgi

    from entrypoint import options
    from entrypoint.database import connection

    load_placement: Callable[[Any], Application] = deploy.loadapp

    def load_on_ready_database(config: Any) -> Application:
        options.check_policy(config)
        with connection.preparation(config):
            prepare(config)
            application = load_placement(config)
        if config.api.auth_strategy != "keystone":
            return application
        accept_only_bytes()
        return answer_503(application)

    patches = PATCHES.read_text(encoding="utf-8").split()
    if "aliases-once" in patches:
        reuse_aliases()
    if "signatures-once" in patches:
        reuse_signatures()
    # Placement has no hook between reading its configuration and writing to the database.
    deploy.loadapp = load_on_ready_database
    # The files that oslo.config reads depend on the program's name: `uwsgi` would have its own.
    sys.argv = [options.PROGRAM]
    application: Application = wsgi.init_application()
    # Each serving process opens its own connections. These would only add to their number.
    db_api.get_placement_engine().dispose()
    return application


def prepare(config: Any) -> None:
    """Wait for the database, and sync it or require its schema."""
    from entrypoint.database import release, schema
    from entrypoint.server import check_sync

    if check_sync(os.environ.get("DB_SYNC", "")) or config.placement_database.sync_on_startup:
        # Placement itself would sync without a lock.
        config.set_override("sync_on_startup", False, "placement_database")
        try:
            schema.sync(config)
            return
        except release.NewerDatabaseError as newer:
            # A container of the old release that restarts while the new one rolls out.
            print(f"serving without a sync: {newer}", flush=True)
    schema.require_schema(config)


def reuse_aliases() -> None:
    """Build each alias of a table once, and not for each request: a fifth of the time of a read."""
    import sqlalchemy

    new_alias: Callable[..., Any] = sqlalchemy.alias

    @functools.lru_cache(maxsize=256)
    def alias(*arguments: Any, **named: Any) -> Any:
        alias = new_alias(*arguments, **named)
        alias.c  # noqa: B018  # builds the columns before other threads see the alias
        return alias

    sqlalchemy.alias = alias


def reuse_signatures() -> None:
    """Inspect the signature of each check of a policy once: a fifteenth of the time of a read."""
    from oslo_policy import _checks

    getfullargspec = functools.lru_cache(maxsize=1024)(inspect.getfullargspec)
    vars(_checks)["inspect"] = SimpleNamespace(getfullargspec=getfullargspec)


def load_http_checks_when_used() -> None:
    """Import `requests` only for a policy with an http: or https: check, which few have.

    oslo.policy would import the plugins for all checks, which takes a twentieth of the start.
    """
    from oslo_policy import _checks

    def check(kind: str, match: str) -> Any:
        _checks.extension_checks = None
        return _checks.get_extensions()[kind](kind, match)

    _checks.extension_checks = dict.fromkeys(("http", "https"), check)


def answer_503(application: Application) -> Application:
    """Answer 503 while Keystone is silent, and log the reason.

    keystonemiddleware does so only where Keystone refuses the connection. After a timeout its
    error would leave the application, and the client's connection would close without an answer.
    """
    from keystoneauth1.exceptions import ClientException
    from webob.exc import HTTPServiceUnavailable

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return application(environ, start_response)
        except ClientException as error:
            logging.getLogger("placement").error("Keystone does not answer: %s", error)
            unavailable: Application = HTTPServiceUnavailable("Keystone does not answer.")
            return unavailable(environ, start_response)

    return answer


def accept_only_bytes() -> None:
    """Treat each value in memcached that is not bytes as missing: keystonemiddleware stores none.

    python-memcached would unpickle a value if memcached says that it is a pickle. Whoever can write
    to memcached could so run code in Placement.
    """
    import memcache

    receive = memcache.Client._recv_value

    def receive_bytes(client: Any, server: Any, flags: int, length: int) -> Any:
        value = receive(client, server, 0, length)  # without flags, it is returned as it is
        return None if flags else value

    memcache.Client._recv_value = receive_bytes


def split_uri(application: Application) -> Application:
    """Split the request's URI, as the client sent it, into the prefix, the path and the query.

    With a prefix, as behind a proxy that keeps the path, links contain it.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, _, environ["QUERY_STRING"] = environ["REQUEST_URI"].partition("?")
        path = unquote(path, "latin-1")
        has_prefix = path == PREFIX or path.startswith(f"{PREFIX}/")
        environ["SCRIPT_NAME"] = PREFIX if has_prefix else ""
        environ["PATH_INFO"] = (path.removeprefix(PREFIX) or "/") if has_prefix else path
        return application(environ, start_response)

    return answer


def is_logged(record: logging.LogRecord) -> bool:
    """Return whether the log gets a request: every one except successful probes."""
    request = record.args if isinstance(record.args, dict) else {}
    return request.get("status") != "200" or request.get("REQUEST_URI") not in PROBES


handle_signals()
# Most of what the start creates stays: searching it for garbage would take a tenth of the start.
gc.disable()
application = start()
# Exclude what is loaded now from garbage collection: searching it costs a fifth of a large request.
gc.freeze()
gc.enable()
if SUPERVISOR_VARIABLE in os.environ:  # not after a reload
    os.kill(int(os.environ.pop(SUPERVISOR_VARIABLE)), LOADED)
