"""plan, apply and export with a running Placement."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import os_resource_classes
import os_traits
import pytest
import yaml

from entrypoint.errors import StartError
from entrypoint.zones import command, difference, export, file, nova, records, state, write
from entrypoint.zones.api import ATTEMPTS, Placement
from tests.stack.zones.conftest import Data, Zones
from tests.support.containers import Server, logs


@pytest.fixture
def hosts(zones: Zones) -> dict[str, str]:
    """Return the UUIDs of the seed's hosts, three for each zone."""
    return {
        f"{zone}-{number}": zones.new_host(f"compute-{zone}-{number}")
        for zone in ("kvm", "containers")
        for number in (1, 2, 3)
    }


def changed(zones: Zones, data: Data) -> dict[str, list[str]]:
    """Return the names of what a plan creates, updates and deletes."""
    result = zones.run("plan", data, "--json")
    found: dict[str, list[str]] = {"create": [], "update": [], "delete": []}
    for change in json.loads(result.out)["changes"]:
        found[change["action"]].append(change["name"])
    return found


def applied(zones: Zones, data: Data) -> None:
    """Apply a file, after which a plan must have nothing to do."""
    result = zones.run("apply", data, "--yes")
    assert (result.status, result.err) == (0, "")
    again = zones.run("plan", data)
    assert (again.status, again.err) == (0, "")
    assert again.out == "No changes: Placement matches the file.\n"


# ---- The zones of the documentation ----


def test_each_zone_has_candidates_of_its_own(zones: Zones, hosts: dict[str, str]) -> None:
    """An aggregate or a trait selects the hosts of one zone, and so does a host's new zone."""
    data = zones.two_zones()
    plan = zones.run("plan", data)
    assert plan.status == 2
    assert "Plan: 2 to add, 6 to change, 0 to remove." in plan.out
    applied(zones, data)
    of_zone = {
        name: {uuid for host, uuid in hosts.items() if host.startswith(name)}
        for name in data["zones"]
    }
    for name, zone in data["zones"].items():
        assert zones.candidates(member_of=zone["aggregate"]["uuid"]) == of_zone[name]
        assert zones.candidates(required=zone["traits"][0]) == of_zone[name]

    moved = zones.name("compute-kvm-3")
    data["zones"]["kvm"]["hosts"] = [zones.name("compute-kvm-[12]")]
    data["zones"]["containers"]["hosts"].append(moved)
    assert changed(zones, data) == {"create": [], "update": [moved], "delete": []}
    applied(zones, data)
    aggregate = {"member_of": data["zones"]["containers"]["aggregate"]["uuid"]}
    assert zones.candidates(**aggregate) == of_zone["containers"] | {hosts["kvm-3"]}
    assert hosts["kvm-3"] not in zones.candidates(required=data["traits"][0])

    zones.allocate(hosts["kvm-3"], {"VCPU": 8})
    assert zones.candidates(**aggregate) == of_zone["containers"]


def test_plan_prints_what_differs_and_the_commands_for_nova(
    zones: Zones, hosts: dict[str, str]
) -> None:
    data = zones.two_zones()
    data["resource_classes"] = [zones.custom("SLOT")]
    data["zones"]["kvm"]["hosts"] = [zones.name("compute-kvm-1")]
    del data["zones"]["containers"]
    assert zones.run("plan", data).out.splitlines() == [
        f"+ trait {data['traits'][0]}",
        f"+ trait {data['traits'][1]}",
        f"+ resource class {zones.custom('SLOT')}",
        f"~ host {zones.name('compute-kvm-1')}",
        f"    + trait {data['traits'][0]}",
        f"    + aggregate kvm ({data['zones']['kvm']['aggregate']['uuid']})",
        "",
        "Plan: 3 to add, 1 to change, 0 to remove.",
        "",
        "In Nova, before `apply`:",
        "  openstack aggregate create --zone kvm kvm",
        f"  openstack aggregate add host kvm {zones.name('compute-kvm-1')}",
    ]
    assert not zones.traits(hosts["kvm-1"])


def test_export_describes_what_apply_has_written(zones: Zones, hosts: dict[str, str]) -> None:
    """The exported file changes nothing, and neither does it in a new repository."""
    data = zones.two_zones()
    data["pools"] = {
        zones.name("nfs"): {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 9}}}
    }
    applied(zones, data)
    result = zones.run("export")
    assert result.status == 0
    exported = yaml.safe_load(result.out)
    kvm = data["zones"]["kvm"]
    found = next(
        zone
        for zone in exported["zones"].values()
        if zone["aggregate"]["uuid"] == kvm["aggregate"]["uuid"]
    )
    assert found["traits"] == kvm["traits"]
    assert found["hosts"] == [zones.name(f"compute-kvm-{number}") for number in (1, 2, 3)]
    assert exported["pools"][zones.name("nfs")]["inventories"] == {"DISK_GB": {"total": 9}}
    assert changed(zones, exported) == {"create": [], "update": [], "delete": []}
    # A file with another owner does not own the pool.
    assert zones.name("nfs") not in changed(zones, {**zones.two_zones(), "owner": "another"})


def test_export_has_the_names_of_nova(
    zones: Zones, hosts: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A zone is an availability zone, unless its name is not valid or not unique."""
    data = zones.two_zones()
    applied(zones, data)
    kvm, containers = (zone["aggregate"]["uuid"] for zone in data["zones"].values())
    new = {uuid: f"zone-{uuid[:8]}" for uuid in (kvm, containers)}
    cases: list[tuple[export.Titles, tuple[str, str]]] = [
        ({kvm: ("GPU hosts", "az1"), containers: ("two", "az 2")}, ("az1", new[containers])),
        ({kvm: ("one", "az1"), containers: ("two", "az1")}, (new[kvm], new[containers])),
    ]
    for titles, names in cases:
        text = export.export(Placement(), titles, zones.id)
        found = file.load(zones.write(yaml.safe_load(text))).zones
        for name, uuid in zip(names, (kvm, containers), strict=True):
            assert (found[name].aggregate, found[name].aggregate_name) == (uuid, titles[uuid][0])
    assert "the aggregate two has no availability zone of its own" in capfd.readouterr().err


def test_export_keeps_the_zones_of_similar_uuids(
    zones: Zones, hosts: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Their first digits name a zone, unless another zone has that name."""
    data = zones.two_zones()
    start = zones.id[1:9]
    kvm, containers = (f"{start}-0000-4000-8000-00000000000{digit}" for digit in (1, 2))
    data["zones"]["kvm"]["aggregate"]["uuid"] = kvm
    data["zones"]["containers"]["aggregate"]["uuid"] = containers
    applied(zones, data)
    short = f"zone-{start}"
    cases: list[tuple[export.Titles, dict[str, str]]] = [
        ({}, {kvm: short, containers: f"zone-{containers}"}),
        ({containers: ("c", short)}, {kvm: f"zone-{kvm}", containers: short}),
    ]
    for titles, names in cases:
        text = export.export(Placement(), titles, zones.id)
        found = yaml.safe_load(text)["zones"].items()
        by_aggregate = {zone["aggregate"]["uuid"]: name for name, zone in found}
        assert by_aggregate.items() >= names.items()


def test_export_has_a_zone_for_each_aggregate_of_a_pool(
    zones: Zones, hosts: dict[str, str]
) -> None:
    """Also without hosts, or with hosts that are in the zone of a smaller aggregate."""
    data = zones.two_zones()
    kvm, containers = data["zones"].values()
    kvm["hosts"] = [zones.name("compute-kvm-1")]
    containers["hosts"] = []
    zones.put(hosts["kvm-2"], "aggregates", aggregates=[containers["aggregate"]["uuid"]])
    nfs, large = zones.name("nfs"), str(uuid4())
    data["zones"]["large"] = {"aggregate": {"name": "large", "uuid": large}, "hosts": []}
    pool = {"zones": list(data["zones"]), "inventories": {"DISK_GB": {"total": 9}}}
    data["pools"] = {nfs: pool}
    zones.run("apply", data)
    for host, aggregate in (("kvm-1", kvm), ("kvm-2", containers)):
        zones.put(hosts[host], "aggregates", aggregates=[aggregate["aggregate"]["uuid"], large])
    exported = yaml.safe_load(zones.run("export").out)
    zone_of = {zone["aggregate"]["uuid"]: name for name, zone in exported["zones"].items()}
    assert exported["zones"][zone_of[large]] == {
        "aggregate": {"name": f"zone-{large[:8]}", "uuid": large},
        "traits": [],
        "hosts": [],
    }
    assert len(exported["pools"][nfs]["zones"]) == 3
    assert changed(zones, exported) == {"create": [], "update": [], "delete": []}


def test_exported_file_is_valid(zones: Zones) -> None:
    """It lacks a pool whose creation was interrupted, and a trait with too long a name."""
    data = zones.two_zones()
    nfs, other = zones.name("nfs"), zones.new_host("interrupted")
    data["pools"] = {nfs: {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 9}}}}
    zones.run("apply", data)
    long = zones.custom("LONG").ljust(191, "_")
    zones.send("PUT", f"/traits/{long}")
    (pool,) = zones.get(f"/resource_providers?name={nfs}")["resource_providers"]
    traits = zones.get(f"/resource_providers/{pool['uuid']}/traits")["traits"]
    zones.put(pool["uuid"], "traits", traits=[*traits, long])
    zones.put(other, "traits", traits=[records.owned(zones.id)])
    result = zones.run("export")
    assert f"the pool {zones.name('interrupted')} is left out" in result.err
    assert f"the trait {long} is left out" in result.err
    loaded = file.load(zones.write(yaml.safe_load(result.out)))
    assert loaded.pools.keys() == {nfs}


# ---- Ownership ----


def test_only_what_apply_has_added_is_removed(zones: Zones, hosts: dict[str, str]) -> None:
    """A trait and an aggregate that were there before stay, and so do all inventories."""
    data = zones.two_zones()
    kvm = data["zones"]["kvm"]
    zones.send("PUT", f"/traits/{kvm['traits'][0]}")
    zones.put(hosts["kvm-1"], "traits", traits=[*kvm["traits"], "HW_CPU_X86_AVX2"])
    zones.put(hosts["kvm-1"], "aggregates", aggregates=[kvm["aggregate"]["uuid"]])
    applied(zones, data)
    before = zones.get(f"/resource_providers/{hosts['kvm-1']}/inventories")["inventories"]
    data["zones"] = {}
    assert len(changed(zones, data)["update"]) == 5
    applied(zones, data)
    assert zones.traits(hosts["kvm-1"]) == {*kvm["traits"], "HW_CPU_X86_AVX2"}
    assert zones.aggregates(hosts["kvm-1"]) == {kvm["aggregate"]["uuid"]}
    assert not zones.get(f"/resource_providers/{hosts['kvm-2']}/traits")["traits"]
    assert not zones.aggregates(hosts["kvm-2"])
    after = zones.get(f"/resource_providers/{hosts['kvm-1']}/inventories")["inventories"]
    assert after == before


def test_two_files_leave_each_other_alone(zones: Zones, hosts: dict[str, str]) -> None:
    """Each removes only what it has added, also where one owner's name begins the other's."""
    data = zones.two_zones()
    other = {**zones.two_zones(), "owner": f"{zones.id}-b", "traits": [zones.custom("OTHER")]}
    other["zones"]["kvm"]["traits"] = other["traits"]
    del other["zones"]["containers"]
    applied(zones, data)
    applied(zones, other)
    assert changed(zones, data) == {"create": [], "update": [], "delete": []}
    applied(zones, {"owner": zones.id})
    assert zones.traits(hosts["kvm-1"]) == {zones.custom("OTHER")}
    assert zones.aggregates(hosts["kvm-1"]) == {other["zones"]["kvm"]["aggregate"]["uuid"]}


def test_pool_of_another_file_is_no_host(zones: Zones, hosts: dict[str, str]) -> None:
    """A pattern that matches everything leaves it to its owner."""
    data, nfs = zones.two_zones(), zones.name("nfs")
    data["pools"] = {nfs: {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 1}}}}
    applied(zones, data)
    other = {**zones.two_zones(), "owner": f"{zones.id}-b"}
    other["zones"]["kvm"]["hosts"] = [zones.name("*")]
    del other["zones"]["containers"]
    assert len(changed(zones, other)["update"]) == len(hosts)
    applied(zones, other)
    assert changed(zones, data) == {"create": [], "update": [], "delete": []}
    exported = yaml.safe_load(zones.run("export", other).out)
    assert nfs not in [name for zone in exported["zones"].values() for name in zone["hosts"]]


def test_aggregate_that_nova_has_stays(zones: Zones, hosts: dict[str, str]) -> None:
    """Without a record from then on, it is Nova's alone."""
    data = zones.two_zones()
    applied(zones, data)
    kvm, host = data["zones"]["kvm"], hosts["kvm-1"]
    wanted = file.load(zones.write({"owner": zones.id}))
    placement = Placement()
    current = state.read(placement, wanted)
    aggregates = [{"uuid": kvm["aggregate"]["uuid"], "hosts": ["one"]}]
    nova.Nova(aggregates, {host: "one", hosts["kvm-2"]: "two"}).mark(current)
    found = difference.compare(placement, wanted, current)
    assert write.Writer(placement, wanted, current).write(found.changes) == []
    assert zones.aggregates(host) == {kvm["aggregate"]["uuid"]}
    assert not zones.get(f"/resource_providers/{host}/traits")["traits"]
    assert not zones.aggregates(hosts["kvm-2"])


def test_drift_is_planned_again(zones: Zones, hosts: dict[str, str]) -> None:
    data = zones.two_zones()
    applied(zones, data)
    zones.put(hosts["kvm-1"], "aggregates", aggregates=[])
    zones.put(hosts["kvm-2"], "traits", traits=[])
    plan = zones.run("plan", data)
    assert plan.status == 2
    assert f"    + aggregate kvm ({data['zones']['kvm']['aggregate']['uuid']})" in plan.out
    assert f"    + trait {data['traits'][0]}" in plan.out
    applied(zones, data)


@pytest.mark.parametrize("is_moved", [True, False])
def test_host_that_someone_else_has_in_another_zone_stays_there(
    zones: Zones, is_moved: bool
) -> None:
    """Nova may have moved it, or had it there before. It is never in two zones."""
    data, host = zones.two_zones(), zones.new_host("compute-kvm-1")
    data["zones"]["containers"]["hosts"] = []
    if is_moved:
        applied(zones, data)
    other = data["zones"]["containers"]["aggregate"]["uuid"]
    zones.put(host, "aggregates", aggregates=[other])
    result = zones.run("apply", data)
    assert result.status == 0
    assert f"{zones.name('compute-kvm-1')} is in the aggregate containers" in result.err
    assert zones.name("compute-kvm-1") not in result.out
    assert zones.aggregates(host) == {other}
    assert bool(zones.traits(host)) == is_moved
    zones.put(host, "aggregates", aggregates=[])
    applied(zones, data)
    assert zones.aggregates(host) == {data["zones"]["kvm"]["aggregate"]["uuid"]}


def test_host_with_allocations_stays_in_its_zone(zones: Zones, hosts: dict[str, str]) -> None:
    """Other hosts leave, and a zone's hosts lose a trait that the zone no longer has."""
    data = zones.two_zones()
    applied(zones, data)
    consumer = zones.allocate(hosts["kvm-1"], {"VCPU": 1})
    data["zones"]["kvm"]["hosts"] = []
    result = zones.run("apply", data, "--yes")
    assert result.status == 0
    assert f"{zones.name('compute-kvm-1')} stays in its zone, because it has" in result.err
    assert zones.aggregates(hosts["kvm-1"])
    assert not zones.aggregates(hosts["kvm-2"])
    zones.send("DELETE", consumer)
    applied(zones, data)
    assert not zones.aggregates(hosts["kvm-1"])
    zones.allocate(hosts["containers-1"], {"VCPU": 1})
    data["zones"]["containers"]["traits"] = []
    applied(zones, data)
    assert not zones.traits(hosts["containers-1"])


def test_trait_that_a_child_uses_keeps_the_host(zones: Zones, hosts: dict[str, str]) -> None:
    """Allocations of a child, such as a GPU, count for its host."""
    data = zones.two_zones()
    applied(zones, data)
    child = zones.new_host("gpu")
    body = {"name": zones.name("gpu"), "parent_provider_uuid": hosts["kvm-1"]}
    zones.send("PUT", f"/resource_providers/{child}", body)
    zones.allocate(child, {"VCPU": 1})
    data["zones"]["kvm"]["hosts"] = []
    assert "stays in its zone" in zones.run("apply", data, "--yes").err
    assert zones.aggregates(hosts["kvm-1"])


# ---- Pools ----


def test_pool_is_shared_with_the_hosts_of_its_zones(zones: Zones, hosts: dict[str, str]) -> None:
    data = zones.two_zones()
    nfs = zones.name("nfs")
    data["pools"] = {nfs: {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 100}}}}
    assert changed(zones, data)["create"] == [*data["traits"], nfs]
    applied(zones, data)
    (pool,) = zones.get(f"/resource_providers?name={nfs}")["resource_providers"]
    found = zones.candidates(resources="VCPU:1,DISK_GB:10", required=data["traits"][0])
    assert found == {pool["uuid"], *(hosts[f"kvm-{number}"] for number in (1, 2, 3))}

    # What is allocated stays.
    consumer = zones.allocate(pool["uuid"], {"DISK_GB": 60})
    inventories = f"/resource_providers/{pool['uuid']}/inventories"
    data["pools"][nfs]["inventories"] = {"DISK_GB": {"total": 50}, "VGPU": {"total": 1}}
    result = zones.run("apply", data, "--yes")
    assert "the inventory DISK_GB of the pool" in result.err
    found = zones.get(inventories)["inventories"]
    assert (found["DISK_GB"]["total"], found["VGPU"]["total"]) == (100, 1)
    del data["pools"]
    assert "stays, because it has allocations" in zones.run("apply", data, "--yes").err
    assert zones.get(inventories)["inventories"]["DISK_GB"]["total"] == 100

    zones.send("DELETE", consumer)
    assert changed(zones, data)["delete"] == [nfs]
    applied(zones, data)
    assert not zones.get(f"/resource_providers?name={nfs}")["resource_providers"]


@pytest.fixture
def nfs(zones: Zones) -> tuple[Data, Data, str]:
    """Apply a file with a pool; return the file, the entry of the pool, and its UUID."""
    data, name = zones.two_zones(), zones.name("nfs")
    for zone in data["zones"].values():
        zone["hosts"] = []
    entry: Data = {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 100}}}
    data["pools"] = {name: entry}
    applied(zones, data)
    (pool,) = zones.get(f"/resource_providers?name={name}")["resource_providers"]
    return data, entry, pool["uuid"]


def test_pool_with_allocations_stays_in_its_zones(
    zones: Zones, nfs: tuple[Data, Data, str]
) -> None:
    """Its consumers are on hosts there. It may join other zones."""
    data, entry, pool = nfs
    kvm, containers = (zone["aggregate"]["uuid"] for zone in data["zones"].values())
    consumer = zones.allocate(pool, {"DISK_GB": 5})
    entry["zones"] = ["containers"]
    result = zones.run("apply", data, "--yes")
    assert result.status == 0
    assert f"the pool {zones.name('nfs')} stays in its zones, because it has" in result.err
    assert zones.aggregates(pool) == {kvm, containers}
    zones.send("DELETE", consumer)
    applied(zones, data)
    assert zones.aggregates(pool) == {containers}


def test_pool_that_is_used_meanwhile_keeps_what_it_has(
    zones: Zones, nfs: tuple[Data, Data, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allocation that comes after the plan is a problem, not only a warning."""
    data, entry, pool = nfs
    original = Placement.get

    def get(self: Placement, path: str) -> Any:
        if path == f"/resource_providers/{pool}":
            zones.allocate(pool, {"DISK_GB": 60})
        return original(self, path)

    entry["inventories"]["DISK_GB"] = {"total": 50}
    with monkeypatch.context() as patch:
        patch.setattr(Placement, "get", get)
        result = zones.run("apply", data)
    message = f"the inventory DISK_GB of the pool {zones.name('nfs')} stays as it is, because 60"
    assert (result.status, message in result.err) == (1, True)
    again = zones.run("apply", data)
    assert (again.status, message in again.err) == (0, True)


def test_renamed_pool_is_still_the_same(zones: Zones, nfs: tuple[Data, Data, str]) -> None:
    data, _, pool = nfs
    new, old = zones.name("renamed"), zones.name("nfs")
    zones.send("PUT", f"/resource_providers/{pool}", {"name": new})
    assert changed(zones, data) == {"create": [], "update": [old], "delete": []}
    applied(zones, data)
    assert zones.get(f"/resource_providers/{pool}")["name"] == old


def test_pool_of_an_interrupted_apply_is_no_host(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its UUID shows its owner before its trait does, also when its file no longer has it."""
    data, nfs, original = zones.two_zones(), zones.name("nfs"), Placement.write
    zones.new_host("compute-kvm-1")
    data["zones"]["containers"]["hosts"] = []
    data["pools"] = {nfs: {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 1}}}}

    def write(self: Placement, method: str, path: str, *body: Any) -> Any:
        answer = original(self, method, path, *body)
        if method == "POST":
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Placement, "write", write)
        zones.run("apply", data)
    (pool,) = zones.get(f"/resource_providers?name={nfs}")["resource_providers"]
    assert not zones.get(f"/resource_providers/{pool['uuid']}/traits")["traits"]
    other = {**zones.two_zones(), "owner": f"{zones.id}-b"}
    other["zones"] = {"kvm": {**other["zones"]["kvm"], "hosts": [zones.name("*")]}}
    assert changed(zones, other)["update"] == [zones.name("compute-kvm-1")]
    del data["pools"]
    assert changed(zones, data)["delete"] == [nfs]
    applied(zones, data)


def test_provider_of_someone_else_is_no_pool(zones: Zones, hosts: dict[str, str]) -> None:
    name = zones.name("compute-kvm-1")
    data = zones.two_zones()
    data["pools"] = {name: {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 1}}}}
    result = zones.run("apply", data)
    assert result.status == 1
    assert f"the provider {name} ({hosts['kvm-1']}) exists already" in result.err
    assert not zones.aggregates(hosts["kvm-1"])


# ---- Questions, interruptions and conflicts ----


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_removal_needs_an_answer(
    zones: Zones, hosts: dict[str, str], monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    data = zones.two_zones()
    assert zones.run("apply", data).status == 0
    data["zones"]["kvm"]["hosts"] = []
    new = zones.new_host("compute-containers-4")
    monkeypatch.setattr(sys.stdin, "readline", lambda: answer)
    result = zones.run("apply", data, "--json")
    assert result.status == status
    # The question does not break the JSON.
    assert len(json.loads(result.out)["changes"]) == 4
    assert "3 of these changes remove something. Continue? [y/N] " in result.err
    assert bool(zones.aggregates(hosts["kvm-1"])) == (status == 1)
    # Without anyone to ask, everything else is written.
    assert result.err.count("pass --yes") == (3 if answer == "" else 0)
    assert bool(zones.aggregates(new)) == (answer != "n\n")


def test_what_has_disappeared_is_no_removal(zones: Zones, hosts: dict[str, str]) -> None:
    """Only its record is removed, without a question."""
    data = zones.two_zones()
    applied(zones, data)
    path = f"/resource_providers/{hosts['kvm-1']}/traits"
    recorded = [name for name in zones.get(path)["traits"] if name.startswith("CUSTOM_ADDED_")]
    zones.put(hosts["kvm-1"], "traits", traits=recorded)
    zones.put(hosts["kvm-1"], "aggregates", aggregates=[])
    data["zones"]["kvm"]["hosts"] = [zones.name("compute-kvm-[23]")]
    plan = zones.run("plan", data)
    assert f"    ~ trait {data['traits'][0]} is no longer recorded" in plan.out
    assert zones.run("apply", data).status == 0
    assert not zones.get(path)["traits"]


def test_interrupted_apply_is_completed_by_the_next(
    zones: Zones, hosts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each single write, the next apply completes the file, and knows what is its own."""
    monkeypatch.setattr(write, "at_once", lambda call, items: [call(item) for item in items])
    original = Placement.write
    data = zones.two_zones()
    data["zones"]["kvm"]["hosts"] = [zones.name("compute-kvm-1")]
    data["zones"]["containers"]["hosts"] = [zones.name("compute-containers-1")]
    inventories = {"DISK_GB": {"total": 1}}
    data["pools"] = {zones.name("nfs"): {"zones": ["kvm"], "inventories": inventories}}
    both: Data = {**data, "zones": {name: {**zone} for name, zone in data["zones"].items()}}
    both["zones"]["kvm"]["hosts"], both["zones"]["containers"]["hosts"] = (
        both["zones"]["containers"]["hosts"],
        both["zones"]["kvm"]["hosts"],
    )
    empty: Data = {"owner": zones.id}

    def interrupted(wanted: Data, after: int) -> bool:
        """Apply a file until a number of writes is done; return whether it was interrupted."""
        left = after

        def count(self: Placement, *arguments: Any) -> Any:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return original(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Placement, "write", count)
            try:
                zones.run("apply", wanted, "--yes")
            except KeyboardInterrupt:
                return True
        return False

    for start, wanted in ((empty, data), (data, both), (both, empty)):
        after = 0
        while interrupted(wanted, after):
            applied(zones, wanted)
            zones.run("apply", start, "--yes")
            after += 1
        assert after > 3
    assert not zones.get(f"/resource_providers/{hosts['kvm-1']}/traits")["traits"]
    assert not zones.aggregates(hosts["kvm-1"])


@pytest.mark.parametrize(
    ("zone", "writes_before", "is_interrupted"),
    [("containers", 1, False), ("containers", 2, True), (None, 1, True)],
)
def test_host_that_is_used_during_its_move_is_in_one_zone(
    zones: Zones,
    hosts: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    zone: str | None,
    writes_before: int,
    is_interrupted: bool,
) -> None:
    """Between two writes, an allocation comes, and apply goes on or is interrupted and repeated."""
    host, original = hosts["kvm-1"], Placement.write
    data = zones.two_zones()
    data["zones"]["kvm"]["hosts"] = [zones.name("compute-kvm-1")]
    moved: Data = {**data, "zones": {name: {**each} for name, each in data["zones"].items()}}
    moved["zones"]["kvm"]["hosts"] = []
    if zone:
        moved["zones"][zone]["hosts"] = [zones.name("compute-kvm-1")]
    sides = [
        (set(each["traits"]), {each["aggregate"]["uuid"]})
        for name, each in data["zones"].items()
        if name in ("kvm", zone)
    ]
    zones.run("apply", data)
    consumers: list[str] = []
    writes = 0

    def write(self: Placement, method: str, path: str, *body: Any) -> Any:
        nonlocal writes
        answer = original(self, method, path, *body)
        if host not in path:
            return answer
        writes += 1
        if writes == writes_before:
            consumers.append(zones.allocate(host, {"VCPU": 1}))
            if is_interrupted:
                raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Placement, "write", write)
        zones.run("apply", moved, "--yes")
    zones.run("apply", moved, "--yes")
    assert (zones.traits(host), zones.aggregates(host)) in [*sides, (set(), set())]
    zones.send("DELETE", consumers[0])
    applied(zones, moved)
    assert (zones.traits(host), zones.aggregates(host)) == (sides[1] if zone else (set(), set()))


def test_failed_write_is_reported_with_the_host(
    zones: Zones, hosts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the host is deleted when apply has just read it. Everything else is written."""
    data, original, host = zones.two_zones(), Placement.write, hosts["kvm-1"]

    def write(self: Placement, method: str, path: str, *body: Any) -> Any:
        if path == f"/resource_providers/{host}/traits":
            zones.send("DELETE", f"/resource_providers/{host}")
        return original(self, method, path, *body)

    monkeypatch.setattr(Placement, "write", write)
    result = zones.run("apply", data)
    assert result.status == 1
    assert (
        f"{zones.name('compute-kvm-1')}: PUT /resource_providers/{host}/traits: 404" in result.err
    )
    applied(zones, data)


@pytest.mark.parametrize("changes", [ATTEMPTS - 1, ATTEMPTS])
def test_other_clients_may_change_a_host_meanwhile(
    zones: Zones, hosts: dict[str, str], monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """A conflict makes apply read the host again, a few times. It always writes the other hosts."""
    data = zones.two_zones()
    original = Placement.get
    path = f"/resource_providers/{hosts['kvm-1']}/traits"
    left = changes
    lock = threading.Lock()

    def get(self: Placement, asked: str) -> Any:
        nonlocal left
        answer = original(self, asked)
        with lock:
            if asked == path and left:
                left -= 1
                total = {"VCPU": {"total": 8 + left}}
                zones.put(hosts["kvm-1"], "inventories", inventories=total)
        return answer

    monkeypatch.setattr(Placement, "get", get)
    result = zones.run("apply", data)
    is_done = changes < ATTEMPTS
    assert result.status == (0 if is_done else 1)
    assert (f"{ATTEMPTS} attempts failed: PUT {path}: 409 " in result.err) == (not is_done)
    assert bool(zones.aggregates(hosts["kvm-1"])) == is_done
    assert zones.aggregates(hosts["containers-3"])
    applied(zones, data)


def test_names_are_created_before_anything_has_them(
    zones: Zones, server: Server, engine: str, hosts: dict[str, str]
) -> None:
    """A flavor that names a missing trait fails each boot. The log has the order of requests."""
    data, slot = zones.two_zones(), zones.custom("SLOT")
    data["resource_classes"] = [slot]
    data["traits"].append(zones.custom("ONLY_IN_FLAVORS"))
    data["pools"] = {zones.name("nfs"): {"zones": ["kvm"], "inventories": {slot: {"total": 1}}}}
    before = logs(engine, server.name).splitlines()
    applied(zones, data)
    lines = logs(engine, server.name).splitlines()[len(before) :]
    paths = [found[1] for line in lines if (found := re.search(r'"(?:PUT|POST) ([^" ]+)', line))]
    names = [path for path in paths if path.startswith(("/traits/", "/resource_classes/"))]
    assert {f"/traits/{name}" for name in data["traits"]} < set(names)
    assert f"/resource_classes/{slot}" in names
    assert paths[: len(names)] == names


def test_second_apply_writes_nothing(
    zones: Zones, server: Server, engine: str, hosts: dict[str, str]
) -> None:
    """Counted in the log of the service. Of a host, no request ever changes an inventory."""
    data = zones.two_zones()
    applied(zones, data)
    before = logs(engine, server.name).splitlines()
    assert zones.run("apply", data).status == 0
    after = logs(engine, server.name).splitlines()[len(before) :]
    assert any('"GET /resource_providers' in line for line in after)
    assert not [line for line in after if any(f'"{m} ' in line for m in ("PUT", "POST", "DELETE"))]


# ---- Mistakes that only Placement shows ----


@pytest.fixture
def everything(zones: Zones, hosts: dict[str, str]) -> Callable[[], Any]:
    """Return a function that reads all that apply could have written."""

    def read() -> Any:
        return [
            zones.get(path)
            for host in hosts.values()
            for path in (
                f"/resource_providers/{host}/traits",
                f"/resource_providers/{host}/aggregates",
            )
        ]

    return read


def test_host_that_does_not_exist_is_a_warning_with_the_nearest_name(
    zones: Zones, hosts: dict[str, str]
) -> None:
    data = zones.two_zones()
    applied(zones, data)
    data["zones"]["kvm"]["hosts"] = [
        zones.name(f"compute-{name}") for name in ("kvm-[23]", "kwm-1")
    ]
    result = zones.run("plan", data)
    assert result.status == 2
    assert "zones.yaml:14: Placement has no host" in result.err
    assert f"did you mean {zones.name('compute-kvm-1')}?" in result.err


def test_many_missing_hosts_have_few_hints(zones: Zones) -> None:
    """Each hint takes a comparison with all hosts. One that is already in a zone is no hint."""
    data, number = zones.two_zones(), 300
    there, missing, other = (
        [f"{zone}-{index:04}" for index in range(number)] for zone in ("kvm", "kwm", "kvvm")
    )
    del data["zones"]["containers"]
    data["zones"]["kvm"]["hosts"] = [*there, *missing]
    wanted = file.load(zones.write(data))

    def warnings(*names: str) -> list[str]:
        """Return the warnings of a Placement with hosts of these names."""
        hosts = {name: state.Host(name, name) for name in names}
        found: list[str] = []
        current = state.State(set(), set(), hosts, {}, {}, {})
        difference.zones_of_hosts(wanted, current, found)
        return found

    assert [text for text in warnings(*there) if text.endswith(" has no host kwm-0007")]
    assert not [text for text in warnings(*there) if "did you mean" in text]
    found = warnings(*there, *other)
    assert len(found) == number
    assert found[7].endswith(" has no host kwm-0007: did you mean kvvm-0007?")
    assert len([text for text in found if "did you mean" in text]) == difference.HINTS


def test_host_of_two_zones_is_refused(zones: Zones, everything: Callable[[], Any]) -> None:
    data = zones.two_zones()
    data["zones"]["containers"]["hosts"].append(zones.name("compute-kvm-?"))
    before = everything()
    result = zones.run("apply", data)
    assert result.status == 1
    assert "is also in the zone kvm (zones.yaml:" in result.err
    assert everything() == before


@pytest.mark.parametrize(
    ("line", "trait", "resource_class"),
    [
        (28, "HW_NEW", ""),
        (31, "", "NEW_GB"),
        # Placement has this name, but as a name of the other kind.
        (28, "DISK_GB", ""),
        (31, "", "HW_CPU_X86_AVX2"),
    ],
)
def test_name_that_placement_is_too_old_for_is_refused(
    zones: Zones, monkeypatch: pytest.MonkeyPatch, line: int, trait: str, resource_class: str
) -> None:
    """The libraries here are newer than the ones of that Placement."""
    name = trait or resource_class
    monkeypatch.setattr(os_traits, name, name, raising=False)
    monkeypatch.setattr(os_resource_classes, "STANDARDS", ["DISK_GB", name])
    data = zones.two_zones()
    data["pools"] = {
        "nfs": {
            "zones": ["kvm"],
            "traits": ["HW_CPU_X86_AVX", *filter(None, [trait])],
            "inventories": {each: {"total": 1} for each in ("DISK_GB", resource_class) if each},
        }
    }
    result = zones.run("apply", data)
    assert result.status == 1
    assert f"zones.yaml:{line}: this Placement is too old for {name}: remove it" in result.err
    assert data["traits"][0] not in zones.get("/traits")["traits"]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OS_ENDPOINT", "http://127.0.0.1:9", "GET /resource_providers"),
        ("OS_ENDPOINT", "placement", "placement is not a URL: write it as http://HOST:PORT"),
        ("OS_TOKEN", "nobody", "GET /resource_providers: 403"),
        ("OS_CACERT", "/no/such/file", "OS_CACERT=/no/such/file cannot be read: mount the file"),
    ],
)
def test_placement_that_refuses_or_does_not_answer_is_one_line(
    zones: Zones, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = zones.run("plan", zones.two_zones())
    assert result.status == 1
    assert message in result.err
    assert "\n" not in result.err


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    """Serve a page where Placement has its providers, and return the URL of the server."""
    (tmp_path / "resource_providers").write_text("<html>Log in</html>", encoding="utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["", "/page"])
def test_url_of_something_else_is_one_line(
    zones: Zones, monkeypatch: pytest.MonkeyPatch, web_server: str, path: str
) -> None:
    """Its answers are a page, or that nothing is there."""
    url = web_server + path
    monkeypatch.setenv("OS_ENDPOINT", url)
    result = zones.run("plan", zones.two_zones())
    assert result.status == 1
    assert result.err.splitlines()[-1] == f"no Placement answers at {url}: correct the URL"


@pytest.mark.parametrize("action", ["plan", "export"])
def test_keystone_that_does_not_answer_is_one_line(
    zones: Zones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    clouds = tmp_path / "clouds.yaml"
    auth = {"auth_url": "http://127.0.0.1:9/v3", "username": "a", "password": "b"}
    clouds.write_text(yaml.safe_dump({"clouds": {"one": {"auth": auth}}}), encoding="utf-8")
    monkeypatch.delenv("OS_ENDPOINT")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    result = zones.run(action, zones.two_zones())
    assert result.status == 1
    assert "GET /" in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: action"),
        (("plna",), "invalid choice: 'plna'"),
        (("plan", "--yes"), "unrecognized arguments: --yes"),
        (("plan", "one", "two"), "unrecognized arguments: two"),
    ],
)
def test_wrong_arguments_have_the_exit_status_of_an_error(
    arguments: tuple[str, ...], message: str
) -> None:
    """The parser itself would exit with 2, which means changes."""
    with pytest.raises(StartError, match=message) as error:
        command.parse_args(arguments)
    assert error.value.exit_code == 1
