"""Compare the image with other ways to serve Placement, in rounds that alternate between them.

    make bench
    make bench QUICK=1
    make bench COMPARE=workers

Placement, its database and the load share the CPUs of this machine, so only ratios of one run
count. The results are written to a page in docs/reference/, except those of the quick comparison.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support.containers import CONNECTION, Server, serving
from tests.support.servers import DatabaseServer
from tools.bench import measure, report, stack, workloads
from tools.bench.cloud import delayed, delete_created, fill
from tools.bench.comparisons import COMPARISONS, ROUNDS, Comparison
from tools.bench.peers import PRODUCT
from tools.rendering import ROOT

PROVIDERS = 1000


class Benchmark:
    """A benchmark on one engine: what is compared, and what came out."""

    def __init__(
        self, engine: str, images: dict[bool, str], folder: Path, comparison: Comparison
    ) -> None:
        """Keep what is compared."""
        self.engine, self.images, self.folder = engine, images, folder
        self.comparison = comparison
        self.results = report.Results()
        self.clouds: dict[str, workloads.Cloud] = {}
        self.urls: dict[str, str] = {}

    def measure(self, name: str, database: DatabaseServer) -> None:
        """Run all workloads of all peers in a setting, and record the results."""
        setting = self.comparison.settings[name]
        kind = setting.kind
        with ExitStack() as running:
            if kind not in self.urls:
                self.urls[kind] = database.new_database()
            url = own = self.urls[kind]
            if setting.delay:
                away = delayed(self.engine, self.images[True], database, own, setting.delay)
                url = running.enter_context(away)
            servers = {
                peer.name: running.enter_context(
                    serving(
                        self.engine,
                        self.images[peer.patched],
                        {CONNECTION: url, **peer.env},
                        (*peer.options, *setting.options),
                    )
                )
                for peer in self.comparison.peers
            }
            for server in servers.values():
                server.client.headers.update(workloads.HEADERS)
            if kind not in self.clouds:
                self.clouds[kind] = fill(servers[PRODUCT], PROVIDERS)
            for workload in setting.workloads:
                for number in range(ROUNDS):
                    order = list(servers)[:: -1 if number % 2 else 1]
                    for peer in order:
                        self.run((name, workload, peer), servers[peer], self.clouds[kind])
                        delete_created(database, own)
            for peer, server in servers.items():
                self.results.memory[name, peer] = measure.memory(self.engine, server)

    def run(self, cell: report.Cell, server: Server, cloud: workloads.Cloud) -> None:
        """Run one workload of one peer."""
        lua = workloads.script(cell[1], cloud, server.client)
        result = measure.run(self.engine, server, lua, workloads.seconds(cell[1]), self.folder)
        self.results.add(cell, result)
        print(
            f"{cell[0]:22} {cell[1]:27} {cell[2]:16} {result.good:7.1f}/s"
            f" {result.cpu:7.2f} ms {result.failed:4} failed",
            flush=True,
        )


def main() -> None:
    """Run a comparison, print its tables, and write them to the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("comparison", choices=COMPARISONS)
    comparison = COMPARISONS[parser.parse_args().comparison]
    for program in ("wrk", "toxiproxy"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: run `make bench`, which installs it")
    engine = stack.find_engine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patched, unpatched = stack.build(engine, folder, "all", "none")
        benchmark = Benchmark(engine, {True: patched, False: unpatched}, folder, comparison)
        kinds = {setting.kind for setting in comparison.settings.values()}
        with stack.databases(engine, folder, kinds) as servers:
            for title, setting in comparison.settings.items():
                benchmark.measure(title, servers[setting.kind])
    tables = report.markdown(benchmark.results)
    print(tables)
    if comparison.page:
        report.write(
            ROOT / "docs/reference" / comparison.page,
            tables,
            functools.partial(report.draw, benchmark.results),
            connections=measure.CONNECTIONS,
            rounds=ROUNDS,
            seconds=workloads.SECONDS,
            seconds_of_candidates=workloads.SECONDS_OF_CANDIDATES,
            providers=PROVIDERS,
        )


if __name__ == "__main__":
    main()
