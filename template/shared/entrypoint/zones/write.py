"""Writes a difference to Placement. Every write can be interrupted: the next run completes it."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from entrypoint.zones import records
from entrypoint.zones.api import ATTEMPTS, PAUSE, ConflictError, Placement, RefusedError, at_once
from entrypoint.zones.difference import (
    Change,
    HostChange,
    PoolChange,
    in_use,
    keep_used,
    stays,
    wanted_traits,
)
from entrypoint.zones.file import File
from entrypoint.zones.state import State, read_pool


class Writer:
    """Writes to one Placement."""

    def __init__(self, placement: Placement, file: File, state: State) -> None:
        """Remember where to write, and what was there."""
        self.placement, self.file, self.state = placement, file, state

    def write(self, changes: list[Change]) -> list[str]:
        """Write changes, and return what could not be written."""
        pools = [change for change in changes if isinstance(change, PoolChange)]
        hosts = [change for change in changes if isinstance(change, HostChange)]
        steps: list[tuple[Callable[[Any], str | None], Sequence[Change]]] = [
            (self.name, self.new_names(changes)),
            (self.pool, [change for change in pools if change.sign != "-"]),
            (self.host, hosts),
            (self.delete_pool, [change for change in pools if change.sign == "-"]),
        ]
        results = [each for write, some in steps for each in at_once(partial(result, write), some)]
        return [each for each in results if each]

    def new_names(self, changes: list[Change]) -> list[Change]:
        """Return the traits and resource classes to create, with the traits of records."""
        traits = {change.name: None for change in changes if change.kind == "trait"}
        owner = self.file.owner
        for change in changes:
            if isinstance(change, HostChange):
                new = [records.of_trait(owner, name) for name in change.add_traits]
                new += [records.of_aggregate(owner, name) for name in change.add_aggregates]
                traits |= dict.fromkeys(new)
            elif isinstance(change, PoolChange):
                traits[records.owned(owner)] = None
        return [
            *(Change("+", "trait", name) for name in traits if name not in self.state.traits),
            *(change for change in changes if change.kind == "resource class"),
        ]

    def name(self, change: Change) -> str | None:
        """Create a trait or a resource class, unless someone else has done it meanwhile."""
        folder = "traits" if change.kind == "trait" else "resource_classes"
        self.placement.write("PUT", f"/{folder}/{change.name}")
        return None

    def host(self, change: HostChange) -> str | None:
        """Write the traits and aggregates of a host, starting from what it has now.

        A trait and its record change in one request. An aggregate is recorded before it is added,
        and its record is removed last. A host that leaves a zone keeps all its traits until its
        aggregates have changed: so it is in one zone at any time, whenever this is interrupted.
        """
        path = f"/resource_providers/{change.host.uuid}"
        traits = self.placement.get(f"{path}/traits")
        aggregates = self.placement.get(f"{path}/aggregates")
        if not traits or not aggregates:
            return f"{change.name} no longer exists"
        members = set(aggregates["aggregates"])
        of_trait = partial(records.of_trait, self.file.owner)
        of_aggregate = partial(records.of_aggregate, self.file.owner)
        old = set(traits["traits"])
        ours = {name for name in change.remove_aggregates if of_aggregate(name) in old}
        leaves = change.leaves(members, ours)
        if leaves and in_use(self.placement, self.state, change.host):
            return stays(change.name)
        new = set(old)
        for name in change.add_traits - old:
            new |= {name, of_trait(name)}
        for name in change.remove_traits:
            if of_trait(name) in old:
                new -= {name, of_trait(name)}
        added = {of_aggregate(name) for name in change.add_aggregates - members}
        generation, first = traits["resource_provider_generation"], (old if leaves else new) | added
        if first != old:
            generation = self.put(f"{path}/traits", generation, traits=sorted(first))
        wanted = (members | change.add_aggregates) - (ours - change.host.nova_aggregates)
        if wanted != members:
            generation = self.put(f"{path}/aggregates", generation, aggregates=sorted(wanted))
        last = (new | added) - {of_aggregate(name) for name in ours}
        if last != first:
            self.put(f"{path}/traits", generation, traits=sorted(last))
        return None

    def pool(self, change: PoolChange) -> str | None:
        """Create a pool, or write what differs from the file; return what has become used."""
        assert change.pool
        path = f"/resource_providers/{change.uuid}"
        found = self.placement.get(path)
        if not found:
            body = {"name": change.name, "uuid": change.uuid}
            self.placement.write("POST", "/resource_providers", body)
        elif found["name"] != change.name:
            self.placement.write("PUT", path, {"name": change.name})
        before = read_pool(self.placement, change.uuid, change.name)
        pool, kept = keep_used(before, change.pool)
        traits, generation = wanted_traits(self.file, pool), before.generation
        if traits != before.traits:
            generation = self.put(f"{path}/traits", generation, traits=sorted(traits))
        if pool.inventories != before.inventories:
            generation = self.put(f"{path}/inventories", generation, inventories=pool.inventories)
        if pool.aggregates != before.aggregates:
            self.put(f"{path}/aggregates", generation, aggregates=sorted(pool.aggregates))
        return "; ".join(kept) or None

    def delete_pool(self, change: PoolChange) -> str | None:
        """Delete a pool. Placement refuses if it has allocations."""
        self.placement.write("DELETE", f"/resource_providers/{change.uuid}")
        return None

    def put(self, path: str, generation: int, **body: object) -> int:
        """Replace something, and return the new generation of the provider."""
        answer = self.placement.write(
            "PUT", path, {"resource_provider_generation": generation, **body}
        )
        found: int = answer["resource_provider_generation"]
        return found


def result(write: Callable[[Change], str | None], change: Change) -> str | None:
    """Write a change, again while it conflicts with other clients; return any problem."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            return write(change)
        except ConflictError as error:
            reason = f"{change.name}: {ATTEMPTS} attempts failed: {error}"
        except RefusedError as error:
            return f"{change.name}: {error}"
    return reason
