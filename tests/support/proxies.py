"""Proxies between Placement and its database servers: HAProxy and PgBouncer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.containers import PYTHON, flags, logs, new_name, remove, succeed
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
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return its address for containers and this host."""
        return address(self.engine, self.name)

    def url(self, url: str) -> str:
        """Return the URL of a database through the proxy."""
        changed = sa.make_url(url).set(host=self.address).update_query_dict(self.options)
        return changed.render_as_string(hide_password=False)


@contextmanager
def running_proxy(
    engine: str, port: int, *arguments: str, url_options: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    """Start a container with the engine's arguments, and wait until its proxy listens."""
    proxy = Proxy(engine, new_name(), url_options or {})

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex((proxy.address, port)) == 0

    try:
        succeed(engine, "run", "--detach", "--name", proxy.name, *arguments)
        wait_until(listens, lambda: logs(engine, proxy.name))
        yield proxy
    finally:
        remove(engine, proxy.name)


NewProxy = Callable[..., AbstractContextManager[Proxy]]


@pytest.fixture(scope="session")
def new_proxy(engine: str, support_image: SupportImage) -> NewProxy:
    """Start HAProxy or PgBouncer with a configuration, and remove it after the block."""

    def new_proxy(
        name: str, config: str, port: int, options: Sequence[str] = ()
    ) -> AbstractContextManager[Proxy]:
        arguments = (*flags({"CONFIG": config}), *options, support_image(name))
        return running_proxy(engine, port, *arguments)

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


def refusing(
    server: DatabaseServer, newest: str, code: int, text: str, count: int = -1
) -> AbstractContextManager[Proxy]:
    """Start a proxy that refuses statements with this text: the first ones, or all."""
    script = Path(__file__).with_name("refusal.py").read_text(encoding="utf-8")
    arguments = (PYTHON, newest, "-c", script, server.address, str(code), text, str(count))
    # The proxy reads the client's statements, so they are not encrypted.
    plain = {"ssl_disabled": "true"}
    return running_proxy(server.engine, PORTS["mysql"], *arguments, url_options=plain)
