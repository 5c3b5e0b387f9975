"""What Placement has now, as far as a file may change it.

One request for each trait and each aggregate returns all providers that have it. The number of
requests thus depends on the file, but not on the number of hosts.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from entrypoint.zones import records
from entrypoint.zones.api import Placement, at_once
from entrypoint.zones.file import File


@dataclass
class Host:
    """A provider of someone else, with the traits and aggregates that matter to the file."""

    uuid: str
    name: str
    traits: set[str] = field(default_factory=set)
    aggregates: set[str] = field(default_factory=set)
    recorded_traits: set[str] = field(default_factory=set)
    recorded_aggregates: set[str] = field(default_factory=set)
    nova_aggregates: set[str] = field(default_factory=set)
    """The aggregates that Nova has the host in. Only Nova may take it out of them."""


@dataclass(frozen=True)
class OwnPool:
    """A provider that the file has created."""

    uuid: str
    name: str
    generation: int
    traits: set[str]
    aggregates: set[str]
    inventories: dict[str, dict[str, float]]
    used: dict[str, int]


@dataclass(frozen=True)
class State:
    """What Placement has."""

    traits: set[str]
    resource_classes: set[str]
    hosts: dict[str, Host]
    pools: dict[str, OwnPool]
    """The pools of the file, by UUID."""
    trees: dict[str, list[str]]
    """The UUIDs of all providers in the tree of each host."""
    names: dict[str, str]
    """The UUID of each provider, by its name."""


def read(placement: Placement, file: File) -> State:
    """Return what Placement has."""
    providers = placement.providers()
    traits = set(placement.get("/traits")["traits"])
    classes = {entry["name"] for entry in placement.get("/resource_classes")["resource_classes"]}
    mark = records.owned(file.owner)
    owners = pools_by_owner(placement, traits, providers)
    own = owners.get(mark, set())
    pools_of_all = own.union(*owners.values())
    hosts = {
        each["uuid"]: Host(each["uuid"], each["name"])
        for each in providers
        if not each["parent_provider_uuid"] and each["uuid"] not in pools_of_all
    }
    trees = defaultdict(list)
    for each in providers:
        trees[each["root_provider_uuid"]].append(each["uuid"])
    add_associations(placement, file, traits, hosts)
    owned = [each for each in providers if each["uuid"] in own]
    pools = at_once(lambda each: read_pool(placement, each["uuid"], each["name"]), owned)
    return State(
        traits=traits,
        resource_classes=classes,
        hosts=hosts,
        pools={pool.uuid: pool for pool in pools},
        trees=trees,
        names={each["name"]: each["uuid"] for each in providers},
    )


def pools_by_owner(
    placement: Placement, traits: Iterable[str], providers: list[dict[str, Any]]
) -> dict[str, set[str]]:
    """Return the UUIDs of the providers that files have created, by the trait of the owner.

    An interrupted `apply` may leave one without this trait. Its UUID still follows from its name.
    """
    owners = [name for name in traits if name.startswith(records.OWNED)]
    found = at_once(lambda owner: placement.providers(required=owner), owners)
    return {
        owner: {each["uuid"] for each in marked}
        | {
            each["uuid"]
            for each in providers
            if each["uuid"] == records.pool_uuid(records.owner(owner), each["name"])
        }
        for owner, marked in zip(owners, found, strict=True)
    }


def add_associations(
    placement: Placement, file: File, existing: set[str], hosts: dict[str, Host]
) -> None:
    """Add to each host its traits and aggregates that the file names, or that are recorded."""
    found = {name for name in existing if name.startswith(records.prefix(file.owner))}
    recorded = {name: records.recorded(file.owner, name) for name in found}
    traits = {trait for zone in file.zones.values() for trait in zone.traits}
    traits |= {name for name, is_aggregate in recorded.values() if not is_aggregate}
    aggregates = {zone.aggregate for zone in file.zones.values()}
    aggregates |= {name for name, is_aggregate in recorded.values() if is_aggregate}
    queries = [("required", name) for name in sorted((traits | found) & existing)]
    queries += [("member_of", name) for name in sorted(aggregates)]
    answers = at_once(lambda query: placement.providers(**dict([query])), queries)
    for (kind, name), members in zip(queries, answers, strict=True):
        for member in members:
            if not (host := hosts.get(member["uuid"])):
                continue
            if kind == "member_of":
                host.aggregates.add(name)
            elif name in recorded:
                what, is_aggregate = recorded[name]
                (host.recorded_aggregates if is_aggregate else host.recorded_traits).add(what)
            else:
                host.traits.add(name)


def read_pool(placement: Placement, uuid: str, name: str) -> OwnPool:
    """Return a provider that the file has created."""
    path = f"/resource_providers/{uuid}"
    # Read first, so that a write with this generation fails after any later change.
    inventories = placement.get(f"{path}/inventories")
    return OwnPool(
        uuid=uuid,
        name=name,
        generation=inventories["resource_provider_generation"],
        inventories=inventories["inventories"],
        traits=set(placement.get(f"{path}/traits")["traits"]),
        aggregates=set(placement.get(f"{path}/aggregates")["aggregates"]),
        used=placement.get(f"{path}/usages")["usages"],
    )
