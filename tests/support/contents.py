"""The contents of a Placement, written and read through its API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

NEW = {"openstack-api-version": "placement 1.39"}
# The last version without consumer types.
UNTYPED = {"openstack-api-version": "placement 1.37"}
# The last version that changes aggregates without a generation.
UNGUARDED = {"openstack-api-version": "placement 1.18"}
# Only services can use /reshaper.
SERVICE = {**NEW, "x-roles": "admin,service"}
PROJECT = "8f5e8f6c-project"
CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB", "PCPU", "VGPU", "CUSTOM_GPU")


def uuid(kind: int, number: int) -> str:
    """Return the same UUID for the same kind and number."""
    return str(UUID(int=(kind << 64) + number + 1))


def put(client: httpx.Client, path: str, body: Any = None, headers: dict[str, str] = NEW) -> None:
    """Send a request that writes, or fail with the error."""
    done = client.put(path, json=body, headers=headers)
    assert done.is_success, f"{path}: {done.text}"


def post(client: httpx.Client, path: str, body: Any, headers: dict[str, str] = NEW) -> None:
    """Send a request that writes, or fail with the error."""
    done = client.post(path, json=body, headers=headers)
    assert done.is_success, f"{path}: {done.text}"


def fill(client: httpx.Client, hosts: int = 3) -> None:
    """Create trees of three providers, with inventories, traits, aggregates and allocations."""
    put(client, "/resource_classes/CUSTOM_GPU")
    put(client, "/traits/CUSTOM_FAST")
    names = {}
    for host in range(hosts):
        tree = {"root": None, "numa": "root", "device": "numa"}
        for level, (kind, parent) in enumerate(tree.items()):
            names[kind] = uuid(level, host)
            body = {"name": f"Zürich-東京-{host}-{kind}", "uuid": names[kind]}
            post(
                client,
                "/resource_providers",
                {**body, "parent_provider_uuid": names.get(str(parent))},
            )
    stock(client, hosts)
    root = uuid(0, 0)
    path = f"/resource_providers/{uuid(1, 0)}/traits"
    traits = client.get(path, headers=NEW).json()
    put(client, path, {**traits, "traits": ["HW_CPU_X86_AVX2", "CUSTOM_FAST"]})
    for host in range(hosts):
        path = f"/resource_providers/{uuid(0, host)}/aggregates"
        put(client, path, [uuid(7, host % 2)], UNGUARDED)
    put(client, f"/allocations/{uuid(8, hosts)}", claim(root, {"VCPU": 1}), UNTYPED)
    put(client, f"/allocations/{uuid(8, hosts + 1)}", claim(root, {"VCPU": 2}, "MIGRATION"))


def stock(client: httpx.Client, hosts: int) -> None:
    """Give each provider all inventories, and each host an allocation, in one request."""
    inventory = {"total": 4096, "allocation_ratio": 1.5, "reserved": 1, "max_unit": 64}
    inventories = {
        uuid(level, host): {
            "inventories": dict.fromkeys(CLASSES, inventory),
            "resource_provider_generation": 0,
        }
        for level in range(3)
        for host in range(hosts)
    }
    allocations = {
        uuid(8, host): claim(uuid(0, host), dict.fromkeys(CLASSES, 1), "INSTANCE")
        for host in range(hosts)
    }
    body = {"inventories": inventories, "allocations": allocations}
    post(client, "/reshaper", body, SERVICE)


def claim(provider: str, resources: dict[str, int], kind: str | None = None) -> dict[str, Any]:
    """Return the body of a request that allocates resources to a new consumer."""
    body = {
        "allocations": {provider: {"resources": resources}},
        "project_id": PROJECT,
        "user_id": "Zoë",
        "consumer_generation": None,
    }
    return {**body, "consumer_type": kind} if kind else body


def contents(client: httpx.Client) -> dict[str, Any]:
    """Read everything, with generations and the times of changes."""

    def get(path: str) -> Any:
        return sort(client.get(path, headers=NEW).raise_for_status().json())

    providers = get("/resource_providers")["resource_providers"]
    found: dict[str, Any] = {"providers": providers}
    consumers = set()
    for provider in providers[:9]:
        path = f"/resource_providers/{provider['uuid']}"
        for part in ("inventories", "traits", "aggregates", "allocations"):
            found[path + part] = get(f"{path}/{part}")
        found[path] = client.get(path, headers=NEW).headers["last-modified"]
        consumers |= found[path + "allocations"]["allocations"].keys()
    for consumer in consumers:
        found[consumer] = get(f"/allocations/{consumer}")
    for page in ("traits", "resource_classes"):
        found[page] = [str(entry) for entry in get(f"/{page}")[page] if "CUSTOM_" in str(entry)]
    found["usages"] = get(f"/usages?project_id={PROJECT}")
    found["summaries"] = get("/allocation_candidates?resources=VCPU:1")["provider_summaries"]
    return found


def sort(value: Any) -> Any:
    """Sort all lists, whose order has no meaning."""
    if isinstance(value, dict):
        return {key: sort(item) for key, item in value.items()}
    return sorted(value, key=str) if isinstance(value, list) else value
