"""Load the Placement in the cluster of kubectl's current context, and record how it bears that.

It takes NAMESPACE, SELECTOR, CLIENTS, SECONDS and COOLDOWN from the environment, and writes
load/<time>.csv and load/<time>.svg.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import cycle
from pathlib import Path
from threading import Thread
from time import sleep, time

from load_cluster import START_SECONDS, ClusterError, Deployment
from load_report import Row, draw, summary, write

FOLDER = Path("load")
SAMPLE_SECONDS = 2
TABLE = "{:>7}  {:>10}  {:>6}  {:>10}  {:>8}  {:>6}"
HEADINGS = ("time", "pods ready", "CPU", "requests/s", "p95", "failed")


class Recording:
    """What a load tells second by second, and what is seen of the deployment meanwhile."""

    def __init__(self, deployment: Deployment) -> None:
        """Begin with nothing."""
        self.deployment = deployment
        self.with_cpu = has_cpu(deployment)
        self.start: float | None = None
        self.seconds: dict[int, Row] = {}
        self.overall: Row = {}
        self.samples: dict[float, Row] = {}
        self.complaint = ""

    def listen(self, log: Iterable[str]) -> None:
        """Take down what the Job says, up to its last line."""
        for line in log:
            try:
                told = json.loads(line)
            except ValueError:
                self.complaint = line.strip()
                continue
            if "second" not in told:
                self.overall = told
                return
            self.start = self.start or time() - told["second"]
            self.seconds[told["second"]] = told

    def sample(self) -> None:
        """Take down how the deployment is; what cannot be seen will be a gap."""
        try:
            seen = self.deployment.replicas()
            if self.with_cpu:
                seen |= self.deployment.cpu()
        except ClusterError as error:
            print(f"The deployment cannot be seen: {error}", file=sys.stderr)
            seen = {}
        self.samples[time()] = seen

    def watch(self, going_on: Callable[[], bool], *, loaded: bool) -> None:
        """Take samples, and show every other one."""
        for shown in cycle((True, False)):
            if not going_on():
                return
            self.sample()
            if shown:
                print(self.progress(loaded=loaded), flush=True)
            sleep(SAMPLE_SECONDS)

    def progress(self, *, loaded: bool) -> str:
        """Return how it is now, in one line."""
        told = list(self.seconds.values())[-1] if loaded and self.seconds else {}
        seen = list(self.samples.values())[-1]
        return TABLE.format(
            f"{time() - self.start if self.start else 0:.0f} s",
            f"{seen.get('ready', '?')} of {seen.get('desired', '?')}",
            f"{seen['cpu_percent']:.0f} %" if "cpu_percent" in seen else "?",
            told.get("requests", "-"),
            "-" if told.get("p95_ms") is None else f"{told['p95_ms']:.0f} ms",
            self.failed(),
        )

    def rows(self) -> list[Row]:
        """Return all that is known of each second, which is nothing if there was no load."""
        if self.start is None:
            return []
        seen = {math.ceil(when - self.start): sample for when, sample in self.samples.items()}
        rows: list[Row] = []
        known: Row = {}
        for second in range(min(*seen, 0), max(*seen, *self.seconds) + 1):
            known = seen.get(second, known)
            when = datetime.fromtimestamp(self.start + second).astimezone()
            stamp = when.isoformat(timespec="seconds")
            rows.append({"second": second, "time": stamp, **known, **self.seconds.get(second, {})})
        return rows

    def failed(self) -> int:
        """Return how many requests failed."""
        return sum(second["failures"] for second in self.seconds.values())

    def failures(self) -> list[str]:
        """Return the first reason of each second in which a request failed."""
        return [second["reason"] for second in self.seconds.values() if second["reason"]]


def has_cpu(deployment: Deployment) -> bool:
    """Say so if nobody measures the CPU."""
    try:
        deployment.cpu()
    except ClusterError as error:
        print(f"The CPU is not recorded, as the cluster has no metrics: {error}", file=sys.stderr)
        return False
    if deployment.cpu_request is None:
        print("The CPU is not recorded in percent, as the pods request none", file=sys.stderr)
    return True


def number(name: str, lowest: int, highest: int) -> int:
    """Return a variable that is a number."""
    value = os.environ[name]
    if not value.isdecimal() or not lowest <= int(value) <= highest:
        sys.exit(f"{name}={value}: say a whole number from {lowest} to {highest}")
    return int(value)


def record(recording: Recording, name: str, clients: int, seconds: int, cooldown: int) -> None:
    """Put the load on, and look on until a while after it."""
    deployment = recording.deployment
    recording.sample()
    with deployment.load(name, clients, seconds) as log:
        reader = Thread(target=recording.listen, args=[log], daemon=True)
        reader.start()
        latest = time() + seconds + START_SECONDS
        recording.watch(lambda: reader.is_alive() and time() < latest, loaded=True)
        if not recording.overall:
            why = recording.complaint or deployment.trouble(name)
            raise ClusterError(f"the load ended before its time: {why}")
    end = time() + cooldown
    recording.watch(lambda: time() < end, loaded=False)


def report(recording: Recording, title: str, stamp: str) -> None:
    """Write what was recorded, and say what it comes to."""
    rows = recording.rows()
    if not rows:
        return
    FOLDER.mkdir(exist_ok=True)
    table, picture = FOLDER / f"{stamp}.csv", FOLDER / f"{stamp}.svg"
    write(rows, table)
    draw(rows, title, recording.deployment.cpu_target, picture)
    print(summary(rows, recording.overall))
    print(f"{picture} shows it, {table} has the numbers.")


def main() -> None:
    """Do it all; a failed request is a failure."""
    clients, seconds = number("CLIENTS", 1, 100), number("SECONDS", 1, 3600)
    cooldown = number("COOLDOWN", 0, 3600)
    deployment = Deployment(os.environ["NAMESPACE"], os.environ["SELECTOR"])
    recording = Recording(deployment)
    now = datetime.now()
    stamp = now.strftime("%Y%m%d-%H%M%S")
    what = (
        f"Load on {deployment.name} in the namespace {deployment.namespace}:"
        f" {clients} at a time for {seconds} s"
    )
    print(f"{what}. Ctrl-C ends it.\n{TABLE.format(*HEADINGS)}", flush=True)
    try:
        record(recording, f"{deployment.name[:40]}-load-{stamp}", clients, seconds, cooldown)
    finally:
        report(recording, f"{what}, {now:%Y-%m-%d %H:%M}", stamp)
    if reasons := recording.failures():
        raise ClusterError(f"{recording.failed()} requests failed, the first by {reasons[0]}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except ClusterError as error:
        sys.exit(f"load: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
