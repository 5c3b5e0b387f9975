"""A Galera cluster of three MariaDB nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

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
# One worker runs all tests that use the cluster, so that it starts once.
one_worker = pytest.mark.xdist_group("galera")


@pytest.fixture(scope="session")
def galera(engine: str, dev_image: DevImage) -> Iterator[list[DatabaseServer]]:
    """Start the nodes of the cluster for all tests of this worker."""
    image = dev_image("mariadb")
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
