"""A request does not fail because its server has ended the connection before or meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import sqlalchemy as sa

from tests.support.containers import CONNECTION, Start
from tests.support.faults import KILL
from tests.support.servers import DatabaseServer
from tests.support.waiting import wait_until

# One connection for each process, which each request uses again.
ONE = {"UWSGI_PROCESSES": "1", "UWSGI_THREADS": "1"}
LOCK = {
    "postgresql": "LOCK TABLE resource_providers",
    "mysql": "LOCK TABLES resource_providers WRITE",
}
# The sessions that wait for this lock.
WAITING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    "mysql": "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'",
}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


@contextmanager
def locked(server: DatabaseServer, url: str) -> Iterator[None]:
    """Lock the table of providers, for reads and writes."""
    with server.connect(url).connect() as connection:
        connection.execute(sa.text(LOCK[server.kind]))
        yield


def test_request_that_loses_its_connection_is_repeated(
    server: DatabaseServer, newest: str, start: Start
) -> None:
    """A write that has not sent a COMMIT, and a read."""
    url = server.new_database()
    client = start(newest, {CONNECTION: url, **ONE}).client
    for method, body in (("POST", {"name": "one"}), ("GET", None)):
        with ThreadPoolExecutor(1) as pool:
            with locked(server, url):
                answer = pool.submit(client.request, method, "/resource_providers", json=body)
                wait_until(lambda: server.administer(WAITING[server.kind]))
                session = server.administer(WAITING[server.kind])
                server.administer(END[server.kind].format(session))
            assert answer.result().is_success
    found = answer.result().json()["resource_providers"]
    assert [provider["name"] for provider in found] == ["one"]


def test_connections_that_were_just_used_can_end(
    server: DatabaseServer, newest: str, start: Start
) -> None:
    """The next request comes within the second in which no connection is pinged."""
    client = start(newest, {CONNECTION: server.new_database(), **ONE}).client
    for name in ("one", "two"):
        assert client.get("/resource_providers").status_code == 200
        server.administer(KILL[server.kind])
        assert client.post("/resource_providers", json={"name": name}).status_code == 201
        server.administer(KILL[server.kind])
        found = client.get(f"/resource_providers?name={name}").raise_for_status().json()
        assert len(found["resource_providers"]) == 1
