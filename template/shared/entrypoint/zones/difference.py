"""The difference between a file and Placement: changes, and warnings about what stays as it is."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from shlex import join

from entrypoint.errors import StartError
from entrypoint.zones import names, records
from entrypoint.zones.api import Placement, at_once
from entrypoint.zones.file import File, Location, Pool, Zone
from entrypoint.zones.state import Host, OwnPool, State

# How many hosts that Placement does not have get a hint.
HINTS = 10


@dataclass(frozen=True)
class Change:
    """Something that differs: added (+), changed (~) or removed (-), with the details."""

    sign: str
    kind: str
    name: str
    details: tuple[str, ...] = ()

    @property
    def removes(self) -> bool:
        """Return whether the change takes anything away."""
        return self.sign == "-" or any(detail.startswith("- ") for detail in self.details)


@dataclass(frozen=True)
class HostChange(Change):
    """A change of the traits and aggregates of someone else's provider."""

    host: Host = field(kw_only=True)
    zone: Zone | None = field(kw_only=True)
    add_traits: frozenset[str] = field(kw_only=True)
    remove_traits: frozenset[str] = field(kw_only=True)
    add_aggregates: frozenset[str] = field(kw_only=True)
    remove_aggregates: frozenset[str] = field(kw_only=True)

    def leaves(self, aggregates: set[str], recorded: set[str]) -> bool:
        """Return whether a host in these aggregates has yet to leave a zone.

        Its aggregates decide: whoever has left the old one, or is in the new one, only has to get
        the right traits.
        """
        if self.zone:
            return self.removes and self.zone.aggregate not in aggregates
        return self.removes and not (recorded and recorded.isdisjoint(aggregates))


@dataclass(frozen=True)
class PoolChange(Change):
    """A change of a provider that the file owns."""

    uuid: str = field(kw_only=True)
    pool: Pool | None = field(kw_only=True)


@dataclass
class Difference:
    """All changes, and warnings."""

    changes: list[Change]
    warnings: list[str]
    zones: dict[str, Zone]
    """The zone of each host, by the UUID of its provider."""


def compare(placement: Placement, file: File, state: State) -> Difference:
    """Return how Placement differs from the file."""
    check(file, state)
    warnings: list[str] = []
    changes = [
        *(Change("+", "trait", name) for name in file.traits if name not in state.traits),
        *(
            Change("+", "resource class", name)
            for name in file.resource_classes
            if name not in state.resource_classes
        ),
        *pool_changes(file, state, warnings),
    ]
    zones = zones_of_hosts(file, state, warnings)
    hosts = list(host_changes(file, state, zones, warnings))
    leaving = [
        change
        for change in hosts
        if change.leaves(change.host.aggregates, change.host.recorded_aggregates)
    ]
    used = at_once(lambda change: in_use(placement, state, change.host), leaving)
    staying = {change.name for change, is_used in zip(leaving, used, strict=True) if is_used}
    warnings += [stays(name) for name in sorted(staying)]
    changes += [change for change in hosts if change.name not in staying]
    return Difference(changes, warnings, zones)


def check(file: File, state: State) -> None:
    """Refuse what this Placement does not have, and pools that belong to someone else."""
    for place, name, known in used_names(file, state):
        if name not in known:
            raise StartError(f"{file.at(*place)}: this Placement is too old for {name}: remove it")
    for name in file.pools:
        uuid = state.names.get(name)
        if uuid not in (None, records.pool_uuid(file.owner, name)):
            raise StartError(
                f"{file.at('pools', name)}: the provider {name} ({uuid}) exists already and belongs"
                " to someone else: choose another name"
            )


def used_names(file: File, state: State) -> Iterator[tuple[Location, str, set[str]]]:
    """Yield each trait and resource class of a zone or a pool, its place, and all known names."""
    traits, classes = (
        state.traits | {*file.traits},
        state.resource_classes | {*file.resource_classes},
    )
    data = file.document.data or {}
    for kind in ("zones", "pools"):
        for name, entry in data.get(kind, {}).items():
            for index, trait in enumerate(entry.get("traits", ())):
                yield (kind, name, "traits", index), trait, traits
            for resource_class in entry.get("inventories", ()):
                yield (kind, name, "inventories", resource_class), resource_class, classes


def zones_of_hosts(file: File, state: State, warnings: list[str]) -> dict[str, Zone]:
    """Return the zone of each host, by its UUID; refuse a host in two zones."""
    by_name = {host.name: uuid for uuid, host in state.hosts.items()}
    found: dict[str, tuple[Zone, str]] = {}
    missing = []
    for zone in file.zones.values():
        for index, pattern in enumerate(zone.hosts):
            place = file.at("zones", zone.name, "hosts", index)
            matching = [pattern] if pattern in by_name else fnmatch.filter(by_name, pattern)
            if not matching:
                missing.append((place, pattern))
            for name in matching:
                other, first = found.setdefault(by_name[name], (zone, place))
                if other != zone:
                    raise StartError(
                        f"{place}: the host {name} is also in the zone {other.name} ({first})"
                    )
    others = [name for name, uuid in by_name.items() if uuid not in found]
    for index, (place, pattern) in enumerate(missing):
        # Each hint takes a comparison with every host that is in no zone.
        hint = names.did_you_mean(pattern, others) if index < HINTS else ""
        warnings.append(f"{place}: Placement has no host {pattern}{hint}")
    return {uuid: zone for uuid, (zone, _) in found.items()}


def host_changes(
    file: File, state: State, zones: dict[str, Zone], warnings: list[str]
) -> Iterator[HostChange]:
    """Yield the changes of hosts. Only what the file has added itself is removed."""
    titles = {zone.aggregate: zone.aggregate_name for zone in file.zones.values()}
    for uuid, host in sorted(state.hosts.items(), key=lambda item: item[1].name):
        zone = zones.get(uuid)
        traits = zone.traits if zone else frozenset()
        aggregates = frozenset([zone.aggregate] if zone else [])
        own = host.recorded_aggregates - host.nova_aggregates
        others = host.aggregates & titles.keys() - aggregates - own
        for title in sorted(titles[aggregate] for aggregate in others):
            warnings.append(
                f"{host.name} is in the aggregate {title}, but {file.document.name} has it in"
                f" {zone.aggregate_name if zone else 'no zone'}: it stays as it is until you run"
                f" `{host_command('remove', title, host.name)}`"
            )
        change = HostChange(
            "~",
            "host",
            host.name,
            host=host,
            zone=zone,
            # Only records change while it is in a zone of someone else: it would be in two zones.
            add_traits=frozenset() if others else traits - host.traits,
            # Also what has disappeared: its record is removed.
            remove_traits=frozenset() if others else frozenset(host.recorded_traits - traits),
            add_aggregates=frozenset() if others else aggregates - host.aggregates,
            remove_aggregates=frozenset(
                host.recorded_aggregates - aggregates - (own if others else set())
            ),
        )
        details = [
            *(f"+ trait {name}" for name in sorted(change.add_traits)),
            *(f"+ aggregate {titles[name]} ({name})" for name in sorted(change.add_aggregates)),
            *(
                removal(f"trait {name}", name in host.traits)
                for name in sorted(change.remove_traits)
            ),
            *(
                removal(
                    f"aggregate {titles.get(name, '')} ({name})".replace("  ", " "),
                    name in host.aggregates - host.nova_aggregates,
                )
                for name in sorted(change.remove_aggregates)
            ),
        ]
        if details:
            yield replace(change, details=tuple(details))


def host_command(action: str, aggregate: str, name: str) -> str:
    """Return the command with which Nova adds a host to an aggregate or removes it."""
    return join(["openstack", "aggregate", action, "host", aggregate, name])


def removal(what: str, is_there: bool) -> str:
    """Return the detail of a trait or an aggregate to remove, or of its record alone."""
    return f"- {what}" if is_there else f"~ {what} is no longer recorded"


def in_use(placement: Placement, state: State, host: Host) -> bool:
    """Return whether a host or one of its children has allocations."""
    return any(placement.in_use(uuid) for uuid in state.trees[host.uuid])


def stays(name: str) -> str:
    """Return the warning about a host that stays in its zone."""
    return f"{name} stays in its zone, because it has allocations: move its consumers"


def pool_changes(file: File, state: State, warnings: list[str]) -> Iterator[PoolChange]:
    """Yield the changes of pools, and note what stays because of its allocations."""
    wanted = {records.pool_uuid(file.owner, name): pool for name, pool in file.pools.items()}
    for uuid, pool in wanted.items():
        before = state.pools.get(uuid)
        possible, kept = keep_used(before, pool)
        warnings += kept
        details = tuple(pool_details(file, before, possible))
        if details:
            sign = "~" if before else "+"
            yield PoolChange(sign, "pool", pool.name, details, uuid=uuid, pool=possible)
    for uuid, before in state.pools.items():
        if uuid not in wanted:
            if any(before.used.values()):
                reason = f"because it has allocations: {before.used}"
                warnings.append(f"the pool {before.name} stays, {reason}")
            else:
                yield PoolChange("-", "pool", before.name, uuid=uuid, pool=None)


def wanted_traits(file: File, pool: Pool) -> set[str]:
    """Return the traits of a pool, with the mark of its owner."""
    return {*pool.traits, records.owned(file.owner)}


def pool_details(file: File, before: OwnPool | None, pool: Pool) -> Iterator[str]:
    """Yield the details of a pool's changes."""
    if before and before.name != pool.name:
        yield f"~ name {before.name} -> {pool.name}"
    old, inventories = before.inventories if before else {}, pool.inventories
    for name in sorted(inventories.keys() | old.keys()):
        if name not in inventories:
            yield f"- inventory {name}"
        elif name not in old:
            yield f"+ inventory {name}: total {inventories[name]['total']}"
        else:
            for key, value in inventories[name].items():
                if value != old[name][key]:
                    yield f"~ inventory {name}: {key} {old[name][key]} -> {value}"
    traits = wanted_traits(file, pool)
    titles = {zone.aggregate: zone.aggregate_name for zone in file.zones.values()}
    groups = (
        ("trait", traits, before.traits if before else set()),
        ("aggregate", pool.aggregates, before.aggregates if before else set()),
    )
    for kind, wanted, there in groups:
        for name in sorted(wanted - there):
            yield f"+ {kind} {titles.get(name, name)}"
        for name in sorted(there - wanted):
            yield f"- {kind} {titles.get(name, name)}"


def keep_used(before: OwnPool | None, pool: Pool) -> tuple[Pool, list[str]]:
    """Return the pool without changes that take away what is used, and warnings about them."""
    if not before or not any(before.used.values()):
        return pool, []
    inventories = dict(pool.inventories)
    warnings = []
    for name, used in before.used.items():
        new, old = inventories.get(name), before.inventories[name]
        room = (new["total"] - new["reserved"]) * new["allocation_ratio"] if new else 0
        if used > room and new != old:
            inventories[name] = old
            warnings.append(
                f"the inventory {name} of the pool {pool.name} stays as it is, because {used} of it"
                " are allocated"
            )
    if before.aggregates - pool.aggregates:
        warnings.append(
            f"the pool {pool.name} stays in its zones, because it has allocations: {before.used}"
        )
    aggregates = pool.aggregates | before.aggregates
    return replace(pool, inventories=inventories, aggregates=aggregates), warnings
