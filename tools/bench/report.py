"""The results of a benchmark: tables in Markdown, a picture, and the page with both."""

from __future__ import annotations

import datetime
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from tests.support.containers import NEWEST
from tools.bench.measure import Result
from tools.bench.peers import PRODUCT

COLORS = ("#1f5fa8", "#e07b00", "#777777", "#2e7d32")

Cell = tuple[str, str, str]
"""A database, a workload and a peer."""


@dataclass
class Results:
    """All runs of a benchmark, and the memory of each peer after the load, in MB."""

    runs: dict[Cell, list[Result]] = field(default_factory=dict)
    memory: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, cell: Cell, result: Result) -> None:
        """Add one run."""
        self.runs.setdefault(cell, []).append(result)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return each database with each workload."""
        return list(dict.fromkeys(cell[:2] for cell in self.runs))

    @property
    def peers(self) -> list[str]:
        """Return the names of the peers, the product first."""
        return list(dict.fromkeys(cell[2] for cell in self.runs))

    def of(self, cell: Cell, value: Callable[[Result], float]) -> list[float]:
        """Return one value of all runs."""
        return [value(result) for result in self.runs[cell]]

    def ratios(self, row: tuple[str, str], peer: str) -> list[float]:
        """Return the good requests of the product for each one of a peer, in each round."""
        product = self.of((*row, PRODUCT), lambda result: result.good)
        other = self.of((*row, peer), lambda result: result.good)
        return [ours / max(theirs, 1e-9) for ours, theirs in zip(product, other, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Return the median and the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def of_each_peer(results: Results, form: Callable[[Cell], str]) -> str:
    """Return a table with a column for each peer."""
    rows = ([*row, *(form((*row, peer)) for peer in results.peers)] for row in results.rows)
    return table(["Database", "Workload", *results.peers], rows)


def median(results: Results, value: Callable[[Result], float], digits: int) -> str:
    """Return a table of medians."""

    def form(cell: Cell) -> str:
        return f"{statistics.median(results.of(cell, value)):.{digits}f}"

    return of_each_peer(results, form)


def ratios(results: Results) -> str:
    """Return the table of ratios."""
    others = results.peers[1:]
    rows = ([*row, *(spread(results.ratios(row, peer)) for peer in others)] for row in results.rows)
    return table(["Database", "Workload", *others], rows)


def failures(results: Results) -> str:
    """Return the table of failed requests and broken connections."""

    def form(cell: Cell) -> str:
        failed = sum(results.of(cell, lambda result: result.failed))
        broken = sum(results.of(cell, lambda result: result.broken))
        return f"{failed:.0f}, {broken:.0f}"

    return of_each_peer(results, form)


def memory(results: Results) -> str:
    """Return the table of memory."""
    databases = dict.fromkeys(database for database, _ in results.memory)
    rows = (
        [database, *(f"{results.memory[database, peer]:.0f}" for peer in results.peers)]
        for database in databases
    )
    return table(["Database", *results.peers], rows)


SECTIONS: tuple[tuple[str, Callable[[Results], str]], ...] = (
    ("Ratio of requests per second: default to alternative", ratios),
    ("Milliseconds of CPU for each request", lambda r: median(r, lambda one: one.cpu, 2)),
    ("Requests answered with 2xx in a second", lambda r: median(r, lambda one: one.good, 0)),
    (
        "99th percentile of the latency, in milliseconds",
        lambda r: median(r, lambda one: one.p99, 0),
    ),
    ("Answers other than 2xx, and connections closed without `Connection: close`", failures),
    ("Memory after the load: proportional set size, in MB", memory),
)


def markdown(results: Results) -> str:
    """Return all tables."""
    return "\n\n".join(f"## {title}\n\n{section(results)}" for title, section in SECTIONS)


def draw(results: Results, path: Path) -> None:
    """Draw the ratios as bars, with their ranges."""
    others = results.peers[1:]
    rows = results.rows
    figure = Figure(figsize=(9, 0.5 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(others)
    for number, (peer, color) in enumerate(zip(others, COLORS, strict=False)):
        found = [results.ratios(row, peer) for row in rows]
        middle = [statistics.median(values) for values in found]
        errors = [
            [one - min(values) for one, values in zip(middle, found, strict=True)],
            [max(values) - one for one, values in zip(middle, found, strict=True)],
        ]
        places = [index + number * height for index in range(len(rows))]
        axes.barh(places, middle, height, xerr=errors, label=peer, color=color, ecolor="#333333")
    axes.axvline(1, color="#333333", linewidth=1)
    axes.set_yticks([index + 0.3 for index in range(len(rows))], [": ".join(row) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("ratio of requests per second: default to alternative (median and range)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(others), frameon=False)
    figure.savefig(path, metadata={"Date": None})


def write(page: Path, tables: str, draw: Callable[[Path], None], **facts: int) -> None:
    """Write a page of the documentation, and its picture.

    The file with the same name in this folder is its introduction, which contains the facts.
    """
    introduction = (
        Path(__file__)
        .with_name(page.name)
        .read_text(encoding="utf-8")
        .format(
            day=datetime.datetime.now(tz=datetime.UTC).date(),
            release=NEWEST,
            cpus=os.cpu_count(),
            **facts,
        )
    )
    page.write_text(f"{introduction}\n{tables}\n", encoding="utf-8")
    draw(page.with_suffix(".svg"))
