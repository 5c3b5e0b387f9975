"""One run of wrk against a server: requests, CPU and memory."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.containers import PYTHON, Server

# Adds up the proportional set sizes of all other processes of a container, in kB.
MEMORY = """
import os, pathlib, re
kilobytes = 0
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if int(process.name) != os.getpid():
        text = (process / "smaps_rollup").read_text()
        kilobytes += int(re.search(r"^Pss: +(\\d+)", text, re.M)[1])
print(kilobytes)
"""
CONNECTIONS = 10
# The timeout of a request, in seconds.
TIMEOUT = 20


@dataclass(frozen=True)
class Result:
    """What one run has measured."""

    good: float
    """Requests per second that were answered with 2xx."""
    failed: int
    """Answers other than 2xx."""
    broken: int
    """Connections that were refused, timed out, or were closed without an announcement."""
    cpu: float
    """Milliseconds of CPU of the container for each request."""
    p99: float
    """The 99th percentile of the latency, in milliseconds."""


def processes(engine: str, server: Server) -> list[psutil.Process]:
    """Return the processes of a container."""
    command = [engine, "inspect", "--format={{.State.Pid}}", server.name]
    first = psutil.Process(int(subprocess.check_output(command, text=True)))
    return [first, *first.children(recursive=True)]


def cpu_seconds(running: list[psutil.Process]) -> float:
    """Return the CPU time that these processes have used."""
    times = [process.cpu_times() for process in running]
    return sum(time.user + time.system for time in times)


def memory(engine: str, server: Server) -> float:
    """Return the proportional set size of all processes of a container, in MB."""
    python = PYTHON.partition("=")[2]
    command = [engine, "exec", server.name, python, "-I", "-c", MEMORY]
    return int(subprocess.check_output(command, text=True)) * 1024 / 1e6


def peak(engine: str, server: Server) -> float:
    """Return the highest resident memory that a process of a container has had, in MB."""
    status = (Path(f"/proc/{one.pid}/status") for one in processes(engine, server))
    peaks = (re.search(r"^VmHWM:\s+(\d+)", path.read_text(), re.MULTILINE) for path in status)
    return max(int(found[1]) for found in peaks if found) * 1024 / 1e6


def run(engine: str, server: Server, lua: str, seconds: int, folder: Path) -> Result:
    """Send requests for some seconds."""
    script = folder / "wrk.lua"
    script.write_text(lua, encoding="utf-8")
    running = processes(engine, server)
    before = cpu_seconds(running)
    output = subprocess.check_output(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", f"--timeout={TIMEOUT}"),
            *("--script", str(script), str(server.client.base_url)),
        ],
        text=True,
    )
    used = cpu_seconds(running) - before
    found = json.loads(output.splitlines()[-1])
    answered = max(found["requests"], 1)
    return Result(
        good=(found["requests"] - found["failed"]) / found["seconds"],
        failed=found["failed"],
        broken=found["broken"],
        cpu=used * 1000 / answered,
        p99=found["p99"] / 1000,
    )
