"""Proxies between Placement and its database servers: HAProxy and PgBouncer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from tests.support.containers import flags, logs, new_name, remove, succeed
from tests.support.servers import PASSWORD, DatabaseServer, SupportImage, address
from tests.support.waiting import wait_until

PORTS = {"postgresql": 5432, "mysql": 3306}

HAPROXY = """\
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen database
    bind :{port}
    balance roundrobin
{servers}
"""
# Connections to a server that fails its check are closed, so that clients connect to another one.
SERVER = "    server s{number} {address} check inter 500ms fall 2 on-marked-down shutdown-sessions"
PGBOUNCER = """\
[databases]
* = host={server} user=placement password={password}
[pgbouncer]
listen_addr = *
listen_port = 5432
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 1000
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy in a container, which listens on the port of the servers behind it."""

    engine: str
    name: str

    @property
    def address(self) -> str:
        """Return its address for containers and this host."""
        return address(self.engine, self.name)

    def url(self, url: str) -> str:
        """Return the URL of a database through the proxy."""
        changed = sa.make_url(url).set(host=self.address)
        return changed.render_as_string(hide_password=False)


NewProxy = Callable[..., AbstractContextManager[Proxy]]


@pytest.fixture(scope="session")
def new_proxy(engine: str, support_image: SupportImage) -> NewProxy:
    """Start a proxy of a kind, wait until it listens, and remove it after the block."""

    @contextmanager
    def new_proxy(
        kind: str, config: str, port: int, options: Sequence[str] = ()
    ) -> Iterator[Proxy]:
        proxy = Proxy(engine, new_name())
        command = [engine, "run", "--detach", "--name", proxy.name, *flags({"CONFIG": config})]

        def listens() -> bool:
            with socket.socket() as client:
                return client.connect_ex((proxy.address, port)) == 0

        try:
            succeed(*command, *options, support_image(kind))
            wait_until(listens, lambda: logs(engine, proxy.name))
            yield proxy
        finally:
            remove(engine, proxy.name)

    return new_proxy


def haproxy_config(servers: Sequence[DatabaseServer], single_writer: bool = False) -> str:
    """Balance connections over all servers, or use the first server that is up."""
    kind = servers[0].kind
    lines = [
        SERVER.format(number=number, address=f"{server.address}:{PORTS[kind]}")
        + (" backup" if single_writer and number else "")
        for number, server in enumerate(servers)
    ]
    return HAPROXY.format(port=PORTS[kind], servers="\n".join(lines))


def pgbouncer_config(server: DatabaseServer, pool: int = 5) -> str:
    """Use at most this many connections to the server for each database, in transaction mode."""
    return PGBOUNCER.format(server=server.address, password=PASSWORD, pool=pool)
