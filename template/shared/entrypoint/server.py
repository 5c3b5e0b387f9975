"""What uWSGI starts with: its port, its processes and threads, and the database pool for them."""

import errno
import math
import os
import socket
from pathlib import Path

from oslo_config import cfg

from entrypoint.errors import STDERR_VARIABLE, StartError
from entrypoint.options import set_defaults
from entrypoint.variables import whole_number

UWSGI = "/opt/placement/bin/uwsgi"
MAX_PROCESSES = 8
THREADS = 4
CGROUP = Path("/sys/fs/cgroup")


def serve(config: cfg.ConfigOpts) -> None:
    """Become uWSGI; logs go to standard output, and only errors to standard error."""
    number, processes, threads = check(config)
    check_port_is_free(number)
    # uWSGI would read them as options: Kubernetes sets some for a Service named uwsgi.
    for name in [name for name in os.environ if name.startswith("UWSGI_")]:
        del os.environ[name]
    os.environ.update(PORT=str(number), UWSGI_PROCESSES=str(processes), UWSGI_THREADS=str(threads))
    if not config.placement_database.connection.startswith("sqlite"):
        set_defaults(config, pool(threads))
    stderr = os.dup(2)
    os.set_inheritable(stderr, True)
    os.environ[STDERR_VARIABLE] = str(stderr)
    os.dup2(1, 2)
    os.execv(UWSGI, [UWSGI, "--ini", "/placement-uwsgi.ini"])


def pool(threads: int) -> dict[str, str]:
    """Return the database pool of a process: a connection for each thread, and as many spare."""
    return {"max_pool_size": str(threads), "max_overflow": str(threads)}


def check(config: cfg.ConfigOpts) -> tuple[int, int, int]:
    """Return the port, the processes and the threads that are set."""
    for name in ("DB_SYNC", "PORT", "UWSGI_PROCESSES", "UWSGI_THREADS"):
        if f"{name}_FILE" in os.environ:
            raise StartError(f"{name}_FILE is not read: only OS_ variables may be; set {name}")
    check_sync(os.environ.get("DB_SYNC", ""))
    return port(), *workers(config.placement_database.connection)


def check_sync(value: str) -> bool:
    """Return whether DB_SYNC turns the sync before serving on."""
    if value.lower() not in ("true", "false", ""):
        raise StartError(f"DB_SYNC={value!r} is neither True nor False")
    return value.lower() == "true"


def port() -> int:
    """Return the port to serve on."""
    value = os.environ.get("PORT") or "80"
    number = whole_number("PORT", value)
    if number > 65535:
        raise StartError(f"PORT={value} is not a port: take one from 1 to 65535")
    return number


def check_port_is_free(number: int) -> None:
    """Refuse a port that is in use, or that this user may not listen on."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", number))
            trial.listen()
        except OSError as error:
            raise StartError(f"PORT={number}: {bind_advice(error)}") from error


def bind_advice(error: OSError) -> str:
    """Return why the port is not available and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "another process listens there; set PORT to a free one"
    if error.errno == errno.EACCES:
        return (
            "this user may not listen there; set PORT to 1024 or more, or run the container with"
            " --sysctl net.ipv4.ip_unprivileged_port_start=0"
        )
    return str(error)


def workers(connection: str) -> tuple[int, int]:
    """Return the number of processes, and of threads in each, that serve requests."""
    processes = os.environ.get("UWSGI_PROCESSES") or str(min(granted_cpus(), MAX_PROCESSES))
    threads = os.environ.get("UWSGI_THREADS") or str(THREADS)
    wanted = whole_number("UWSGI_PROCESSES", processes), whole_number("UWSGI_THREADS", threads)
    if not connection.startswith("sqlite"):
        return wanted
    for name in ("UWSGI_PROCESSES", "UWSGI_THREADS"):
        if os.environ.get(name, "1") not in ("1", ""):
            print(f"{name} is 1: with more, sqlite locks itself out and requests fail", flush=True)
    return 1, 1


def granted_cpus() -> int:
    """Return the CPUs that this container may use, a fraction counted as one."""
    quota, period = cpu_quota()
    available = len(os.sched_getaffinity(0))
    return min(available, math.ceil(quota / period)) if quota > 0 else available


def cpu_quota() -> tuple[int, int]:
    """Return the cgroup's CPU quota and its period; a quota of 0 or less is no limit."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
    except OSError:
        return cpu_quota_v1()
    return 0 if quota == "max" else int(quota), int(period)


def cpu_quota_v1() -> tuple[int, int]:
    """Return the same from version 1 of cgroups."""
    try:
        quota, period = (
            (CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
    except OSError:
        return 0, 1
    return int(quota), int(period)
