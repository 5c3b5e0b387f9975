"""Measure how the cost of GET /allocation_candidates grows with the number of providers.

    make bench-growth

The results are written to docs/reference/growth.md.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import sqlalchemy as sa
from matplotlib.figure import Figure

from tests.support.containers import CONNECTION, Server, serving
from tests.support.servers import DatabaseServer
from tools.bench import measure, report, stack
from tools.bench.cloud import create, fill
from tools.bench.report import table
from tools.bench.workloads import HEADERS, Cloud
from tools.rendering import ROOT

SIZES = (100, 1_000, 10_000)
# The devices of a GPU host.
DEVICES = 8
# The numbers of devices that requests ask for.
REQUESTED = (0, 1, 2, 4, 8)
# Seconds after which a request has failed.
TIMEOUT = 10
# A request is repeated until there are this many answers, or this many seconds have passed.
ANSWERS, SECONDS = 5, 1
# Copies the only host with all its providers. New providers are then numbered after the copies.
COPY = (
    """
    INSERT INTO resource_providers
        (created_at, id, uuid, name, generation, root_provider_id, parent_provider_id)
    SELECT created_at, id + n * :step, gen_random_uuid(), gen_random_uuid(), generation,
        root_provider_id + n * :step, parent_provider_id + n * :step
    FROM resource_providers, generate_series(1, :copies) n
    """,
    """
    INSERT INTO inventories
        (created_at, resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit,
        step_size, allocation_ratio)
    SELECT created_at, resource_provider_id + n * :step, resource_class_id, total, reserved,
        min_unit, max_unit, step_size, allocation_ratio
    FROM inventories, generate_series(1, :copies) n
    """,
    """
    INSERT INTO resource_provider_traits (created_at, resource_provider_id, trait_id)
    SELECT created_at, resource_provider_id + n * :step, trait_id
    FROM resource_provider_traits, generate_series(1, :copies) n
    """,
    """
    INSERT INTO resource_provider_aggregates (created_at, resource_provider_id, aggregate_id)
    SELECT created_at, resource_provider_id + n * :step, aggregate_id
    FROM resource_provider_aggregates, generate_series(1, :copies) n
    """,
    "SELECT setval('resource_providers_id_seq', max(id)) FROM resource_providers",
    "ANALYZE",
)


@dataclass(frozen=True)
class Workload:
    """A request for candidates, and the cloud that it is sent to."""

    name: str
    devices: int
    """The devices of each host."""
    requested: int = 0
    """The devices that the request asks for, each in a group of its own."""

    @property
    def path(self) -> str:
        """The path of the request."""
        groups = (f"&resources{number}=PGPU:1" for number in range(self.requested))
        policy = "&group_policy=none" if self.requested > 1 else ""
        resources = "resources=VCPU:1,DISK_GB:10,MEMORY_MB:256"
        return f"/allocation_candidates?{resources}{''.join(groups)}{policy}"


WORKLOADS = (
    Workload("flat hosts", devices=0),
    *(Workload(f"{requested} of {DEVICES} GPUs", DEVICES, requested) for requested in REQUESTED),
)


@dataclass(frozen=True)
class Case:
    """The settings of Placement, and the end of the query."""

    name: str
    env: Mapping[str, str]
    query: str = ""


MAXIMUM = {"OS_PLACEMENT__MAX_ALLOCATION_CANDIDATES": "1000"}
BREADTH = {"OS_PLACEMENT__ALLOCATION_CANDIDATES_GENERATION_STRATEGY": "breadth-first"}
WIDE = {"OS_WORKAROUNDS__OPTIMIZE_FOR_WIDE_PROVIDER_TREES": "True"}
RANDOM = {"OS_PLACEMENT__RANDOMIZE_ALLOCATION_CANDIDATES": "True"}
CASES = (
    Case("defaults", {}),
    Case("limit=1000", {}, "&limit=1000"),
    Case("limit=10", {}, "&limit=10"),
    Case("limit=1000, randomize", RANDOM, "&limit=1000"),
    Case("max=1000", MAXIMUM),
    Case("max=1000, breadth-first", {**MAXIMUM, **BREADTH}),
    Case("wide", WIDE),
    Case("max=1000, breadth-first, wide", {**MAXIMUM, **BREADTH, **WIDE}),
)


@dataclass(frozen=True)
class Result:
    """What one case of a workload costs in a cloud of one size."""

    memory: float
    """The highest resident memory of the worker, in MB."""
    seconds: float | None = None
    """The median latency; None if a request was not answered in time."""
    candidates: int = 0
    hosts: int = 0
    """The hosts in the answer."""


Results = dict[tuple[str, str], list[Result]]
"""The results of each workload and case, one for each size."""


def new_cloud(
    engine: str, image: str, database: DatabaseServer, devices: int, providers: int
) -> str:
    """Create a database with about this many providers, and return its URL."""
    url = database.new_database()
    with serving(engine, image, {CONNECTION: url}) as server:
        cloud = fill(server, 1)
        for _ in range(devices):
            device = Cloud([], cloud.aggregate, {"PGPU": {"total": 1}})
            create(server.client, device, str(uuid.uuid4()), cloud.providers[0])
    step = devices + 1
    with database.connect(url).begin() as connection:
        for statement in COPY:
            connection.execute(sa.text(statement), {"step": step, "copies": providers // step - 1})
    return url


def ask(engine: str, server: Server, path: str, timeout: float = TIMEOUT) -> Result:
    """Send a request several times, and return what it costs."""
    server.client.headers.update(HEADERS)
    times: list[float] = []
    found = {}
    try:
        while len(times) < ANSWERS and sum(times) < SECONDS:
            answer = server.client.get(path, timeout=timeout).raise_for_status()
            times.append(answer.elapsed.total_seconds())
            found = answer.json()
    except httpx.ReadTimeout:
        return Result(measure.peak(engine, server))
    hosts = {one["root_provider_uuid"] for one in found["provider_summaries"].values()}
    return Result(
        measure.peak(engine, server),
        statistics.median(times),
        len(found["allocation_requests"]),
        len(hosts),
    )


def measure_all(engine: str, image: str, database: DatabaseServer) -> Results:
    """Send all requests to clouds of all sizes."""
    results: Results = {}
    for devices in sorted({workload.devices for workload in WORKLOADS}):
        for size in SIZES:
            url = new_cloud(engine, image, database, devices, size)
            for workload, case in itertools.product(WORKLOADS, CASES):
                found = results.setdefault((workload.name, case.name), [])
                # A larger cloud does not answer what a smaller one has not answered.
                if workload.devices == devices and all(one.seconds for one in found):
                    found.append(measure_case(engine, image, url, workload, case))
                    print(f"{size:6} {workload.name:15} {case.name:30} {found[-1]}", flush=True)
    return results


def measure_case(engine: str, image: str, url: str, workload: Workload, case: Case) -> Result:
    """Send the request to a new worker, whose memory no other request has used."""
    worker = {CONNECTION: url, "UWSGI_PROCESSES": "1", "UWSGI_THREADS": "1", "DB_SYNC": "False"}
    with serving(engine, image, {**worker, **case.env}) as server:
        return ask(engine, server, workload.path + case.query)


def latency(result: Result) -> str:
    """Return the latency with two digits."""
    return f"{result.seconds:.2g}" if result.seconds else f"more than {TIMEOUT}"


def candidates(result: Result) -> str:
    """Return the number of candidates, and of their hosts."""
    return f"{result.candidates:,} on {result.hosts:,}" if result.seconds else "none"


SECTIONS: tuple[tuple[str, Callable[[Result], str]], ...] = (
    ("Latency, in seconds", latency),
    ("Candidates in the answer, and their hosts", candidates),
    ("Highest resident memory of the worker, in MB", lambda result: f"{result.memory:.0f}"),
)


def markdown(results: Results) -> str:
    """Return all tables."""
    sections = []
    headings = ["Request", "Settings", *(f"{size:,} providers" for size in SIZES)]
    for title, form in SECTIONS:
        rows = [
            [*names, *map(form, found), *["not sent"] * (len(SIZES) - len(found))]
            for names, found in results.items()
        ]
        sections.append(f"## {title}\n\n{table(headings, rows)}")
    return "\n\n".join(sections)


def draw(results: Results, path: Path) -> None:
    """Draw latency and memory of each workload, with a line for each case."""
    figure = Figure(figsize=(3 * len(WORKLOADS), 7), layout="constrained")
    grid = figure.subplots(2, len(WORKLOADS), sharex=True, sharey="row")
    for column, workload in enumerate(WORKLOADS):
        latencies, memory = grid[:, column]
        latencies.set_title(workload.name)
        for number, case in enumerate(CASES):
            found = results[workload.name, case.name]
            style = {"color": f"C{number}", "marker": ".", "label": None if column else case.name}
            sizes = SIZES[: len(found)]
            latencies.plot(sizes, [one.seconds or TIMEOUT for one in found], **style)
            memory.plot(sizes, [one.memory for one in found], **style | {"label": None})
            if not found[-1].seconds:
                latencies.plot(sizes[-1], TIMEOUT, f"C{number}X", markersize=9)
        latencies.loglog()
        memory.semilogx()
        memory.set_xlabel("providers")
    for axes in grid.flat:
        axes.minorticks_off()
    grid[0, 0].set_ylabel(f"latency in s (X: no answer in {TIMEOUT} s)")
    grid[1, 0].set_ylabel("highest memory of the worker in MB")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def write(results: Results, page: Path) -> None:
    """Write the page of the documentation, and its picture."""
    report.write(
        page,
        markdown(results),
        functools.partial(draw, results),
        timeout=TIMEOUT,
        answers=ANSWERS,
        devices=DEVICES,
        hosts=SIZES[-1] // (DEVICES + 1),
    )


def main() -> None:
    """Measure, print the tables, and write them to the documentation."""
    engine = stack.find_engine()
    with tempfile.TemporaryDirectory() as name:
        [image] = stack.build(engine, Path(name), "all")
        with stack.databases(engine, Path(name), ["postgresql"]) as servers:
            results = measure_all(engine, image, servers["postgresql"])
    print(markdown(results))
    write(results, ROOT / "docs/reference/growth.md")


if __name__ == "__main__":
    main()
