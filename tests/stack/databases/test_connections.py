"""A deployment opens at most as many connections as it computes, and waits for a free one."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa

from extensions.deployment import Deployment
from tests.stack.databases.conftest import InBackground
from tests.support.containers import CONNECTION, Run, Server, Start, logs
from tests.support.faults import KILL
from tests.support.servers import PASSWORD, DatabaseServer
from tests.support.waiting import wait_until

REQUESTS = 200
LIMITED = {
    "postgresql": "CREATE ROLE {user} LOGIN PASSWORD '{password}' CONNECTION LIMIT {limit}",
    "mysql": "CREATE USER {user}@'%' IDENTIFIED BY '{password}' WITH MAX_USER_CONNECTIONS {limit}",
}
GRANT = {
    "postgresql": "ALTER DATABASE {database} OWNER TO {user}",
    "mysql": "GRANT ALL ON {database}.* TO {user}@'%'",
}
COUNT = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE user = '{user}'",
}


def limited(server: DatabaseServer, limit: int) -> tuple[str, str]:
    """Create a user with a limit of connections; return its name and its database's URL."""
    made = {"user": f"user_{uuid.uuid4().hex[:12]}", "password": PASSWORD, "limit": limit}
    made["database"] = sa.make_url(server.new_database()).database or ""
    for statement in (LIMITED, GRANT):
        server.administer(statement[server.kind].format(**made))
    return str(made["user"]), server.url(str(made["database"]), str(made["user"]))


def count(server: DatabaseServer, user: str) -> int:
    """Return the number of connections of a user."""
    return int(server.administer(COUNT[server.kind].format(user=user)))


def burst(placement: Server, clients: int) -> list[int]:
    """Send reads and writes from several clients at once, and return the statuses."""

    def send(number: int) -> int:
        if number % 2:
            return placement.client.get("/resource_providers", timeout=60).status_code
        body = {"name": f"provider {number}"}
        return placement.client.post("/resource_providers", json=body, timeout=60).status_code

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(send, range(REQUESTS)))


def test_deployment_opens_no_more_connections_than_it_computes(
    server: DatabaseServer, newest: str, start: Start
) -> None:
    deployment = Deployment(database=server.kind)
    threads = deployment.processes * deployment.threads
    user, url = limited(server, deployment.connections)
    env = {
        CONNECTION: url,
        "UWSGI_PROCESSES": str(deployment.processes),
        "UWSGI_THREADS": str(deployment.threads),
    }
    placement = start(newest, env)
    assert count(server, user) == 0, "db-sync has left a connection open"
    statuses = burst(placement, 3 * threads)
    assert set(statuses) == {200, 201}
    assert threads <= count(server, user) <= deployment.connections


def test_one_thread_needs_two_connections(
    server: DatabaseServer, newest: str, start: Start
) -> None:
    _, url = limited(server, 2)
    placement = start(newest, {CONNECTION: url, "UWSGI_PROCESSES": "1", "UWSGI_THREADS": "1"})
    assert set(burst(placement, 4)) == {200, 201}


@pytest.mark.only_all
def test_commands_need_two_connections(server: DatabaseServer, newest: str, run: Run) -> None:
    _, url = limited(server, 2)
    for command in ("db-sync", "upgrade-check", "online-data-migrations"):
        done = run(newest, command, env={CONNECTION: url})
        assert done.returncode == 0, done.stdout + done.stderr


CONNECTED = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'placement'"


@contextmanager
def full(server: DatabaseServer) -> Iterator[str]:
    """Use up the connections that a server allows, and return the URL of a database."""
    with ExitStack() as opened:
        if server.kind == "mysql":
            # A removed container whose network was gone first has not closed its connections.
            server.administer(KILL[server.kind])
            wait_until(lambda: server.administer(CONNECTED) == "0")
            limit, url = 10, server.new_database()  # the least that MariaDB accepts
            opened.callback(server.administer, "SET GLOBAL max_connections = DEFAULT")
            server.administer(f"SET GLOBAL max_connections = {limit}")
        else:
            limit = 2
            _, url = limited(server, limit)
        for _ in range(limit):
            opened.enter_context(server.connect(url).connect())
        yield url


def test_start_waits_for_a_free_connection(
    server: DatabaseServer, engine: str, in_background: InBackground
) -> None:
    with full(server) as url:
        name = in_background("SQL connection failed", "db-sync", url=url)
    assert "oo many connections" in logs(engine, name)
    assert subprocess.check_output([engine, "wait", name], text=True).strip() == "0"
