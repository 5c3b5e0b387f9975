"""A Placement with MariaDB, which has threads and its own numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrypoint.zones import difference, file, state
from entrypoint.zones.api import Placement
from entrypoint.zones.write import Writer
from tests.stack.zones.conftest import Zones
from tests.support.containers import CONNECTION, Server, serving
from tests.support.servers import DatabaseServer

# A worker that has such a server already.
pytestmark = pytest.mark.xdist_group("checks-mysql")


@pytest.fixture(scope="module")
def server(engine: str, newest: str, mariadb: DatabaseServer) -> Iterator[Server]:
    """Start a Placement for the tests of this file."""
    with serving(engine, newest, {CONNECTION: mariadb.new_database()}) as server:
        yield server


def test_two_applies_at_the_same_time_complete_the_file(zones: Zones) -> None:
    """Then a plan finds nothing to do, although MariaDB keeps only six digits of a ratio."""
    for number in range(4):
        zones.new_host(f"compute-kvm-{number}")
        zones.new_host(f"compute-containers-{number}")
    data = zones.two_zones()
    inventory = {"total": 9, "allocation_ratio": 1.3333333}
    data["pools"] = {zones.name("nfs"): {"zones": ["kvm"], "inventories": {"DISK_GB": inventory}}}
    wanted = file.load(zones.write(data))
    together = threading.Barrier(2)

    def apply(_: int) -> list[str]:
        placement = Placement()
        current = state.read(placement, wanted)
        together.wait()
        changes = difference.compare(placement, wanted, current).changes
        return Writer(placement, wanted, current).write(changes)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(apply, range(2))) == [[], []]
    plan = zones.run("plan", data)
    assert (plan.status, plan.err) == (0, "")
