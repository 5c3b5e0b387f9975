"""Placement leaves a server that is no longer the primary, also if no connection to it ends.

Each test prints the line of docs/reference/faults.md that it has measured.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.support.containers import CONNECTION, NEWEST, RELEASES, Start, logs, succeed
from tests.support.galera import NODES, one_worker
from tests.support.load import CLIENTS, light_load
from tests.support.pairs import Pair, running_pair
from tests.support.proxies import NewProxy
from tests.support.servers import PASSWORD, DatabaseServer, DevImage, address, one_worker_each
from tests.support.waiting import wait_until

# Requests succeed at most this many seconds after the standby has become the primary.
BACK = 2
# Seconds in which a few requests succeed, also on a busy machine.
ENOUGH = 10
# Seconds before that in which no server accepts writes.
READ_ONLY = 3
# A start takes at most this many seconds longer while the first host of PostgreSQL is silent.
SILENT = 10
# Seconds for each host, which a new connection would take if it waited for the silent one again.
HOST = 5
# Whether a node of Galera accepts statements, and the number of nodes in its cluster.
READY = "SHOW STATUS LIKE 'wsrep_ready'"
SIZE = "SHOW STATUS LIKE 'wsrep_cluster_size'"
# What oslo.db makes of a refused write: it drops all connections of the process.
REFUSED = {
    "postgresql": "DBConnectionError: (psycopg2.errors.ReadOnlySqlTransaction)",
    "mysql": "DBConnectionError: (pymysql.err.OperationalError) (1290, ",
}
WORKERS = {"UWSGI_PROCESSES": "2", "UWSGI_THREADS": "4"}
# Enough reads at the same time for each connection of each process.
READS = 40


@pytest.fixture(
    params=[
        name if name == NEWEST else pytest.param(name, marks=pytest.mark.only_all)
        for name in RELEASES
    ]
)
def release(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    """Return the image of the newest release, with --all of each release: their drivers differ."""
    return image(request.param)


@pytest.fixture(params=one_worker_each("failover"))
def pair(
    request: pytest.FixtureRequest, engine: str, dev_image: DevImage, new_proxy: NewProxy
) -> Iterator[Pair]:
    """Start a primary and its standby, of each kind."""
    with running_pair(engine, dev_image, new_proxy, request.param) as pair:
        yield pair


def read(client: httpx.Client, provider: str) -> set[bool]:
    """Return whether reads find a provider: one answer, or both."""

    def find(_: int) -> bool:
        found = client.get(f"/resource_providers?uuid={provider}").raise_for_status()
        return bool(found.json()["resource_providers"])

    with ThreadPoolExecutor(READS) as pool:
        return set(pool.map(find, range(READS)))


def test_former_primary_is_left(pair: Pair, engine: str, release: str, start: Start) -> None:
    """One Placement gets reads and writes; another one gets only reads, until the end."""
    kind = pair.primary.kind
    placement = start(release, {CONNECTION: pair.proxy_url, **WORKERS})
    url = pair.hosts_url if kind == "postgresql" else pair.proxy_url
    reader = start(release, {CONNECTION: url, **WORKERS}).client
    with light_load(placement.client) as load:
        load.wait_for_good_requests(4 * CLIENTS, time.monotonic(), ENOUGH)
        assert read(reader, next(iter(load.created))) == {True}
        began = time.monotonic()
        pair.demote()
        time.sleep(READ_ONLY)
        assert pair.sessions() > 0
        pair.promote()
        promoted = time.monotonic()
        load.wait_for_good_requests(4 * CLIENTS, promoted, ENOUGH)
        provider = [name for name, done in list(load.created.items()) if done][-1]
        time.sleep(max(0.0, promoted + BACK - time.monotonic()))
        assert read(reader, provider) == {True}
        load.wait_for_good_requests(4 * CLIENTS, promoted + BACK, ENOUGH)
    print(f"| demoted | {kind} | {promoted - began:.0f} s | {load.row(promoted)} |")
    # A process that has not noticed yet can miss what another one has written to the new primary.
    assert load.failed.keys() <= {404, 500}
    assert not load.failed_after(promoted + BACK)
    assert load.longest < ENOUGH
    assert REFUSED[kind] in logs(engine, placement.name)
    load.check_writes()
    assert reader.post("/resource_providers", json={"name": "new"}).status_code == 201


def test_silent_host_delays_the_start_once(
    postgresql: DatabaseServer, silent_server: str, engine: str, release: str, start: Start
) -> None:
    hosts = f"{address(engine, silent_server)},{postgresql.address}"
    url = f"{postgresql.driver}://placement:{PASSWORD}@/placement?host={hosts}&port=5432,5432"
    began = time.monotonic()
    start(release, {CONNECTION: postgresql.url("placement")})
    usual = time.monotonic() - began
    began = time.monotonic()
    client = start(release, {CONNECTION: url, **WORKERS}).client
    started = time.monotonic()
    assert started - began < usual + SILENT
    assert read(client, str(uuid.uuid4())) == {False}
    print(f"silent host: started in {started - began:.1f} s, {time.monotonic() - started:.1f} s")
    assert time.monotonic() - started < HOST


@one_worker
def test_galera_node_without_a_majority_recovers(
    galera: list[DatabaseServer], newest: str, start: Start
) -> None:
    node, *others = galera
    client = start(newest, {CONNECTION: node.new_database(), **WORKERS}).client
    with light_load(client) as load, ExitStack() as paused:
        load.wait_for_good_requests(4 * CLIENTS, time.monotonic(), ENOUGH)
        began = time.monotonic()
        for other in others:
            succeed(node.engine, "pause", other.name)
            paused.callback(succeed, node.engine, "unpause", other.name)
        wait_until(lambda: node.administer(READY).endswith("OFF"))
        lost = time.monotonic()
        wait_until(lambda: load.failed_after(lost))
        paused.close()
        wait_until(lambda: node.administer(READY).endswith("ON"))
        back = time.monotonic()
        load.wait_for_good_requests(4 * CLIENTS, back + 1, ENOUGH)
    print(f"| no majority | galera | {back - began:.0f} s | {load.row(back)} |")
    assert load.failed.keys() == {500}
    assert not load.failed_after(back + 1)
    load.check_writes()
    wait_until(lambda: node.administer(SIZE).endswith(str(NODES)))
