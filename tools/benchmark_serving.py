"""Compare the requests per second that images serve, in rounds that alternate between the images.

    PYTHONPATH=template/shared uv run python -m tools.benchmark_serving [--rounds N] IMAGE IMAGE...

The images serve one PostgreSQL database with 1000 resource providers, with two processes of four
threads. Debian's wrk sends the requests, with ten connections. Only the ratios to the first image
count: clients, servers and the database share the CPUs of this machine.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.support.containers import CONNECTION, Server, serving, succeed
from tests.support.servers import database_server
from tools.rendering import render

PROVIDERS = 1000
SECONDS = 4
AGGREGATE = str(uuid.uuid4())
PROCESSES = {"UWSGI_PROCESSES": "2", "UWSGI_THREADS": "4"}
HEADERS = {"x-auth-token": "admin", "openstack-api-version": "placement 1.39"}
INVENTORIES = {
    name: {"total": 1000} for name in ("VCPU", "DISK_GB", "MEMORY_MB", "IPV4_ADDRESS", "VGPU")
}
CANDIDATES = (
    "/allocation_candidates?resources=VCPU:1,DISK_GB:10,MEMORY_MB:256"
    f"&member_of={AGGREGATE}&required=HW_CPU_X86_AVX2&limit=10"
)
# wrk's Lua. W4 deletes allocations that an earlier request has created: at most 64 exist.
READ = 'request = function() return wrk.format("GET", "{path}") end'
WRITE = """
local number = -1
local allocations = function(consumer)
  return string.format("/allocations/00000000-0000-4000-8000-%012x", consumer % 64)
end
request = function()
  number = number + 1
  local consumer = math.floor(number / 2)
  if number % 2 == 1 then return wrk.format("DELETE", allocations(consumer - 32)) end
  return wrk.format("PUT", allocations(consumer), nil, [[{body}]])
end
"""


def fill(server: Server) -> str:
    """Create the providers, and return the UUID of the last one."""
    client = server.client
    client.headers.update(HEADERS)
    for number in range(PROVIDERS):
        provider = str(uuid.uuid4())
        path = f"/resource_providers/{provider}"
        generation = {"resource_provider_generation": 0}
        created = {"name": f"provider-{number}", "uuid": provider}
        client.post("/resource_providers", json=created).raise_for_status()
        inventories = generation | {"inventories": INVENTORIES}
        client.put(f"{path}/inventories", json=inventories).raise_for_status()
        traits = {"resource_provider_generation": 1, "traits": ["HW_CPU_X86_AVX2"]}
        client.put(f"{path}/traits", json=traits).raise_for_status()
        aggregates = {"resource_provider_generation": 2, "aggregates": [AGGREGATE]}
        client.put(f"{path}/aggregates", json=aggregates).raise_for_status()
    return provider


def workloads(provider: str) -> dict[str, str]:
    """Return the Lua of each workload."""
    allocation = httpx.Request(
        "PUT",
        "http://unused",
        json={
            "allocations": {provider: {"resources": {"VCPU": 1}}},
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
            "project_id": "project",
            "user_id": "user",
        },
    )
    return {
        "W1 GET /": READ.format(path="/"),
        "W2 GET inventories": READ.format(path=f"/resource_providers/{provider}/inventories"),
        "W3 GET allocation candidates": READ.format(path=CANDIDATES),
        "W4 PUT, DELETE allocations": WRITE.replace("{body}", allocation.content.decode()),
    }


def requests_per_second(server: Server, lua: str, folder: Path) -> float:
    """Run wrk for some seconds. Print how many requests failed, if any did."""
    script = folder / "wrk.lua"
    headers = [f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items()]
    content_type = 'wrk.headers["content-type"] = "application/json"'
    script.write_text("\n".join([*headers, content_type, lua]), encoding="utf-8")
    command = ["wrk", "-t1", "-c10", f"-d{SECONDS}", "--timeout=20", "-s", str(script)]
    output = subprocess.check_output([*command, str(server.client.base_url)], text=True)
    for failures in re.findall(r"(?:Socket errors|Non-2xx).*", output):
        print(f"  {failures}")
    [rate] = re.findall(r"Requests/sec: +([\d.]+)", output)
    return float(rate)


def main() -> None:
    """Print the median of each image and workload, and its ratio to the first image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--engine", default="podman")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: run apt-get install wrk")
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        stack = render("keystone-password", folder) / "dev/stack/servers/postgresql"
        succeed(given.engine, "build", "--tag", "localhost/placement-benchmark-postgresql", stack)
        postgresql = running.enter_context(
            database_server(given.engine, "localhost/placement-benchmark-postgresql", "postgresql")
        )
        env = {CONNECTION: postgresql.new_database(), **PROCESSES}
        servers = [
            running.enter_context(serving(given.engine, image, env)) for image in given.images
        ]
        scripts = workloads(fill(servers[0]))
        for number in range(given.rounds):
            order = list(zip(given.images, servers, strict=True))[:: -1 if number % 2 else 1]
            for workload, lua in scripts.items():
                for image, server in order:
                    rates[workload][image].append(requests_per_second(server, lua, folder))
    for workload, of_image in rates.items():
        first = of_image[given.images[0]]
        for image, found in of_image.items():
            ratios = [rate / base for rate, base in zip(found, first, strict=True)]
            print(
                f"{workload:30} {image:40} {statistics.median(found):8.1f}/s"
                f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )


if __name__ == "__main__":
    main()
