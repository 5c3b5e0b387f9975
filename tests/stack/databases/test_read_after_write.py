"""A read on one Galera node after a write on another one: wsrep_sync_wait in docs/database.md."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswerError
from contextlib import contextmanager

import httpx
import pytest
import sqlalchemy as sa

from tests.support.containers import CONNECTION, Start
from tests.support.galera import SYNC_WAIT, one_worker
from tests.support.servers import DatabaseServer

pytestmark = one_worker


@contextmanager
def held_applier(server: DatabaseServer) -> Iterator[None]:
    """Let a node not apply what the other nodes write, until the end of the block."""
    client = ["mariadb", "--unbuffered", "--skip-column-names"]
    with subprocess.Popen(
        [server.engine, "exec", "--interactive", "--user=root", server.name, *client],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as session:
        assert session.stdin
        assert session.stdout
        session.stdin.write("FLUSH TABLES WITH READ LOCK; SELECT 'held';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "held\n"
        yield


def test_read_on_another_node_waits_for_the_write(
    galera: list[DatabaseServer], newest: str, start: Start
) -> None:
    """Without wsrep_sync_wait, the other node answers 404 until it has applied the write."""
    database = str(sa.make_url(galera[0].new_database()).database)
    writer = start(newest, {CONNECTION: galera[0].url(database)}).client
    other = {CONNECTION: galera[1].url(database)}
    without, waiting = (start(newest, {**other, **more}).client for more in ({}, SYNC_WAIT))
    provider = str(uuid.uuid4())
    path = f"/resource_providers/{provider}"

    def read(client: httpx.Client) -> int:
        return client.get(path).status_code

    with ThreadPoolExecutor(1) as pool:
        with held_applier(galera[1]):
            body = {"name": provider, "uuid": provider}
            writer.post("/resource_providers", json=body).raise_for_status()
            assert read(without) == 404
            answer = pool.submit(read, waiting)
            with pytest.raises(NoAnswerError):
                answer.result(timeout=2)
        assert answer.result() == 200
    assert read(without) == 200
