"""Conflicting writes on a Galera cluster of three nodes, each with a Placement of its own."""

from __future__ import annotations

import itertools
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import sqlalchemy as sa

from tests.support.containers import CONNECTION, NEWEST, RELEASES, Server, Start, serving
from tests.support.galera import NODES, one_worker
from tests.support.providers import HEADERS, allocate, new_provider, set_total
from tests.support.servers import DatabaseServer
from tests.support.waiting import wait_until

pytestmark = one_worker

CLIENTS = 16
PROVIDERS = 3
BF_ABORTS = (
    "SELECT variable_value FROM information_schema.global_status"
    " WHERE variable_name = 'wsrep_local_bf_aborts'"
)
# A value that the row does not have: a statement that changes nothing is not replicated.
TOUCH_PROVIDER = "UPDATE resource_providers SET updated_at = '2001-01-01' WHERE uuid = :uuid"
TOUCH_CONSUMER = "UPDATE consumers SET updated_at = '2001-01-01' WHERE uuid = :uuid"
TOUCH_INVENTORY = (
    "UPDATE inventories SET updated_at = '2001-01-01' WHERE resource_provider_id ="
    " (SELECT id FROM resource_providers WHERE uuid = :uuid)"
)
# Nova does not repeat a request after a message with these words.
NOT_REPEATED = "consumer generation conflict"
LOCK_WAITS = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"


@dataclass(frozen=True)
class Node:
    """A server of the cluster, and a Placement that uses it."""

    database: DatabaseServer
    url: str
    image: str
    placement: Server

    @property
    def client(self) -> httpx.Client:
        """Return the client of Placement."""
        return self.placement.client

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Open a connection to the server, whose transaction is rolled back."""
        with self.database.connect(self.url).connect() as connection:
            yield connection


@pytest.fixture(
    scope="module",
    params=[
        name if name == NEWEST else pytest.param(name, marks=pytest.mark.only_all)
        for name in RELEASES
    ],
)
def nodes(
    request: pytest.FixtureRequest,
    engine: str,
    image: Callable[[str], str],
    galera: list[DatabaseServer],
) -> Iterator[list[Node]]:
    """Start a Placement for each server, with --all of each release."""
    name, database = image(request.param), sa.make_url(galera[0].new_database()).database or ""
    with ExitStack() as running:
        nodes = []
        for server in galera:
            env = {CONNECTION: server.url(database), "UWSGI_PROCESSES": "2"}
            placement = running.enter_context(serving(engine, name, env))
            placement.client.headers.update(HEADERS)
            nodes.append(Node(server, server.url(database), name, placement))
        yield nodes


def write(node: Node, statement: str, row: str) -> None:
    """Write a row on a node without a visible change, as soon as the node has the row."""
    with node.connect() as connection:
        connection.execute(sa.text("SET SESSION wsrep_sync_wait = 15"))
        assert connection.execute(sa.text(statement), {"uuid": row}).rowcount == 1
        connection.commit()


def send_and_abort(
    nodes: list[Node], provider: str, abort: Callable[[], None], send: Callable[[], httpx.Response]
) -> httpx.Response:
    """Send a request that changes this provider last, and abort its transaction before that."""
    server = nodes[1].database
    aborts = server.administer(BF_ABORTS)
    with ThreadPoolExecutor(1) as pool, nodes[1].connect() as holder:
        holder.execute(sa.text(TOUCH_PROVIDER), {"uuid": provider})
        answer = pool.submit(send)
        wait_until(lambda: server.administer(LOCK_WAITS) == "1")
        abort()
        wait_until(lambda: server.administer(BF_ABORTS) != aborts)
        holder.rollback()
        return answer.result()


def test_aborted_transaction_is_retried(nodes: list[Node]) -> None:
    """A write on the first node aborts a request to the second one, which then succeeds."""
    first, second, _ = nodes
    provider = new_provider(second.client)
    answer = send_and_abort(
        nodes,
        provider,
        lambda: write(first, TOUCH_INVENTORY, provider),
        lambda: set_total(second.client, provider, 1, 5),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["inventories"]["VCPU"]["total"] == 5


def test_retry_repeats_the_whole_request(nodes: list[Node]) -> None:
    """The consumer's project is written before the transaction is aborted."""
    first, second, _ = nodes
    provider, consumer = new_provider(second.client), str(uuid.uuid4())
    assert allocate(second.client, consumer, provider, 1).status_code == 204
    answer = send_and_abort(
        nodes,
        provider,
        lambda: write(first, TOUCH_CONSUMER, consumer),
        lambda: allocate(second.client, consumer, provider, 2, generation=1, project="two"),
    )
    assert answer.status_code == 204, answer.text
    found = second.client.get(f"/allocations/{consumer}").json()
    assert (found["project_id"], found["consumer_generation"]) == ("two", 2)
    assert found["allocations"][provider]["resources"] == {"VCPU": 2}


def test_remaining_conflict_is_409(nodes: list[Node], start: Start) -> None:
    """A conflict that the retries do not solve has the code after which Nova tries again."""
    node, *_ = nodes
    env = {
        CONNECTION: node.url,
        "OS_PLACEMENT_DATABASE__CONNECTION_PARAMETERS": (
            "init_command=SET SESSION innodb_lock_wait_timeout=1"
        ),
    }
    client = start(node.image, env).client
    client.headers.update(HEADERS)
    provider = new_provider(client)
    with node.connect() as holder:
        holder.execute(sa.text(TOUCH_PROVIDER), {"uuid": provider})
        begin = time.monotonic()
        answer = set_total(client, provider, 1, 5)
        assert time.monotonic() - begin < 5
    assert answer.status_code == 409, answer.text
    (error,) = answer.json()["errors"]
    assert error["code"] == "placement.concurrent_update"
    assert NOT_REPEATED not in error["detail"]
    assert set_total(client, provider, 1, 5).status_code == 200


@dataclass
class Load:
    """What the clients have stored, and the answers that they got."""

    providers: list[str]
    used: dict[str, tuple[str, int]] = field(default_factory=dict)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def count(self, name: str, answer: httpx.Response) -> bool:
        """Count an answer, and return whether the request succeeded."""
        self.answers[name, answer.status_code] += 1
        if not answer.is_success:
            self.errors[answer.text] += 1
        return answer.is_success

    def run(self, client: httpx.Client, number: int, end: float) -> None:
        """Send requests until the end: new allocations, deleted ones and inventories."""
        steps, own = itertools.count(number), list[str]()
        while time.monotonic() < end:
            step = next(steps)
            provider, consumer = self.providers[step % len(self.providers)], str(uuid.uuid4())
            if step % 5 < 3:
                used = 1 + step % 4
                if self.count("allocate", allocate(client, consumer, provider, used)):
                    self.used[consumer] = (provider, used)
                    own.append(consumer)
            elif step % 5 == 3 and own:
                consumer = own.pop()
                if self.count("delete", client.delete(f"/allocations/{consumer}")):
                    del self.used[consumer]
            else:
                path = f"/resource_providers/{provider}"
                generation = client.get(path).raise_for_status().json()["generation"]
                self.count("inventory", set_total(client, provider, generation, 100_000 + step))

    def sums(self) -> list[int]:
        """Return what the clients use of each provider."""
        return [
            sum(used for provider, used in self.used.values() if provider == each)
            for each in self.providers
        ]


def test_writes_through_three_nodes_succeed_or_conflict(
    nodes: list[Node],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """No request fails, and each node has exactly the allocations of successful requests."""
    seconds = 30 if request.config.getoption("all") else 5
    load = Load([new_provider(nodes[0].client) for _ in range(PROVIDERS)])
    wait_until(lambda: all(usages(node, load.providers) == [0] * PROVIDERS for node in nodes))
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [
            pool.submit(load.run, nodes[number % NODES].client, number, end)
            for number in range(CLIENTS)
        ]
    for client in running:
        client.result()
    record_property("figures", f"{seconds} s: {dict(load.answers)}")
    assert {status for _, status in load.answers} <= {200, 204, 409}, load.errors.most_common(5)
    for text in load.errors:
        assert "placement.concurrent_update" in text
        assert NOT_REPEATED not in text
    assert min(load.sums()) > 0
    wait_until(lambda: all(usages(node, load.providers) == load.sums() for node in nodes))


def usages(node: Node, providers: list[str]) -> list[int | None]:
    """Return what is in use of each provider, and None for a provider that the node lacks."""
    paths = (f"/resource_providers/{provider}/usages" for provider in providers)
    return [node.client.get(path).json().get("usages", {}).get("VCPU") for path in paths]
