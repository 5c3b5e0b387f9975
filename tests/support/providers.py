"""Requests that write a provider, its inventory and its allocations."""

from __future__ import annotations

import uuid

import httpx

HEADERS = {"openstack-api-version": "placement 1.39"}


def new_provider(client: httpx.Client) -> str:
    """Create a provider with an inventory."""
    provider = str(uuid.uuid4())
    body = {"name": provider, "uuid": provider}
    client.post("/resource_providers", json=body).raise_for_status()
    assert set_total(client, provider, 0, 100_000).is_success
    return provider


def set_total(client: httpx.Client, provider: str, generation: int, total: int) -> httpx.Response:
    """Set a provider's inventory."""
    body = {"resource_provider_generation": generation, "inventories": {"VCPU": {"total": total}}}
    return client.put(f"/resource_providers/{provider}/inventories", json=body)


def allocate(
    client: httpx.Client,
    consumer: str,
    provider: str,
    used: int,
    generation: int | None = None,
    project: str = "one",
) -> httpx.Response:
    """Set the allocations of a consumer."""
    body = {
        "allocations": {provider: {"resources": {"VCPU": used}}},
        "consumer_generation": generation,
        "project_id": project,
        "user_id": "one",
        "consumer_type": "INSTANCE",
    }
    return client.put(f"/allocations/{consumer}", json=body)
