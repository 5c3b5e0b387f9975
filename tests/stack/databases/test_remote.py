"""Connections with any password, over IPv6, through a Unix socket, and with TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from tests.stack.databases.conftest import error_line
from tests.support.certificates import signed, write_ca
from tests.support.containers import CONNECTION, Run, Start, new_name, readable, succeed
from tests.support.networks import Network
from tests.support.servers import (
    KINDS,
    PASSWORD,
    SPEED,
    TARGETS,
    DatabaseServer,
    DevImage,
    database_server,
    one_worker_each,
)

# Every character that has a meaning in a URL, oslo.config, Alembic's interpolation or a shell.
HARD_PASSWORD = r"""a@b:c/d%e%%f$g${h}#i j'k"l\m?n&o=p+q;"""
PASSWORDS = {"postgresql": f"{HARD_PASSWORD}éß€", "mysql": HARD_PASSWORD}
COMMANDS = ("db-sync", "upgrade-check", "online-data-migrations")
# Two attempts, so that a refused connection is reported soon.
TWO_ATTEMPTS = {
    "OS_PLACEMENT_DATABASE__MAX_RETRIES": "2",
    "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
}

SECURED = "secured"
HOST_NAME = "database.test"
# Only clients with a certificate can use the database of this name. The other one is for the test.
PG_HBA = f"""\
local all all trust
hostssl {SECURED} all all scram-sha-256 clientcert=verify-ca
host placement all all scram-sha-256
"""
TLS_ARGUMENTS = {
    "postgresql": (
        *("-c", "ssl=on", "-c", "ssl_ca_file=/tls/ca.crt", "-c", "ssl_cert_file=/tls/server.crt"),
        *("-c", "ssl_key_file=/tls/server.key", "-c", "hba_file=/tls/pg_hba.conf"),
    ),
    "mysql": (
        *("--ssl-ca=/tls/ca.crt", "--ssl-cert=/tls/server.crt", "--ssl-key=/tls/server.key"),
        "--skip-name-resolve",  # which a network's resolver may take seconds for
    ),
}
TLS_URLS = {
    "postgresql": "postgresql+psycopg2://placement:{password}@{host}/secured?sslmode=verify-full"
    "&sslrootcert=/tls/{ca}.crt&sslcert=/tls/{cert}.crt&sslkey=/tls/{cert}.key",
    "mysql": "mysql+pymysql://secured:{password}@{host}/secured"
    "?ssl_ca=/tls/{ca}.crt&ssl_cert=/tls/{cert}.crt&ssl_key=/tls/{cert}.key",
}
PLAIN_URLS = {
    "postgresql": "postgresql+psycopg2://placement:{password}@{host}/secured?sslmode=disable",
    "mysql": "mysql+pymysql://secured:{password}@{host}/secured?ssl_disabled=true",
}
NO_CERTIFICATE_URLS = {
    "postgresql": "postgresql+psycopg2://placement:{password}@{host}/secured?sslmode=verify-full"
    "&sslrootcert=/tls/{ca}.crt",
    "mysql": "mysql+pymysql://secured:{password}@{host}/secured?ssl_ca=/tls/{ca}.crt",
}


def assert_serves(
    server: DatabaseServer, database: str, image: str, start: Start, **more: object
) -> None:
    """Check that a container syncs a database, serves and writes to it."""
    placement = start(image, **more)
    answer = placement.client.post("/resource_providers", json={"name": "new"})
    assert answer.status_code == 201, answer.text
    assert server.administer("SELECT name FROM resource_providers", database) == "new"


# Passwords.


def new_owner(server: DatabaseServer, database: str) -> str:
    """Create a user with a hard password who owns a database, and return the user's name."""
    user = new_name().replace("-", "_")
    if server.kind == "postgresql":
        password = PASSWORDS[server.kind].replace("'", "''")
        server.administer(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        server.administer(f"ALTER DATABASE {database} OWNER TO {user}")
    else:
        password = PASSWORDS[server.kind].replace("\\", r"\\").replace("'", r"\'")
        server.administer(
            f"CREATE USER {user}@'%' IDENTIFIED BY '{password}';"
            f" GRANT ALL ON {database}.* TO {user}@'%'"
        )
    return user


def in_parts(server: DatabaseServer, database: str, user: str) -> dict[str, str]:
    """Return the variables of a URL's parts, of which the password comes from a file."""
    return {
        "DATABASE_BACKEND": server.kind,
        "DATABASE_HOST": server.address,
        "DATABASE_PORT": {"postgresql": "5432", "mysql": "3306"}[server.kind],
        "DATABASE_USER": user,
        "DATABASE_PASSWORD_FILE": "/secrets/password",
        "DATABASE_NAME": database,
        "DATABASE_OPTIONS": "connect_timeout=5",
    }


@pytest.mark.parametrize("by", ["variable", "file", "parts"])
def test_password_may_have_any_character(
    by: str, server: DatabaseServer, newest: str, run: Run, start: Start, tmp_path: Path
) -> None:
    database = str(sa.make_url(server.new_database()).database)
    user = new_owner(server, database)
    password = quote(PASSWORDS[server.kind], safe="")
    url = f"{server.driver}://{user}:{password}@{server.address}/{database}"
    env = {CONNECTION: url}
    options: tuple[str, ...] = ()
    if by == "file":
        (tmp_path / "connection").write_text(f"{url}\n", encoding="utf-8")
        env = {f"{CONNECTION}_FILE": "/secrets/connection"}
    if by == "parts":
        (tmp_path / "password").write_text(f"{PASSWORDS[server.kind]}\n", encoding="utf-8")
        env = in_parts(server, database, user)
    if by != "variable":
        options = (f"--volume={readable(tmp_path)}:/secrets:ro",)
    for command in COMMANDS:
        done = run(newest, command, env=env, options=options)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert_serves(server, database, newest, start, env=env, options=options)


def test_password_that_the_driver_cannot_send_is_refused(newest: str, run: Run) -> None:
    done = run(newest, "db-sync", env={CONNECTION: "mysql+pymysql://u:%C3%A9@db.invalid/placement"})
    assert done.returncode == 1
    assert done.stderr == (
        f"placement: {CONNECTION}: the driver for MySQL and MariaDB supports only passwords of"
        " ASCII characters: change the user's password\n"
    )


# An IPv6 address, and a Unix socket.


def test_server_at_an_ipv6_address(
    kind: str, network: Network, engine: str, dev_image: DevImage, newest: str, start: Start
) -> None:
    place = network.place(KINDS.index(kind) + 0x10)
    options = (*network.options, *place.options)
    with database_server(engine, dev_image(TARGETS[kind]), kind, options, SPEED[kind]) as server:
        url = f"{server.driver}://placement:{PASSWORD}@[{place.address}]/placement"
        assert_serves(
            server, "placement", newest, start, env={CONNECTION: url}, options=network.options
        )


SOCKETS = {
    "postgresql": ("/run/postgresql", "host=/database"),
    "mysql": ("/run/mysqld", "unix_socket=/database/mysqld.sock"),
}


def test_server_at_a_unix_socket(
    kind: str, volume: str, engine: str, dev_image: DevImage, newest: str, start: Start
) -> None:
    folder, query = SOCKETS[kind]
    shared = (f"--volume={volume}:{folder}",)
    with database_server(engine, dev_image(TARGETS[kind]), kind, shared, SPEED[kind]) as server:
        url = f"{server.driver}://placement:{PASSWORD}@/placement?{query}"
        options = (f"--volume={volume}:/database",)
        assert_serves(server, "placement", newest, start, env={CONNECTION: url}, options=options)


# TLS.


@dataclass(frozen=True)
class Secured:
    """A server that requires a client certificate, and the options that mount the certificates."""

    server: DatabaseServer
    options: tuple[str, ...]

    def url(self, urls: dict[str, str], **other: str) -> str:
        """Return the URL for this kind of server."""
        parts = {"password": PASSWORD, "host": HOST_NAME, "ca": "ca", "cert": "client", **other}
        return urls[self.server.kind].format(**parts)


def certificates(folder: Path) -> None:
    """Create two CAs, and certificates of the first one for the server and for a client."""
    for name in ("ca", "other-ca"):
        write_ca(folder, name)
    for file, subject in (("server", HOST_NAME), ("client", "placement")):
        signed(folder, subject, folder, file)
    (folder / "pg_hba.conf").write_text(PG_HBA, encoding="utf-8")


def fill(engine: str, image: str, folder: Path, volume: str) -> None:
    """Copy the files into a volume, so that only its user can read each key."""
    script = """
        cp /from/* /tls
        chown "$(id -u postgres 2>/dev/null || id -u mysql)" /tls/server.key
        cp /tls/client.key /tls/open.key
        cp /tls/client.crt /tls/open.crt
        chown 42424 /tls/client.key /tls/open.key
        chmod 600 /tls/*.key
        chmod 644 /tls/open.key
    """
    mounts = (f"--volume={readable(folder)}:/from:ro", f"--volume={volume}:/tls")
    succeed(engine, "run", "--rm", "--user=0", *mounts, "--entrypoint=sh", image, "-ec", script)


def secure(server: DatabaseServer) -> None:
    """Create the database that requires a client certificate."""
    if server.kind == "postgresql":
        server.administer(f"CREATE DATABASE {SECURED} OWNER placement")
    else:
        server.administer(
            f"CREATE DATABASE {SECURED} CHARACTER SET utf8mb3;"
            f" CREATE USER {SECURED}@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE X509;"
            f" GRANT ALL ON {SECURED}.* TO {SECURED}@'%'"
        )


@pytest.fixture(scope="module", params=one_worker_each("tls"))
def secured(
    request: pytest.FixtureRequest,
    engine: str,
    network: Network,
    dev_image: DevImage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Secured]:
    """Start a server of each kind that requires TLS and a client certificate."""
    kind, volume = request.param, new_name()
    image = dev_image(TARGETS[kind])
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder)
    mount = (*network.options, f"--volume={volume}:/tls:ro")
    options = (*mount, f"--network-alias={HOST_NAME}")
    try:
        fill(engine, image, folder, volume)
        arguments = (*SPEED[kind], *TLS_ARGUMENTS[kind])
        with database_server(engine, image, kind, options, arguments) as server:
            secure(server)
            yield Secured(server, mount)
    finally:
        succeed(engine, "volume", "rm", "--force", volume)


def test_tls_with_server_and_client_certificate(
    secured: Secured, newest: str, start: Start
) -> None:
    env = {CONNECTION: secured.url(TLS_URLS)}
    assert_serves(secured.server, SECURED, newest, start, env=env, options=secured.options)


Url = Callable[[Secured], str]
REFUSED: dict[str, tuple[Url, dict[str, str]]] = {
    "another CA": (
        lambda secured: secured.url(TLS_URLS, ca="other-ca"),
        dict.fromkeys(KINDS, "certificate verify failed"),
    ),
    "another host name": (
        lambda secured: secured.url(TLS_URLS, host=secured.server.address),
        {"postgresql": "does not match host name", "mysql": "IP address mismatch"},
    ),
    "no client certificate": (
        lambda secured: secured.url(NO_CERTIFICATE_URLS),
        {"postgresql": "requires a valid client certificate", "mysql": "Access denied"},
    ),
    "no TLS": (
        lambda secured: secured.url(PLAIN_URLS),
        {"postgresql": "no encryption", "mysql": "Access denied"},
    ),
    "missing CA file": (
        lambda secured: secured.url(TLS_URLS, ca="missing"),
        {"postgresql": "missing.crt", "mysql": "ssl_ca=/tls/missing.crt cannot be read"},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tls_connection_is_refused(case: str, secured: Secured, newest: str, run: Run) -> None:
    url, messages = REFUSED[case]
    env = {CONNECTION: url(secured), **TWO_ATTEMPTS}
    done = run(newest, "db-sync", env=env, options=secured.options)
    assert messages[secured.server.kind] in error_line(done)


def test_key_that_others_can_read(secured: Secured, newest: str, run: Run) -> None:
    env = {CONNECTION: secured.url(TLS_URLS, cert="open"), **TWO_ATTEMPTS}
    done = run(newest, "db-sync", env=env, options=secured.options)
    if secured.server.kind == "postgresql":
        assert "has group or world access" in error_line(done)
    else:
        assert done.returncode == 0, done.stderr
