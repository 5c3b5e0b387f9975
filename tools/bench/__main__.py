"""Compare the image with other ways to serve Placement, in rounds that alternate between them.

    make bench
    make bench QUICK=1

Placement, its database and the load share the CPUs of this machine, so only ratios of one run
count. Without --quick, the results are written to docs/reference/benchmark.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.containers import CONNECTION, NEWEST, Server, serving, succeed
from tests.support.servers import TARGETS, DatabaseServer, database_server
from tools.bench import measure, report, workloads
from tools.bench.cloud import delayed, delete_created, fill
from tools.bench.peers import PEERS, PRODUCT, UNPATCHED
from tools.rendering import ROOT, render

PROVIDERS = 1000
# The databases: the kind, and the delay in milliseconds.
DATABASES = {
    "PostgreSQL": ("postgresql", 0),
    "PostgreSQL, 1 ms away": ("postgresql", 1),
    "MariaDB": ("mysql", 0),
}
# The variant whose stack has the server of each kind.
VARIANTS = {"postgresql": "keystone-password", "mysql": "mysql-autoscale-ingress"}
IMAGE = "localhost/placement-bench"
INTRODUCTION = Path(__file__).with_name("introduction.md")
PAGE = ROOT / "docs/reference/benchmark.md"


def build(engine: str, folder: Path) -> dict[bool, str]:
    """Build the image with and without patches."""
    repository = render("default", folder)
    images = {True: f"{IMAGE}:patched", False: f"{IMAGE}:unpatched"}
    for patched, image in images.items():
        patches = [] if patched else ["PATCHES=none"]
        command = ["make", "-C", str(repository), "build", f"ENGINE={engine}", f"IMAGE={image}"]
        succeed(*command, *patches)
    return images


@contextmanager
def databases(
    engine: str, folder: Path, names: Sequence[str]
) -> Iterator[dict[str, DatabaseServer]]:
    """Start a server of each kind."""
    with ExitStack() as running:
        servers = {}
        for kind in {DATABASES[name][0] for name in names}:
            context = render(VARIANTS[kind], folder) / "dev/stack/servers" / TARGETS[kind]
            succeed(engine, "build", "--tag", f"{IMAGE}:{kind}", context)
            server = database_server(engine, f"{IMAGE}:{kind}", kind)
            servers[kind] = running.enter_context(server)
        yield servers


class Benchmark:
    """A benchmark on one engine: what is compared, for how long, and what came out."""

    def __init__(self, engine: str, images: dict[bool, str], folder: Path, *, quick: bool) -> None:
        """Choose the peers and workloads."""
        self.engine, self.images, self.folder = engine, images, folder
        self.rounds, self.seconds = (3, 2) if quick else (5, 2)
        self.names = workloads.QUICK if quick else workloads.NAMES
        self.peers = [one for one in PEERS if not quick or one.name in (PRODUCT, UNPATCHED)]
        self.results = report.Results()
        self.clouds: dict[str, workloads.Cloud] = {}
        self.urls: dict[str, str] = {}

    def measure(self, name: str, database: DatabaseServer) -> None:
        """Run all workloads of all peers on a database, and record the results."""
        kind, delay = DATABASES[name]
        with ExitStack() as running:
            if kind not in self.urls:
                self.urls[kind] = database.new_database()
            url = own = self.urls[kind]
            if delay:
                away = delayed(self.engine, self.images[True], database, own, delay)
                url = running.enter_context(away)
            servers = {
                peer.name: running.enter_context(
                    serving(
                        self.engine,
                        self.images[peer.patched],
                        {CONNECTION: url, **peer.env},
                        peer.options,
                    )
                )
                for peer in self.peers
            }
            for server in servers.values():
                server.client.headers.update(workloads.HEADERS)
            if kind not in self.clouds:
                self.clouds[kind] = fill(servers[PRODUCT], PROVIDERS)
            for workload in self.names:
                for number in range(self.rounds):
                    order = list(servers)[:: -1 if number % 2 else 1]
                    for peer in order:
                        self.run((name, workload, peer), servers[peer], self.clouds[kind])
                        delete_created(database, own)
            for peer, server in servers.items():
                self.results.memory[name, peer] = measure.memory(self.engine, server)

    def run(self, cell: report.Cell, server: Server, cloud: workloads.Cloud) -> None:
        """Run one workload of one peer."""
        lua = workloads.script(cell[1], cloud, server.client)
        result = measure.run(self.engine, server, lua, self.seconds, self.folder)
        self.results.add(cell, result)
        print(
            f"{cell[0]:22} {cell[1]:27} {cell[2]:16} {result.good:7.1f}/s"
            f" {result.cpu:7.2f} ms {result.failed:4} failed",
            flush=True,
        )


def write(benchmark: Benchmark) -> None:
    """Write the page of the documentation, and its picture."""
    introduction = INTRODUCTION.read_text(encoding="utf-8").format(
        day=datetime.datetime.now(tz=datetime.UTC).date(),
        release=NEWEST,
        cpus=os.cpu_count(),
        connections=measure.CONNECTIONS,
        rounds=benchmark.rounds,
        seconds=benchmark.seconds,
        providers=PROVIDERS,
    )
    tables = report.markdown(benchmark.results)
    PAGE.write_text(f"{introduction}\n{tables}\n", encoding="utf-8")
    report.draw(benchmark.results, PAGE.with_suffix(".svg"))


def main() -> None:
    """Run the benchmark, print its tables, and write them to the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two servers, three workloads")
    given = parser.parse_args()
    for program in ("wrk", "toxiproxy"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: run `make bench`, which installs it")
    engine = subprocess.check_output([ROOT / "template/dev/stack/engine"], text=True).strip()
    engine = os.environ.get("ENGINE") or engine
    names = [name for name in DATABASES if not given.quick or name.startswith("PostgreSQL")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        benchmark = Benchmark(engine, build(engine, folder), folder, quick=given.quick)
        with databases(engine, folder, names) as servers:
            for database in names:
                benchmark.measure(database, servers[DATABASES[database][0]])
    print(report.markdown(benchmark.results))
    if not given.quick:
        write(benchmark)


if __name__ == "__main__":
    main()
