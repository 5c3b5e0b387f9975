"""What the benchmark compares: the peers, the settings that they run in, and the workloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.bench.peers import PEERS, PRODUCT, UNPATCHED, WORKERS, Peer
from tools.bench.workloads import MAIN, NAMES, WITH_DATABASE

ROUNDS = 3


@dataclass(frozen=True)
class Setting:
    """Where the peers run, and their workloads; the delay of the database is in milliseconds."""

    kind: str
    workloads: Sequence[str]
    delay: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Peers in several settings, and the page in docs/reference/ with the results, if any."""

    peers: Sequence[Peer]
    settings: Mapping[str, Setting]
    page: str = ""


HALF_A_CPU = "--cpus=0.5"
COMPARISONS = {
    "servers": Comparison(
        PEERS,
        {
            "PostgreSQL": Setting("postgresql", NAMES),
            "PostgreSQL, 1 ms away": Setting("postgresql", WITH_DATABASE, delay=1),
            "MariaDB": Setting("mysql", MAIN),
        },
        "benchmark.md",
    ),
    "quick": Comparison(
        [peer for peer in PEERS if peer.name in (PRODUCT, UNPATCHED)],
        {
            "PostgreSQL": Setting("postgresql", MAIN),
            "PostgreSQL, 1 ms away": Setting("postgresql", MAIN, delay=1),
        },
    ),
    "workers": Comparison(
        WORKERS,
        {
            "PostgreSQL": Setting("postgresql", MAIN),
            "PostgreSQL, 1 ms away": Setting("postgresql", MAIN, delay=1),
            "PostgreSQL, 1 ms away, half a CPU": Setting(
                "postgresql", MAIN, delay=1, options=(HALF_A_CPU,)
            ),
        },
        "workers.md",
    ),
}
