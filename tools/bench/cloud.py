"""The database of a benchmark, filled with providers through Placement's API."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import sqlalchemy as sa

from tests.support.containers import Server
from tests.support.proxies import PORTS, running_proxy
from tests.support.servers import DatabaseServer
from tools.bench.workloads import CREATED, HEADERS, Cloud

INVENTORIES = {
    name: {"total": 1000} for name in ("VCPU", "DISK_GB", "MEMORY_MB", "IPV4_ADDRESS", "VGPU")
}
TRAIT = "HW_CPU_X86_AVX2"
# The requests at a time that fill the database.
CLIENTS = 4
# toxiproxy's own port, on which it is configured.
CONTROL_PORT = 8474


def fill(server: Server, providers: int) -> Cloud:
    """Create this many providers with inventories, a trait and an aggregate."""
    server.client.headers.update(HEADERS)
    cloud = Cloud([str(uuid.uuid4()) for _ in range(providers)], str(uuid.uuid4()), INVENTORIES)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in pool.map(lambda one: create(server.client, cloud, one), cloud.providers):
            pass
    return cloud


def create(client: httpx.Client, cloud: Cloud, provider: str, parent: str | None = None) -> None:
    """Create a provider of the cloud."""
    path = f"/resource_providers/{provider}"
    created = {"name": provider, "uuid": provider, "parent_provider_uuid": parent}
    client.post("/resource_providers", json=created).raise_for_status()
    for number, (name, value) in enumerate(
        {
            "inventories": cloud.inventories,
            "traits": [TRAIT],
            "aggregates": [cloud.aggregate],
        }.items()
    ):
        body = {"resource_provider_generation": number, name: value}
        client.put(f"{path}/{name}", json=body).raise_for_status()


def delete_created(database: DatabaseServer, url: str) -> None:
    """Delete what the workloads have created, so that each run starts alike."""
    with database.connect(url).begin() as connection:
        for table in ("allocations", "consumers"):
            connection.execute(sa.delete(sa.table(table)))
        name: sa.ColumnClause[str] = sa.column("name")
        root: sa.ColumnClause[int] = sa.column("root_provider_id")
        providers = sa.table("resource_providers", name, root)
        created = providers.c.name.startswith(CREATED)
        # MariaDB refuses to delete a row that refers to itself.
        connection.execute(sa.update(providers).where(created).values(root_provider_id=None))
        connection.execute(sa.delete(providers).where(created))


@contextmanager
def delayed(
    engine: str, image: str, database: DatabaseServer, url: str, milliseconds: int
) -> Iterator[str]:
    """Return a URL of the database whose answers arrive this much later."""
    program = shutil.which("toxiproxy")
    mount = (f"--volume={program}:/toxiproxy:ro", "--entrypoint=/toxiproxy")
    port = PORTS[database.kind]
    with running_proxy(engine, CONTROL_PORT, *mount, image, "-host=0.0.0.0") as proxy:
        control = f"http://{proxy.address}:{CONTROL_PORT}/proxies"
        listener = {"name": "database", "listen": f"0.0.0.0:{port}"}
        upstream = {"upstream": f"{database.address}:{port}"}
        httpx.post(control, json=listener | upstream).raise_for_status()
        latency = {"type": "latency", "attributes": {"latency": milliseconds}}
        httpx.post(f"{control}/database/toxics", json=latency).raise_for_status()
        yield proxy.url(url)
