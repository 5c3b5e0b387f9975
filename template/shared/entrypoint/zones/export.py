"""A file that describes a running Placement."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import yaml

from entrypoint.errors import report
from entrypoint.zones import names, records
from entrypoint.zones.api import Placement, at_once
from entrypoint.zones.file import DEFAULT_OWNER, INVENTORY, SCHEMA
from entrypoint.zones.state import OwnPool, pools_by_owner, read_pool

# The name and the availability zone of aggregates in Nova.
Titles = dict[str, tuple[str, str | None]]
# The names that the schema allows.
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
LONGEST_TRAIT = SCHEMA["properties"]["traits"]["items"]["maxLength"]
HEAD = "# yaml-language-server: $schema=shared/entrypoint/zones/schema.json\n"


def export(placement: Placement, titles: Titles, owner: str = DEFAULT_OWNER) -> str:
    """Return the text of the file. Titles are what Nova knows about aggregates.

    A host of several aggregates is in the zone of the smallest one, because it can be in only one.
    """
    providers = placement.providers()
    existing = placement.get("/traits")["traits"]
    own = [name for name in existing if is_own(name)]
    traits = [name for name in own if len(name) <= LONGEST_TRAIT]
    for name in own:
        if name not in traits:
            report(f"warning: the trait {name} is left out, because its name is too long")
    classes = placement.get("/resource_classes")["resource_classes"]
    mark, owners = records.owned(owner), pools_by_owner(placement, existing, providers)
    owned = owners.get(mark, set())
    pools = list(finished_pools(placement, [e for e in providers if e["uuid"] in owned]))
    all_pools = owned.union(*owners.values())
    hosts = [e for e in providers if not e["parent_provider_uuid"] and e["uuid"] not in all_pools]
    aggregates = dict(
        zip(
            (host["name"] for host in hosts),
            at_once(
                lambda host: placement.get(f"/resource_providers/{host['uuid']}/aggregates"), hosts
            ),
            strict=True,
        )
    )
    sizes = Counter(each for answer in aggregates.values() for each in answer["aggregates"])
    members = defaultdict(list)
    for name, answer in sorted(aggregates.items()):
        if found := sorted(answer["aggregates"], key=lambda each: (sizes[each], each)):
            members[found[0]].append(name)
            if found[1:]:
                report(f"{name} is in several aggregates: its zone has {found[0]}, not {found[1:]}")
    carriers = {
        trait: {each["name"] for each in placement.providers(required=trait)} for trait in traits
    }
    # A pool also needs its zones without hosts.
    for pool in pools:
        members |= {each: [] for each in pool.aggregates - members.keys()}
    keys = zone_names(sorted(members), titles)
    zones: dict[str, Any] = {
        aggregate: {
            "aggregate": {"name": titles.get(aggregate, (keys[aggregate],))[0], "uuid": aggregate},
            "traits": [name for name in traits if found and carriers[name].issuperset(found)],
            "hosts": found,
        }
        for aggregate, found in sorted(members.items())
    }
    content = {
        "traits": traits,
        "resource_classes": [e["name"] for e in classes if e["name"].startswith("CUSTOM_")],
        "zones": {keys[aggregate]: zone for aggregate, zone in zones.items()},
        "pools": {pool.name: describe(pool, keys, traits) for pool in pools},
    }
    if owner != DEFAULT_OWNER:
        content = {"owner": owner, **content}
    return HEAD + yaml.safe_dump(content, sort_keys=False, width=100)


def finished_pools(placement: Placement, owned: list[dict[str, Any]]) -> Iterator[OwnPool]:
    """Yield the pools that have what the schema requires."""
    for each in owned:
        pool = read_pool(placement, each["uuid"], each["name"])
        if pool.aggregates and pool.inventories:
            yield pool
        else:
            report(f"warning: the pool {pool.name} is left out: finish the `apply` that creates it")


def zone_names(aggregates: list[str], titles: Titles) -> dict[str, str]:
    """Return the name of each aggregate's zone: its availability zone, or else a new name."""
    known = {each: titles[each][1] for each in aggregates if each in titles}
    number_of = Counter(known.values())
    found = {
        aggregate: zone
        for aggregate, zone in known.items()
        if zone and number_of[zone] == 1 and re.fullmatch(NAME, zone)
    }
    for aggregate in aggregates:
        if aggregate in found:
            continue
        short = f"zone-{aggregate[:8]}"
        found[aggregate] = f"zone-{aggregate}" if short in found.values() else short
        if aggregate in known:
            report(
                f"warning: the aggregate {titles[aggregate][0]} has no availability zone of its own"
                f" with a valid name: its zone is exported as {found[aggregate]}"
            )
    return found


def is_own(trait: str) -> bool:
    """Return whether an operator has created a trait."""
    return trait.startswith("CUSTOM_") and not trait.startswith(names.RESERVED)


def describe(pool: OwnPool, zones: dict[str, str], traits: list[str]) -> dict[str, Any]:
    """Return the entry of a pool. Of custom traits, it has only those that the file lists."""
    custom = {name for name in pool.traits if name.startswith("CUSTOM_")}
    return {
        "zones": sorted(zones[each] for each in pool.aggregates),
        "traits": sorted(pool.traits - {names.SHARING} - custom.difference(traits)),
        "inventories": {
            name: {key: value for key, value in entry.items() if INVENTORY.get(key) != value}
            for name, entry in pool.inventories.items()
        },
    }
