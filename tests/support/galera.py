"""A Galera cluster of three MariaDB nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.servers import SPEED, DatabaseServer, DevImage, database_server

NODES = 3
ARGUMENTS = (
    *SPEED["mysql"],
    "--wsrep-on=ON",
    "--wsrep-provider=/usr/lib/galera/libgalera_smm.so",
    "--wsrep-sst-method=rsync",
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
)
# Lets a read on one node wait for the writes on the others.
SYNC_WAIT = {
    "OS_PLACEMENT_DATABASE__CONNECTION_PARAMETERS": "init_command=SET SESSION wsrep_sync_wait=1"
}
# One worker runs all tests that use the cluster, so that it starts once.
one_worker = pytest.mark.xdist_group("galera")


@contextmanager
def running_cluster(engine: str, image: str) -> Iterator[list[DatabaseServer]]:
    """Start the nodes of a cluster, and remove them after the block."""
    with ExitStack() as running:
        nodes: list[DatabaseServer] = []
        for _ in range(NODES):
            first = nodes[0].address if nodes else ""
            arguments = (*ARGUMENTS, f"--wsrep-cluster-address=gcomm://{first}")
            node = running.enter_context(
                database_server(engine, image, "mysql", arguments=arguments)
            )
            nodes.append(node)
        yield nodes


@pytest.fixture(scope="session")
def galera(engine: str, dev_image: DevImage) -> Iterator[list[DatabaseServer]]:
    """Start a cluster for all tests of this worker."""
    with running_cluster(engine, dev_image("mariadb")) as nodes:
        yield nodes
