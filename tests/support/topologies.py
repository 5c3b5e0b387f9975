"""Database topologies: servers, and what is between them and Placement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from tests.support import galera
from tests.support.proxies import (
    PORTS,
    NewProxy,
    Proxy,
    haproxy_config,
    pgbouncer_config,
    refusing,
)
from tests.support.servers import DatabaseServer

# The servers of each topology, and the proxy between them and Placement.
TOPOLOGIES = {
    "postgresql": ("postgresql", None),
    "pgbouncer": ("postgresql", "pgbouncer"),
    "mariadb": ("mariadb", None),
    "mariadb-1105": ("mariadb", 1105),
    "mariadb-1235": ("mariadb", 1235),
    "galera": ("galera", None),
    "galera-round-robin": ("galera", "round-robin"),
    "galera-single-writer": ("galera", "single-writer"),
    "mysql8": ("mysql8", None),
}
ONLY_ALL = ("postgresql", "mariadb", "mariadb-1235", "galera-single-writer", "mysql8")


@dataclass(frozen=True)
class Topology:
    """Servers with the same databases, and a proxy between them and Placement."""

    servers: Sequence[DatabaseServer]
    proxy: Proxy | None

    def new_database(self) -> list[str]:
        """Create an empty database, and return its URLs: one for each server, or the proxy's."""
        url = self.servers[0].new_database()
        if self.proxy:
            return [self.proxy.url(url)]
        return [server.url(str(sa.make_url(url).database)) for server in self.servers]


def proxy_of(
    way: str | int | None, servers: Sequence[DatabaseServer], new_proxy: NewProxy, newest: str
) -> AbstractContextManager[Proxy | None]:
    """Start the proxy of a topology."""
    if way is None:
        return nullcontext()
    if isinstance(way, int):
        return refusing(servers[0], newest, way, "GET_LOCK")
    if way == "pgbouncer":
        return new_proxy(way, pgbouncer_config(servers[0]), PORTS["postgresql"])
    config = haproxy_config(servers, single_writer=way == "single-writer")
    return new_proxy("haproxy", config, PORTS["mysql"])


def marks(name: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a topology's tests."""
    return [
        *([galera.one_worker] if name.startswith("galera") else []),
        *([pytest.mark.only_all] if name in ONLY_ALL else []),
    ]


@pytest.fixture(params=[pytest.param(name, marks=marks(name)) for name in TOPOLOGIES])
def topology(
    request: pytest.FixtureRequest, new_proxy: NewProxy, newest: str
) -> Iterator[Topology]:
    """Run the test with each topology."""
    name, way = TOPOLOGIES[request.param]
    found = request.getfixturevalue(name)
    servers = found if isinstance(found, list) else [found]
    with proxy_of(way, servers, new_proxy, newest) as proxy:
        yield Topology(servers, proxy)
