"""Nova owns the host of one zone, and someone else the host of the other."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stack.zones.conftest import Zones
from tests.stack.zones.test_zones import applied, changed
from tests.support.containers import Server, logs
from tests.support.nova import FOLDER

Host = Callable[[str], int]


@pytest.fixture
def compute(
    nova_python: Path, zones: Zones, server: Server
) -> Iterator[Callable[[str, str], Host]]:
    """Start compute hosts of Nova, which run commands and return the number of conflicts."""
    with ExitStack() as running:

        def compute(uuid: str, name: str) -> Host:
            arguments = [nova_python, FOLDER / "compute.py", server.client.base_url, uuid, name]
            process = running.enter_context(
                subprocess.Popen(
                    [str(argument) for argument in arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            running.callback(process.kill)
            stdin, stdout = process.stdin, process.stdout
            assert stdin
            assert stdout

            def send(line: str) -> int:
                print(line, file=stdin, flush=True)
                return int(stdout.readline())

            return send

        yield compute


def test_nova_and_the_file_leave_each_other_alone(
    zones: Zones, compute: Callable[[str, str], Host], server: Server, engine: str
) -> None:
    """Nova's refresh keeps what apply has added, and apply writes no inventory of Nova's."""
    host, name = str(uuid.uuid4()), zones.name("compute-kvm-1")
    nova = compute(host, name)
    assert nova("update 8") == 0
    other = zones.new_host("compute-containers-1")
    data = zones.two_zones()
    nfs = zones.name("nfs")
    data["pools"] = {nfs: {"zones": ["kvm"], "inventories": {"DISK_GB": {"total": 100}}}}
    before = len(logs(engine, server.name).splitlines())
    applied(zones, data)
    writes = logs(engine, server.name).splitlines()[before:]
    assert not [line for line in writes if f"{host}/inventories" in line]

    # The first refresh still has the old generation, and the next ones have the new one.
    assert [nova(f"update {total}") for total in (9, 10, 10)] == [1, 0, 0]
    kvm, containers = data["zones"]["kvm"], data["zones"]["containers"]
    assert zones.traits(host) == {"COMPUTE_NODE", *kvm["traits"]}
    assert zones.aggregates(host) == {kvm["aggregate"]["uuid"]}
    inventories = zones.get(f"/resource_providers/{host}/inventories")["inventories"]
    assert inventories["VCPU"]["total"] == 10
    empty: dict[str, list[str]] = {"create": [], "update": [], "delete": []}
    assert changed(zones, data) == empty

    # Someone moves the host in Nova. The plan shows it, and apply waits, until the file agrees.
    nova(f"remove {kvm['aggregate']['uuid']}")
    nova(f"add {containers['aggregate']['uuid']}")
    for action, status in (("plan", 2), ("apply", 0)):
        result = zones.run(action, data)
        assert result.status == status
        assert f"{name} is in the aggregate containers" in result.err
        assert zones.aggregates(host) == {containers["aggregate"]["uuid"]}
    kvm["hosts"], moved = [], [name, *containers["hosts"]]
    containers["hosts"] = moved
    applied(zones, data)
    assert zones.candidates(member_of=containers["aggregate"]["uuid"]) == {host, other}
    assert zones.traits(host) == {"COMPUTE_NODE", *containers["traits"]}

    # The aggregate is now Nova's: without the zone, only the file's own traits are removed.
    data["zones"], data["pools"] = {}, {}
    applied(zones, data)
    assert zones.traits(host) == {"COMPUTE_NODE"}
    assert zones.aggregates(host) == {containers["aggregate"]["uuid"]}
    assert nova("update 11") == 1
