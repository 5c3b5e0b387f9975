"""`make load`: load the deployed Placement, record how it responds, and plot the result."""

from datetime import datetime
from pathlib import Path
from threading import Thread
from time import time

from ..errors import MaintenanceError
from .cluster import START_SECONDS, Deployment
from .recording import HEADINGS, TABLE, Recording
from .report import draw, summary, write

__all__ = ["Deployment", "run"]

FOLDER = Path("load")
"""Where the tables and plots are written, relative to the repository."""


def run(deployment: Deployment, clients: int, seconds: int, cooldown: int) -> int:
    """Run a load test; a failed request fails it."""
    recording = Recording(deployment)
    now = datetime.now()
    stamp = now.strftime("%Y%m%d-%H%M%S")
    title = (
        f"Load on {deployment.name} in the namespace {deployment.namespace}: "
        f"{clients} clients for {seconds} s"
    )
    print(f"{title}. Press Ctrl-C to stop.\n{TABLE.format(*HEADINGS)}", flush=True)
    try:
        record(recording, f"{deployment.name[:40]}-load-{stamp}", clients, seconds, cooldown)
    finally:
        write_report(recording, f"{title}, {now:%Y-%m-%d %H:%M}", stamp)
    if reasons := recording.failures():
        raise MaintenanceError(f"{recording.failed} requests failed. The first: {reasons[0]}")
    return 0


def record(recording: Recording, name: str, clients: int, seconds: int, cooldown: int) -> None:
    """Run the load and record it, and then the deployment alone for the cool-down."""
    deployment = recording.deployment
    recording.sample()
    with deployment.load(name, clients, seconds) as log:
        reader = Thread(target=recording.read_log, args=[log], daemon=True)
        reader.start()
        latest = time() + seconds + START_SECONDS
        recording.watch(lambda: reader.is_alive() and time() < latest, loaded=True)
        if not recording.overall:
            reason = recording.error or deployment.last_warning(name)
            raise MaintenanceError(f"The load test ended early: {reason}")
    end = time() + cooldown
    recording.watch(lambda: time() < end, loaded=False)


def write_report(recording: Recording, title: str, stamp: str) -> None:
    """Write the table and the plot, and print a summary."""
    rows = recording.rows()
    if not rows:
        return
    FOLDER.mkdir(exist_ok=True)
    table, plot = FOLDER / f"{stamp}.csv", FOLDER / f"{stamp}.svg"
    write(rows, table)
    draw(rows, title, recording.deployment.cpu_target, plot)
    print(summary(rows, recording.overall))
    print(f"Plot: {plot}. Table: {table}.")
