"""Nova's side of zones: its host aggregates and availability zones, which this program only reads.

Nova chooses the UUID of a host aggregate, and adds it to its hosts in Placement.
"""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from shlex import join
from typing import Any, TypeVar

from keystoneauth1.exceptions import ClientException, Forbidden

from entrypoint.clouds import Cloud
from entrypoint.errors import StartError, report
from entrypoint.zones.api import adapter
from entrypoint.zones.difference import Difference, HostChange, host_command
from entrypoint.zones.file import File, Zone
from entrypoint.zones.state import State

# The first version in which the ID of a hypervisor is the UUID of its provider.
VERSION = "2.53"
T = TypeVar("T")


@dataclass(frozen=True)
class Nova:
    """What Nova has: its aggregates, and the name of each host by the UUID of its provider."""

    aggregates: list[dict[str, Any]]
    hosts: dict[str, str]
    is_hidden: bool = False
    """Whether Nova refuses to list them to this user."""

    def mark(self, state: State) -> None:
        """Add to each host the aggregates that it is a member of in Nova."""
        for uuid, name in self.hosts.items():
            if uuid in state.hosts:
                found = {each["uuid"] for each in self.aggregates if name in each["hosts"]}
                state.hosts[uuid].nova_aggregates = found


def commands(file: File, state: State, difference: Difference) -> list[str]:
    """Return the commands that make the same changes in a Nova that this program cannot read."""
    members = {aggregate for host in state.hosts.values() for aggregate in host.aggregates}
    titles = {zone.aggregate: zone.aggregate_name for zone in file.zones.values()}
    changes = [change for change in difference.changes if isinstance(change, HostChange)]
    found = [create(zone) for zone in file.zones.values() if zone.aggregate not in members]
    for change in changes:
        found += [
            host_command("remove", titles[name], change.name) for name in known(change, titles)
        ]
        found += [host_command("add", titles[name], change.name) for name in change.add_aggregates]
    return found if changes else []


def known(change: HostChange, titles: dict[str, str]) -> list[str]:
    """Return the aggregates that a host leaves, and whose name in Nova the file has."""
    return sorted(change.remove_aggregates & titles.keys())


def compare(nova: Nova, file: File, zones: dict[str, Zone]) -> tuple[list[str], list[str]]:
    """Return warnings, and the commands with which Nova matches the file."""
    aggregates = {each["name"]: each for each in nova.aggregates}
    hosts = nova.hosts
    warnings, found = [], []
    for zone in file.zones.values():
        members = {hosts[uuid] for uuid in zones if zones[uuid] == zone and uuid in hosts}
        aggregate = aggregates.get(zone.aggregate_name)
        if not aggregate:
            if not members:  # a zone of hosts that another service owns
                continue
            found.append(create(zone))
            aggregate = {"hosts": [], "availability_zone": zone.name}
        elif aggregate["uuid"] != zone.aggregate:
            warnings.append(
                f"{file.at('zones', zone.name, 'aggregate', 'uuid')}: Nova's aggregate"
                f" {zone.aggregate_name} has the UUID {aggregate['uuid']}: write it into the file"
            )
        if aggregate["availability_zone"] != zone.name:
            found.append(
                join(["openstack", "aggregate", "set", "--zone", zone.name, zone.aggregate_name])
            )
        there = set(aggregate["hosts"])
        found += [
            host_command("remove", zone.aggregate_name, name) for name in sorted(there - members)
        ]
        found += [
            host_command("add", zone.aggregate_name, name) for name in sorted(members - there)
        ]
    # A host must leave one availability zone before it can join another.
    return warnings, sorted(found, key=lambda command: " add host " in command)


def read(cloud: Cloud) -> Nova | None:
    """Return what the Nova of a cloud has."""

    def found(nova: Any) -> Nova:
        hosts = {each["id"]: each["service"]["host"] for each in hypervisors(nova)}
        return Nova(nova.get("/os-aggregates").json()["aggregates"], hosts)

    return with_nova(cloud, found, None, Nova([], {}, is_hidden=True))


def titles(cloud: Cloud) -> dict[str, tuple[str, str | None]]:
    """Return the name and the availability zone of each aggregate that Nova has, by its UUID."""

    def found(nova: Any) -> dict[str, tuple[str, str | None]]:
        aggregates = nova.get("/os-aggregates").json()["aggregates"]
        return {each["uuid"]: (each["name"], each["availability_zone"]) for each in aggregates}

    return with_nova(cloud, found, {}, {})


def check_removals(difference: Difference) -> None:
    """Refuse to remove memberships that a hidden Nova may have."""
    changes = [change for change in difference.changes if isinstance(change, HostChange)]
    if found := [each.name for each in changes if each.remove_aggregates & each.host.aggregates]:
        hosts = textwrap.shorten(", ".join(found), 200, placeholder=" ...")
        raise StartError(
            f"Nova may still have these hosts in the aggregates that `apply` would remove: {hosts}."
            " Use a user who may list Nova's aggregates and hypervisors"
        )


def with_nova(cloud: Cloud, found: Callable[[Any], T], absent: T, hidden: T) -> T:
    """Return what is found in Nova, or a default without a Nova, or if it refuses this user.

    Any other failure ends the command: `apply` would remove memberships that Nova has.
    """
    nova = adapter(cloud, "compute", VERSION)
    try:
        return found(nova) if nova.get_endpoint() else absent
    except Forbidden as error:
        report(f"warning: Nova is not read: {error}")
        return hidden
    except ClientException as error:
        raise StartError(f"Nova cannot be read: {error}: try again when it answers") from error
    except (ValueError, KeyError) as error:
        raise StartError(
            f"Nova cannot be read: something else answers at {nova.get_endpoint()}: correct its"
            " endpoint in the catalog"
        ) from error


def hypervisors(nova: Any) -> Iterator[dict[str, Any]]:
    """Yield all compute nodes of Nova, page by page."""
    marker = ""
    while page := nova.get(f"/os-hypervisors/detail?limit=1000{marker}").json()["hypervisors"]:
        yield from page
        marker = f"&marker={page[-1]['id']}"


def create(zone: Zone) -> str:
    """Return the command that creates an aggregate with its availability zone."""
    return join(["openstack", "aggregate", "create", "--zone", zone.name, zone.aggregate_name])
