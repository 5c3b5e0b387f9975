"""What `make load` has recorded: row by row, summed up, and as a picture."""

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
    """Write one row a second."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def summary(rows: Sequence[Row], overall: Row) -> str:
    """Return the figures that matter; `overall` is there where the load came to its end."""
    loaded = [row for row in rows if "requests" in row]
    requests, failures = (sum(row[column] for row in loaded) for column in ("requests", "failures"))
    rate = statistics.median(row["requests"] for row in loaded)
    requested = f"{requests} requests, {failures} failed, {rate:g} a second (median)"
    if overall.get("p95_ms") is not None:
        requested += f", p95 {overall['p95_ms']:.0f} ms"
    ready = [row["ready"] for row in rows if "ready" in row]
    if not ready:
        return f"{requested}."
    pods = f"Pods ready: {ready[0]} at first, {max(ready)} at most, {ready[-1]} in the end"
    more = (row["second"] for row in rows if row["second"] > 0 and row.get("ready", 0) > ready[0])
    first = next(more, None)
    added = "none was added" if first is None else f"the first was added within {first} s"
    return f"{requested}.\n{pods}; {added}."


def draw(rows: Sequence[Row], title: str, cpu_target: int | None, path: Path) -> None:
    """Draw it all over one axis of time."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    replicas, cpu, rate, latency = figure.subplots(4, 1, sharex=True)
    figure.suptitle(title)
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
        # Beside the curves, which may be anywhere.
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.align_ylabels()
    latency.set_xlabel("seconds since the start of the load (grey: while it runs)")
    latency.set_xlim(rows[0]["second"], rows[-1]["second"])
    figure.savefig(path)


def curve(rows: Sequence[Row], column: str) -> tuple[list[int], list[float]]:
    """Return a column over time, with gaps where nothing is known."""
    values = [row.get(column) for row in rows]
    return [row["second"] for row in rows], [math.nan if it is None else it for it in values]


def draw_replicas(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how many pods are wanted and how many serve."""
    axes.step(*curve(rows, "desired"), where="post", color=ORANGE, linestyle="--", label="desired")
    axes.step(*curve(rows, "ready"), where="post", color=BLUE, linewidth=2, label="ready")
    axes.set_ylabel("replicas")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def draw_cpu(axes: Axes, rows: Sequence[Row], target: int | None) -> None:
    """Draw what the pods use of the CPU they ask for."""
    axes.step(*curve(rows, "cpu_percent"), where="post", color=BLUE, label="mean of pods")
    if target:
        axes.axhline(
            target, color=ORANGE, linestyle="--", label=f"autoscaler's\ntarget, {target} %"
        )
    axes.set_ylabel("CPU (% of request)")


def draw_rate(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how many requests are answered, and how many of them are not as they should."""
    axes.plot(*curve(rows, "requests"), color=BLUE, linewidth=1, label="answered")
    axes.plot(*curve(rows, "failures"), color=RED, linewidth=1, label="failed")
    axes.set_ylabel("requests per second")


def draw_latency(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how long half of the answers and nearly all of them take."""
    axes.plot(*curve(rows, "p95_ms"), color=ORANGE, linewidth=1, label="p95")
    axes.plot(*curve(rows, "p50_ms"), color=BLUE, linewidth=1, label="p50")
    axes.set_ylabel("latency (ms)")
