"""What a load test measures second by second, and the state of the deployment meanwhile."""

import json
import math
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import cycle
from time import sleep, time

from ..errors import MaintenanceError
from .cluster import Deployment
from .report import Row

SAMPLE_SECONDS = 2
TABLE = "{:>7}  {:>10}  {:>6}  {:>10}  {:>8}  {:>6}"
HEADINGS = ("time", "pods ready", "CPU", "requests/s", "p95", "failed")


class Recording:
    """The measurements of one load test."""

    def __init__(self, deployment: Deployment) -> None:
        """Start empty."""
        self.deployment = deployment
        self.with_cpu = has_cpu(deployment)
        self.start: float | None = None
        self.seconds: dict[int, Row] = {}
        self.overall: Row = {}
        self.samples: dict[float, Row] = {}
        self.error = ""
        """The last line of the Job's log that is not a measurement."""

    def read_log(self, log: Iterable[str]) -> None:
        """Record the Job's log: a JSON line for each second, and a last one for all of them."""
        for line in log:
            try:
                measured = json.loads(line)
            except ValueError:
                self.error = line.strip()
                continue
            if "second" not in measured:
                self.overall = measured
                return
            self.start = self.start or time() - measured["second"]
            self.seconds[measured["second"]] = measured

    def sample(self) -> None:
        """Record the state of the deployment; an error leaves a gap."""
        state: Row = {}
        try:
            state |= self.deployment.replicas()
            if self.with_cpu:
                state |= self.deployment.cpu()
        except MaintenanceError as error:
            print(f"The state of the deployment is unknown: {error}", file=sys.stderr)
            state = {}
        self.samples[time()] = state

    def watch(self, is_running: Callable[[], bool], *, loaded: bool) -> None:
        """Take samples, and print every other one."""
        for printed in cycle((True, False)):
            if not is_running():
                return
            self.sample()
            if printed:
                print(self.progress(loaded=loaded), flush=True)
            sleep(SAMPLE_SECONDS)

    def progress(self, *, loaded: bool) -> str:
        """Return the current state in one line."""
        measured = list(self.seconds.values())[-1] if loaded and self.seconds else {}
        state = list(self.samples.values())[-1]
        return TABLE.format(
            f"{time() - self.start if self.start else 0:.0f} s",
            f"{state.get('ready', '?')} of {state.get('desired', '?')}",
            f"{state['cpu_percent']:.0f} %" if "cpu_percent" in state else "?",
            measured.get("requests", "-"),
            "-" if measured.get("p95_ms") is None else f"{measured['p95_ms']:.0f} ms",
            self.failed,
        )

    def rows(self) -> list[Row]:
        """Return a row for each second; none if there was no load."""
        if self.start is None:
            return []
        states = {math.ceil(when - self.start): state for when, state in self.samples.items()}
        rows: list[Row] = []
        state: Row = {}
        for second in range(min(*states, 0), max(*states, *self.seconds) + 1):
            state = states.get(second, state)
            when = datetime.fromtimestamp(self.start + second).astimezone()
            stamp = when.isoformat(timespec="seconds")
            rows.append({"second": second, "time": stamp, **state, **self.seconds.get(second, {})})
        return rows

    @property
    def failed(self) -> int:
        """The number of failed requests."""
        return sum(second["failures"] for second in self.seconds.values())

    def failures(self) -> list[str]:
        """Return the first reason of each second with a failed request."""
        return [second["reason"] for second in self.seconds.values() if second["reason"]]


def has_cpu(deployment: Deployment) -> bool:
    """Whether the cluster measures the CPU; print what will be missing."""
    try:
        deployment.cpu()
    except MaintenanceError as error:
        message = f"CPU usage is not recorded, because the cluster has no metrics: {error}"
        print(message, file=sys.stderr)
        return False
    if deployment.cpu_request is None:
        message = "CPU usage is not recorded in percent, because the pods have no CPU request."
        print(message, file=sys.stderr)
    return True
