"""The requests of each workload, as Lua for wrk."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

MICROVERSION = "placement 1.39"
HEADERS = {"x-auth-token": "admin", "openstack-api-version": MICROVERSION}
# Providers that a run creates have names that begin with this, so that they can be deleted.
CREATED = "bench-"

# The results of a run, as one line of JSON. Latencies are in microseconds.
DONE = """
done = function(summary, latency)
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "failed": %d, "broken": %d, "p99": %d}\\n',
    summary.requests, summary.duration / 1e6, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(99)))
end
"""
READ = 'request = function() return wrk.format("GET", "%s") end'
# First 32 consumers get allocations; then the oldest one loses them whenever another one gets some.
# Each consumer has another provider: writes of one provider at the same time may conflict.
ALLOCATIONS = """
local providers = {%s}
local number = -2 -- wrk does not send the first request.
local allocations = function(consumer)
  return string.format("/allocations/%s-%%012x", consumer)
end
request = function()
  number = number + 1
  local consumer = number
  if number >= 32 then
    consumer = 32 + math.floor((number - 32) / 2)
    if number %% 2 == 0 then return wrk.format("DELETE", allocations(consumer - 32)) end
  end
  local body = string.format([[%s]], providers[consumer %% #providers + 1])
  return wrk.format("PUT", allocations(consumer), nil, body)
end
"""
CREATE = """
local number = 0
request = function()
  number = number + 1
  local body = string.format('{"name": "%s%%06d"}', number)
  return wrk.format("POST", "/resource_providers", nil, body)
end
"""
# Each provider in turn, with the generation that it has after the requests of this run.
INVENTORIES = """
local providers = {%s}
local number = -1
request = function()
  number = number + 1
  local provider = providers[number %% #providers + 1]
  local uuid, generation = unpack(provider)
  -- wrk does not send the first request.
  if number > 0 then provider[2] = generation + 1 end
  local body = string.format(
    '{"resource_provider_generation": %%d, "inventories": %s}', generation)
  return wrk.format("PUT", "/resource_providers/" .. uuid .. "/inventories", nil, body)
end
"""


@dataclass(frozen=True)
class Cloud:
    """The providers that a database holds."""

    providers: Sequence[str]
    aggregate: str
    inventories: dict[str, dict[str, int]]


def candidates(cloud: Cloud) -> str:
    """Return the path of a request for candidates, with three resources, as Nova sends it."""
    return (
        "/allocation_candidates?resources=VCPU:1,DISK_GB:10,MEMORY_MB:256"
        f"&member_of={cloud.aggregate}&required=HW_CPU_X86_AVX2&limit=10"
    )


def read(path: str) -> str:
    """Return the Lua of a workload that reads one path."""
    return READ % path


def allocate(cloud: Cloud) -> str:
    """Return the Lua that creates and deletes allocations."""
    body = {
        "allocations": {"%s": {"resources": {"VCPU": 1}}},
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
        "project_id": "project",
        "user_id": "user",
    }
    providers = ", ".join(f'"{provider}"' for provider in cloud.providers)
    return ALLOCATIONS % (providers, str(uuid.uuid4())[:23], json.dumps(body))


def create() -> str:
    """Return the Lua that creates providers."""
    return CREATE % f"{CREATED}{uuid.uuid4().hex[:12]}-"


def put_inventories(cloud: Cloud, client: httpx.Client) -> str:
    """Return the Lua that writes the inventories of all providers again."""
    listed = client.get(f"/resource_providers?member_of={cloud.aggregate}").json()
    pairs = (
        f'{{"{provider["uuid"]}", {provider["generation"]}}}'
        for provider in listed["resource_providers"]
    )
    return INVENTORIES % (", ".join(pairs), json.dumps(cloud.inventories))


NAMES = (
    "GET /",
    "GET inventories",
    "GET candidates, limit=10",
    "PUT and DELETE allocations",
    "POST provider",
    "PUT inventories",
    "GET providers in a tree",
)
WITH_DATABASE = NAMES[1:]
MAIN = NAMES[1:4]
# The seconds of a run. The requests that are open at its end are not counted, so that a run of
# slow requests has to be longer.
SECONDS = 2
SECONDS_OF_CANDIDATES = 5


def seconds(name: str) -> int:
    """Return how long a run of a workload takes."""
    return SECONDS_OF_CANDIDATES if "candidates" in name else SECONDS


def script(name: str, cloud: Cloud, client: httpx.Client) -> str:
    """Return the Lua of a workload for wrk."""
    provider = cloud.providers[-1]
    scripts: dict[str, Callable[[], str]] = {
        "GET /": lambda: read("/"),
        "GET inventories": lambda: read(f"/resource_providers/{provider}/inventories"),
        "GET candidates, limit=10": lambda: read(candidates(cloud)),
        "PUT and DELETE allocations": lambda: allocate(cloud),
        "POST provider": create,
        "PUT inventories": lambda: put_inventories(cloud, client),
        "GET providers in a tree": lambda: read(f"/resource_providers?in_tree={provider}"),
    }
    headers = HEADERS | {"content-type": "application/json"}
    lines = [f'wrk.headers["{header}"] = "{value}"' for header, value in headers.items()]
    return "\n".join([*lines, scripts[name](), DONE])
