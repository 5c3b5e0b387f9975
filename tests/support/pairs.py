"""A primary and its standby, behind a proxy that leaves existing connections open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from tests.support.containers import succeed
from tests.support.proxies import HAPROXY, PORTS, NewProxy, Proxy
from tests.support.servers import (
    PASSWORD,
    SPEED,
    TARGETS,
    DatabaseServer,
    DevImage,
    database_server,
)
from tests.support.waiting import wait_until

# The proxy checks no server: the test moves it to the standby.
SERVERS = "    server primary {}\n    server standby {} disabled"
CONTROL_PORT = 9999
CONTROL = f"global\n    stats socket ipv4@:{CONTROL_PORT} level admin\n"
PRIMARY = {"postgresql": (), "mysql": ("--server-id=1", "--log-bin")}
ALLOW_REPLICATION = (
    "echo 'host replication placement all scram-sha-256' >> /var/lib/postgresql/data/pg_hba.conf"
)
COPY_PRIMARY = """
    PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
    PGPASSWORD={password} pg_basebackup --host {address} --username placement --checkpoint fast \
        --pgdata /var/lib/postgresql/data --write-recovery-conf
    exec postgres -D /var/lib/postgresql/data -c listen_addresses='*' {arguments}
"""
REPLICATE = (
    "CHANGE MASTER TO MASTER_HOST='{address}', MASTER_USER='replication',"
    " MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos; START SLAVE"
)
SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE usename = 'placement'"
    " AND backend_type = 'client backend'",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE user = 'placement'",
}


@dataclass(frozen=True)
class Pair:
    """The two servers and the proxy in front of them."""

    primary: DatabaseServer
    standby: DatabaseServer
    proxy: Proxy

    @property
    def proxy_url(self) -> str:
        """Return the URL of the database through the proxy."""
        return self.proxy.url(self.primary.url("placement"))

    @property
    def hosts_url(self) -> str:
        """Return the URL of the database with both hosts, for PostgreSQL."""
        query = {"host": (self.primary.address, self.standby.address)}
        driver = self.primary.driver
        url = sa.URL.create(driver, "placement", PASSWORD, database="placement", query=query)
        return url.render_as_string(hide_password=False)

    def sessions(self) -> int:
        """Return the number of Placement's connections to the former primary."""
        return int(self.primary.administer(SESSIONS[self.primary.kind]))

    def demote(self) -> None:
        """Make the primary read-only. Its connections stay, and the proxy opens more of them."""
        if self.primary.kind == "postgresql":
            self.primary.administer("ALTER SYSTEM SET default_transaction_read_only = on")
            self.primary.administer("SELECT pg_reload_conf()")
        else:
            self.primary.administer("SET GLOBAL read_only = 1")

    def promote(self) -> None:
        """Make the standby the primary when it has all writes, and move the proxy to it."""
        if self.primary.kind == "postgresql":
            written = self.primary.administer("SELECT pg_current_wal_lsn()")
            received = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
            wait_until(lambda: self.standby.administer(received) == "t")
            self.standby.administer("SELECT pg_promote()")
        else:
            written = self.primary.administer("SELECT @@GLOBAL.gtid_binlog_pos")
            received = f"SELECT MASTER_GTID_WAIT('{written}', 60)"
            assert self.standby.administer(received) == "0"
            self.standby.administer("STOP SLAVE; SET GLOBAL read_only = 0")
        self.control("set server database/standby state ready")
        self.control("set server database/primary state maint")

    def control(self, command: str) -> None:
        """Send a command to the proxy."""
        with socket.create_connection((self.proxy.address, CONTROL_PORT)) as connection:
            connection.sendall(f"{command}\n".encode())
            assert not connection.makefile().read().strip()


@contextmanager
def running_pair(
    engine: str, dev_image: DevImage, new_proxy: NewProxy, kind: str
) -> Iterator[Pair]:
    """Start the primary, its standby and the proxy, and remove them after the block."""
    image, port = dev_image(TARGETS[kind]), PORTS[kind]
    arguments = (*SPEED[kind], *PRIMARY[kind])
    with (
        database_server(engine, image, kind, arguments=arguments) as primary,
        standby_of(primary, image) as standby,
    ):
        servers = SERVERS.format(*(f"{each.address}:{port}" for each in (primary, standby)))
        config = HAPROXY.format(port=port, servers=servers) + CONTROL
        with new_proxy("haproxy", config, port) as proxy:
            yield Pair(primary, standby, proxy)


@contextmanager
def standby_of(primary: DatabaseServer, image: str) -> Iterator[DatabaseServer]:
    """Start a server that replicates the primary."""
    kind, engine = primary.kind, primary.engine
    if kind == "postgresql":
        succeed(engine, "exec", primary.name, "sh", "-c", ALLOW_REPLICATION)
        primary.administer("ALTER ROLE placement REPLICATION")
        primary.administer("SELECT pg_reload_conf()")
        script = COPY_PRIMARY.format(
            password=PASSWORD, address=primary.address, arguments=" ".join(SPEED[kind])
        )
        options, arguments = ("--entrypoint=sh",), ("-ec", script)
        with database_server(engine, image, kind, options, arguments) as standby:
            yield standby
        return
    primary.administer(
        f"CREATE USER replication@'%' IDENTIFIED BY '{PASSWORD}';"
        " GRANT REPLICATION SLAVE ON *.* TO replication@'%'"
    )
    replica = (*SPEED[kind], "--server-id=2", "--log-bin", "--read-only")
    with database_server(engine, image, kind, arguments=replica) as standby:
        standby.administer(REPLICATE.format(address=primary.address, password=PASSWORD))
        yield standby
