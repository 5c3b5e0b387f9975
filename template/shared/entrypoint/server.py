"""What uWSGI starts with: its port, its processes and threads, and the database pool for them."""

import contextlib
import math
import os
import sys
from pathlib import Path

from oslo_config import cfg

from entrypoint import listen, options, supervisor
from entrypoint.errors import STDERR_VARIABLE, StartError, one_line
from entrypoint.variables import CONTAINER, DATABASE_VARIABLES, ignored, whole_number

MAX_PROCESSES = 8
THREADS = 4
CGROUP = Path("/sys/fs/cgroup")


def serve() -> None:
    """Check the settings, then serve Placement with nginx and uWSGI.

    All logs go to standard output; standard error is for errors that stop the container.
    """
    config = options.load()
    number, processes, threads = check(config)
    listen.prepare(number)
    os.environ.update(UWSGI_PROCESSES=str(processes), UWSGI_THREADS=str(threads))
    if not config.placement_database.connection.startswith("sqlite"):
        options.set_defaults(config, pool(threads))
    stderr = os.dup(2)
    os.set_inheritable(stderr, True)
    os.environ[STDERR_VARIABLE] = str(stderr)
    os.dup2(1, 2)
    supervisor.supervise()


def check_config(*given: str) -> None:
    """Check the settings as `serve` does, and with --database the database as well."""
    if "--database" not in given:
        check_settings()
        return
    # Imported only here, because it takes long to load.
    from entrypoint.database import checks

    as_json = "--json" in given
    try:
        # With --json, the document is all that standard output gets.
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
            config, limit = check_settings()
            found = checks.run(config, limit)
    except StartError as error:
        if as_json:
            checks.print_json([checks.Finding(checks.ERROR, "settings", one_line(error))])
        raise
    checks.report(config, found, as_json=as_json)


def check_settings() -> tuple[cfg.ConfigOpts, int]:
    """Check the settings; return them, and the connections that the container may open."""
    from entrypoint import database

    config = options.load()
    _, processes, threads = check(config)
    database.check_url(config)
    options.check_policy(config)
    print("the configuration is valid")
    return config, processes * connections(config, threads)


def connections(config: cfg.ConfigOpts, threads: int) -> int:
    """Return the connections that a process may open, with its pool's overflow; 0 is no limit."""
    size, overflow = (
        config.placement_database[option]
        if options.is_set(config, option, "placement_database")
        else int(value)
        for option, value in pool(threads).items()
    )
    return size + overflow if size > 0 and overflow >= 0 else 0


def pool(threads: int) -> dict[str, str]:
    """Return the database pool of a process: a connection for each thread, and as many spare."""
    return {"max_pool_size": str(threads), "max_overflow": str(threads)}


def check(config: cfg.ConfigOpts) -> tuple[int, int, int]:
    """Return the port, the processes and the threads that are set."""
    options.require_auth_strategy(config)
    options.check_files(config)
    print_ignored("DATABASE_HOST is not set", DATABASE_VARIABLES & {*ignored})
    print_ignored("the container has no such setting", {*ignored} - DATABASE_VARIABLES)
    for name in CONTAINER:
        if f"{name}_FILE" in os.environ:
            raise StartError(
                f"{name}_FILE is not supported, only files for OS_ variables are: set {name}"
            )
    check_sync(os.environ.get("DB_SYNC", ""))
    listen.certificate()
    port = whole_number("PORT", os.environ.get("PORT") or "80")
    return port, *workers(config.placement_database.connection)


def print_ignored(reason: str, names: set[str]) -> None:
    """Print which variables and options are ignored, and why."""
    if names:
        print(f"ignored, because {reason}: {', '.join(sorted(names))}", flush=True)


def check_sync(value: str) -> bool:
    """Return whether DB_SYNC is on: whether to sync the schema before serving."""
    if value.lower() not in ("true", "false", ""):
        raise StartError(f"DB_SYNC={value!r} is neither True nor False: set it to one of them")
    return value.lower() == "true"


def workers(connection: str) -> tuple[int, int]:
    """Return the number of processes, and of threads in each, that serve requests."""
    processes = os.environ.get("UWSGI_PROCESSES") or str(min(granted_cpus(), MAX_PROCESSES))
    threads = os.environ.get("UWSGI_THREADS") or str(THREADS)
    wanted = whole_number("UWSGI_PROCESSES", processes), whole_number("UWSGI_THREADS", threads)
    if not connection.startswith("sqlite"):
        return wanted
    for name in ("UWSGI_PROCESSES", "UWSGI_THREADS"):
        if os.environ.get(name, "1") not in ("1", ""):
            print(f"{name} is reduced to 1: more than one would lock SQLite", flush=True)
    return 1, 1


def granted_cpus() -> int:
    """Return the CPUs that this container may use, a fraction counted as one."""
    quota, period = cpu_quota()
    available = len(os.sched_getaffinity(0))
    return min(available, math.ceil(quota / period)) if quota > 0 else available


def cpu_quota() -> tuple[int, int]:
    """Return the cgroup's CPU quota and its period; a quota of 0 or less is no limit."""
    v1 = [CGROUP / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
    try:
        if (v2 := CGROUP / "cpu.max").exists():
            quota, period = v2.read_text().split()
        else:
            quota, period = (path.read_text() for path in v1)
    except OSError:
        return 0, 1
    return 0 if quota == "max" else int(quota), int(period)
