"""The results of a load test: as a table, a summary and a plot."""

import csv
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Row = dict[str, Any]
COLUMNS = (
    "second",
    "time",
    "desired",
    "ready",
    "cpu_cores",
    "cpu_percent",
    "requests",
    "failures",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
)
BLUE, ORANGE, RED, GREY = "#1f5fa8", "#e07b00", "#c62828", "#777777"


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the table, with one row for each second."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def summary(rows: Sequence[Row], overall: Row) -> str:
    """Return the key figures; `overall` is empty if the load was interrupted."""
    loaded = [row for row in rows if "requests" in row]
    requests, failures = (sum(row[column] for row in loaded) for column in ("requests", "failures"))
    rate = statistics.median(row["requests"] for row in loaded)
    requested = f"{requests} requests, {failures} failed, {rate:g} per second (median)"
    if overall.get("p95_ms") is not None:
        requested += f", p95 {overall['p95_ms']:.0f} ms"
    ready = [row["ready"] for row in rows if "ready" in row]
    if not ready:
        return f"{requested}."
    pods = f"Pods ready: {ready[0]} at the start, {max(ready)} at most, {ready[-1]} at the end"
    more = (row["second"] for row in rows if row["second"] > 0 and row.get("ready", 0) > ready[0])
    first = next(more, None)
    added = "none was added" if first is None else f"the first was added after {first} s"
    return f"{requested}.\n{pods}; {added}."


def draw(rows: Sequence[Row], title: str, cpu_target: int | None, path: Path) -> None:
    """Write a plot of replicas, CPU and latency under load."""
    plot(rows, title, cpu_target).savefig(path)


def plot(rows: Sequence[Row], title: str, cpu_target: int | None) -> Figure:
    """Plot replicas, CPU and latency under load over one time axis."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    replicas, cpu, rate, latency = figure.subplots(4, 1, sharex=True)
    figure.suptitle(title, wrap=True)
    draw_replicas(replicas, rows)
    draw_cpu(cpu, rows, cpu_target)
    draw_rate(rate, rows)
    draw_latency(latency, rows)
    loaded = [row["second"] for row in rows if "requests" in row]
    for axes in (replicas, cpu, rate, latency):
        axes.axvspan(0, loaded[-1], color=GREY, alpha=0.08, linewidth=0)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        # Outside the axes, because the curves may be anywhere inside.
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.align_ylabels()
    latency.set_xlabel("seconds since the start of the load (grey: while it runs)")
    latency.set_xlim(rows[0]["second"], rows[-1]["second"])
    return figure


def curve(rows: Sequence[Row], column: str) -> tuple[list[int], list[float]]:
    """Return a column over time, with gaps where it is unknown."""
    values = [row.get(column) for row in rows]
    return [row["second"] for row in rows], [
        math.nan if value is None else value for value in values
    ]


def draw_replicas(axes: Axes, rows: Sequence[Row]) -> None:
    """Plot the desired and the ready pods."""
    axes.step(*curve(rows, "desired"), where="post", color=ORANGE, linestyle="--", label="desired")
    axes.step(*curve(rows, "ready"), where="post", color=BLUE, linewidth=2, label="ready")
    axes.set_ylabel("replicas")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def draw_cpu(axes: Axes, rows: Sequence[Row], target: int | None) -> None:
    """Plot the CPU usage in percent of the request."""
    axes.step(*curve(rows, "cpu_percent"), where="post", color=BLUE, label="mean of pods")
    if target:
        axes.axhline(
            target, color=ORANGE, linestyle="--", label=f"autoscaler's\ntarget, {target} %"
        )
    axes.set_ylabel("CPU (% of request)")


def draw_rate(axes: Axes, rows: Sequence[Row]) -> None:
    """Plot the requests and the failures."""
    axes.plot(*curve(rows, "requests"), color=BLUE, linewidth=1, label="answered")
    axes.plot(*curve(rows, "failures"), color=RED, linewidth=1, label="failed")
    axes.set_ylabel("requests per second")


def draw_latency(axes: Axes, rows: Sequence[Row]) -> None:
    """Plot the median latency and its 95th percentile."""
    axes.plot(*curve(rows, "p95_ms"), color=ORANGE, linewidth=1, label="p95")
    axes.plot(*curve(rows, "p50_ms"), color=BLUE, linewidth=1, label="p50")
    axes.set_ylabel("latency (ms)")
