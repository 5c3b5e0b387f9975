"""Real database servers and a real Keystone, built from the rendered dev/stack/servers."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from entrypoint.database import DRIVERS
from extensions.deployment import Deployment
from tests.support.containers import IMAGES, logs, new_name, remove, succeed
from tests.support.sharing import Once
from tests.support.template import ROOT, Answers, Render
from tests.support.waiting import wait_until

BASE_IMAGE = Deployment().base_image
PASSWORD = "only-for-tests"
# The data has no value after the tests. A server that does not wait for the disk is faster.
SPEED = {"postgresql": ("-c", "fsync=off"), "mysql": ("--innodb-flush-log-at-trx-commit=0",)}
# A user and a database as an administrator creates them by hand.
CREATION = {
    "postgresql": (
        f"CREATE ROLE placement LOGIN PASSWORD '{PASSWORD}'",
        "CREATE DATABASE placement OWNER placement",
    ),
    "mysql": (
        "CREATE DATABASE IF NOT EXISTS placement CHARACTER SET utf8mb3",
        f"CREATE USER IF NOT EXISTS placement@'%' IDENTIFIED BY '{PASSWORD}'",
        "GRANT ALL ON placement.* TO placement@'%'",
    ),
}
ADMINISTRATORS = {"postgresql": "postgres", "mysql": "root"}
# The folder in dev/stack/servers of each kind of database.
TARGETS = {"postgresql": "postgresql", "mysql": "mariadb"}
KINDS = tuple(TARGETS)
# Answers with which a repository has each server.
BUILD_ANSWERS: dict[str, Answers] = {
    "postgresql": {"database": "postgresql"},
    "mariadb": {"database": "mysql"},
    "memcached": {"auth_strategy": "keystone", "keystone_memcached_servers": "memcached:11211"},
    "keystone": {"auth_strategy": "keystone"},
}

# The servers that no rendered repository has.
SUPPORT_IMAGES = Path(__file__).parent / "images"

DevImage = Callable[[str], str]
SupportImage = Callable[..., str]


def one_worker_each(name: str) -> list[Any]:
    """Return each kind of server as a parameter; one worker runs all tests with the same kind."""
    return [pytest.param(kind, marks=pytest.mark.xdist_group(f"{name}-{kind}")) for kind in KINDS]


@dataclass(frozen=True)
class DatabaseServer:
    """A server in a container, in which an administrator creates databases for Placement."""

    kind: str
    engine: str
    name: str

    @property
    def address(self) -> str:
        """Return its address for containers and this host, which changes with a restart."""
        return address(self.engine, self.name)

    @property
    def driver(self) -> str:
        """Return the scheme of its URLs."""
        return DRIVERS[self.kind][0]

    def url(self, database: str, user: str = "placement", password: str = PASSWORD) -> str:
        """Return the URL of a database, for containers and for this host."""
        url = sa.URL.create(self.driver, user, password, self.address, None, database)
        return url.render_as_string(hide_password=False)

    def admin_url(self) -> str:
        """Return the URL of the server's administrator, without a database."""
        return self.url("", ADMINISTRATORS[self.kind])

    def new_database(self) -> str:
        """Create an empty database that the user placement owns, and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if self.kind == "postgresql":
            self.administer(f"CREATE DATABASE {name} OWNER placement")
        else:
            self.administer(f"CREATE DATABASE {name} CHARACTER SET utf8mb3")
            self.administer(f"GRANT ALL ON {name}.* TO placement@'%'")
        return self.url(name)

    def administer(self, statement: str, database: str | None = None) -> str:
        """Run a statement as the server's administrator, and return the output."""
        if self.kind == "postgresql":
            client = [
                "--user=postgres",
                self.name,
                "psql",
                "--quiet",
                "--tuples-only",
                "--no-align",
            ]
            client += ["--set=ON_ERROR_STOP=1", "--command", statement, database or "postgres"]
        else:
            client = ["--user=root", self.name, "mariadb", "--skip-column-names"]
            client += ["--execute", statement, database or "mysql"]
        return subprocess.run(
            [self.engine, "exec", *client], text=True, capture_output=True, check=True
        ).stdout.strip()

    def connect(self, url: str) -> sa.Engine:
        """Return an SQLAlchemy engine with which a test reads a database."""
        return sa.create_engine(url, poolclass=sa.NullPool)


@pytest.fixture(scope="session")
def dev_image(engine: str, render: Render, once: Once) -> DevImage:
    """Build the image of a server and return its name."""

    def build(target: str) -> str:
        name = f"{IMAGES}-{target}"
        stack = render(BUILD_ANSWERS[target]) / "dev/stack"

        def make() -> None:
            succeed(stack / "base-image.sh", engine, BASE_IMAGE)
            succeed(engine, "build", "--tag", name, stack / "servers" / target)

        once(f"dev-image-{target}", make)
        return name

    return build


@pytest.fixture(scope="session")
def support_image(engine: str, once: Once) -> SupportImage:
    """Build the image of a folder of tests/support/images, and return its name."""

    def build(target: str, context: Callable[[], Path] | None = None) -> str:
        name = f"{IMAGES}-{target}"

        def make() -> None:
            script = ROOT / "template/dev/stack/base-image.sh"
            base = subprocess.check_output([script, engine, BASE_IMAGE], text=True).strip()
            folder = context() if context else SUPPORT_IMAGES / target
            succeed(engine, "build", f"--build-arg=BASE_IMAGE={base}", "--tag", name, folder)

        once(f"support-image-{target}", make)
        return name

    return build


@contextmanager
def database_server(
    engine: str,
    image: str,
    kind: str,
    options: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
) -> Iterator[DatabaseServer]:
    """Start a server, wait until it accepts a login, and remove it after the block."""
    server = DatabaseServer(kind, engine, new_name())
    command = [engine, "run", "--detach", "--name", server.name]
    command += [f"--env=DATABASE_ADMIN_PASSWORD={PASSWORD}", *options, image, *arguments]
    try:
        subprocess.run(command, capture_output=True, check=True)
        wait_for(server)
        yield server
    finally:
        remove(engine, server.name)


def wait_for(server: DatabaseServer) -> None:
    """Wait until the user placement can log in over the network, and create it if necessary."""

    def accepts_login() -> bool:
        with suppress(sa.exc.DBAPIError):
            server.connect(server.url("placement")).connect().close()
            return True
        # One by one: start.sh restarts PostgreSQL, perhaps after the first statement.
        for statement in CREATION[server.kind]:
            with suppress(subprocess.CalledProcessError):
                server.administer(statement)
        return False

    wait_until(accepts_login, lambda: logs(server.engine, server.name))


@pytest.fixture(scope="session")
def postgresql(engine: str, dev_image: DevImage) -> Iterator[DatabaseServer]:
    """Start a PostgreSQL server for all tests of this worker."""
    image = dev_image("postgresql")
    with database_server(engine, image, "postgresql", arguments=SPEED["postgresql"]) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(engine: str, dev_image: DevImage) -> Iterator[DatabaseServer]:
    """Start a MariaDB server for all tests of this worker.

    Workers cannot share one: the lock of db-sync holds for the whole server.
    """
    image = dev_image("mariadb")
    with database_server(engine, image, "mysql", arguments=SPEED["mysql"]) as server:
        yield server


# The archive of MySQL is large, so only `make test-all` downloads it.
@pytest.fixture(
    params=["postgresql", "mariadb", pytest.param("mysql8", marks=pytest.mark.only_all)]
)
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Run the test with each kind of server."""
    found: DatabaseServer = request.getfixturevalue(request.param)
    return found


def address(engine: str, name: str) -> str:
    """Return the address of a container in the engine's network."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    command = [engine, "inspect", "--format", form, name]
    found = subprocess.check_output(command, text=True).strip()
    assert found, logs(engine, name)
    return found


def schema(server: DatabaseServer, url: str) -> dict[str, object]:
    """Return the schema of a database: its revision, and the columns, indexes and keys."""
    engine = server.connect(url)
    inspector = sa.inspect(engine)
    with engine.connect() as connection:
        revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).all()
    found: dict[str, object] = {"revision": [tuple(row) for row in revision]}
    for table in inspector.get_table_names():
        found[table] = [
            [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
            sorted(str(index) for index in inspector.get_indexes(table)),
            sorted(str(key) for key in inspector.get_foreign_keys(table)),
            sorted(str(key) for key in inspector.get_unique_constraints(table)),
            inspector.get_pk_constraint(table),
        ]
    return found
