"""A Placement with MariaDB, which has threads and its own numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from entrypoint.zones import difference, file, state
from entrypoint.zones.api import Placement
from entrypoint.zones.write import Writer
from tests.stack.zones.conftest import Zones
from tests.support.containers import CONNECTION, Server, serving
from tests.support.servers import DatabaseServer

# A worker that has such a server already.
pytestmark = pytest.mark.xdist_group("checks-mysql")


@pytest.fixture(scope="module")
def database(mariadb: DatabaseServer) -> str:
    """Return the URL of the database for the tests of this file."""
    return mariadb.new_database()


@pytest.fixture(scope="module")
def server(engine: str, newest: str, database: str) -> Iterator[Server]:
    """Start a Placement for the tests of this file."""
    with serving(engine, newest, {CONNECTION: database}) as server:
        yield server


def test_two_applies_at_the_same_time_complete_the_file(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a plan finds nothing to do, although MariaDB keeps only six digits of a ratio."""
    hosts = [
        zones.new_host(f"compute-{zone}-{number}")
        for zone in ("kvm", "containers")
        for number in range(4)
    ]
    data = zones.two_zones()
    inventory = {"total": 9, "allocation_ratio": 1.3333333}
    data["pools"] = {zones.name("nfs"): {"zones": ["kvm"], "inventories": {"DISK_GB": inventory}}}
    wanted = file.load(zones.write(data))
    together = threading.Barrier(2)
    # Both have read a host when they write to it for the first time.
    first = {f"/resource_providers/{host}/traits": [threading.Barrier(2)] * 2 for host in hosts}
    original = Placement.write

    def write(self: Placement, method: str, path: str, *body: Any) -> Any:
        if first.get(path):
            first[path].pop().wait(timeout=60)
        return original(self, method, path, *body)

    def apply(_: int) -> list[str]:
        placement = Placement()
        current = state.read(placement, wanted)
        together.wait()
        changes = difference.compare(placement, wanted, current).changes
        return Writer(placement, wanted, current).write(changes)

    monkeypatch.setattr(Placement, "write", write)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(apply, range(2))) == [[], []]
    assert not any(first.values())
    plan = zones.run("plan", data)
    assert (plan.status, plan.err) == (0, "")


def test_failing_database_is_no_conflict(
    zones: Zones, mariadb: DatabaseServer, database: str
) -> None:
    """Placement answers 500, and another attempt would only hide why."""
    data, name = zones.two_zones(), str(sa.make_url(database).database)
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON traits FOR EACH ROW SIGNAL SQLSTATE '45000'"
    mariadb.administer(refuse, name)
    try:
        result = zones.run("apply", data)
    finally:
        mariadb.administer("DROP TRIGGER refuse", name)
    assert result.status == 1
    for trait in data["traits"]:
        assert f"{trait}: PUT /traits/{trait}: 500 " in result.err
