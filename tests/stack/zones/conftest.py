"""A running Placement, hosts in it, and the command `zones`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from entrypoint.errors import StartError
from entrypoint.zones import command
from tests.support.containers import Server, serving
from tests.support.providers import HEADERS

Data = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The exit status of a command, and what it has printed."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Zones:
    """A Placement that other tests use as well, and names that only one test uses."""

    client: httpx.Client
    run: Callable[..., Result]
    id: str
    path: Path = Path("zones.yaml")

    def write(self, data: Data) -> str:
        """Write the file, and return its path."""
        self.path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return str(self.path)

    def name(self, name: str) -> str:
        """Return a name of this test."""
        return f"{name}-{self.id}"

    def custom(self, name: str) -> str:
        """Return a custom trait or resource class of this test."""
        return f"CUSTOM_{name}_{self.id.upper()}"

    def new_host(self, name: str) -> str:
        """Create a provider with eight processors, as Nova does, and return its UUID."""
        host = str(uuid.uuid4())
        self.send("POST", "/resource_providers", {"name": self.name(name), "uuid": host})
        self.put(host, "inventories", inventories={"VCPU": {"total": 8}})
        return host

    def put(self, host: str, what: str, **body: Any) -> None:
        """Replace something of a provider."""
        path = f"/resource_providers/{host}"
        generation = self.get(path)["generation"]
        self.send("PUT", f"{path}/{what}", {"resource_provider_generation": generation, **body})

    def get(self, path: str) -> Any:
        """Return what Placement answers."""
        return self.client.get(path, headers=HEADERS).raise_for_status().json()

    def send(self, method: str, path: str, body: Data | None = None) -> None:
        """Send a request that must succeed."""
        response = self.client.request(method, path, json=body, headers=HEADERS)
        assert response.is_success, response.text

    def allocate(self, provider: str, resources: dict[str, int]) -> str:
        """Let a new consumer use resources, and return its path."""
        body = {
            "allocations": {provider: {"resources": resources}},
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
            "project_id": "zones",
            "user_id": "zones",
        }
        path = f"/allocations/{uuid.uuid4()}"
        self.send("PUT", path, body)
        return path

    def traits(self, provider: str) -> set[str]:
        """Return the traits of a provider, without records."""
        found = self.get(f"/resource_providers/{provider}/traits")["traits"]
        return {name for name in found if not name.startswith(("CUSTOM_ADDED_", "CUSTOM_OWNED_"))}

    def aggregates(self, provider: str) -> set[str]:
        """Return the aggregates of a provider."""
        return set(self.get(f"/resource_providers/{provider}/aggregates")["aggregates"])

    def candidates(self, **query: str) -> set[str]:
        """Return the providers of the allocation candidates for one processor."""
        params = {"resources": "VCPU:1", **query}
        answer = self.client.get("/allocation_candidates", params=params, headers=HEADERS)
        requests = answer.raise_for_status().json()["allocation_requests"]
        return {provider for request in requests for provider in request["allocations"]}

    def two_zones(self) -> Data:
        """Return the file with the two zones of the documentation."""
        traits = {zone: self.custom(f"ZONE_{zone.upper()}") for zone in ("kvm", "containers")}
        return {
            "owner": self.id,
            "traits": [*traits.values()],
            "zones": {
                zone: {
                    "aggregate": {"name": zone, "uuid": str(uuid.uuid4())},
                    "traits": [trait],
                    "hosts": [self.name(f"compute-{zone}-*")],
                }
                for zone, trait in traits.items()
            },
        }


@pytest.fixture(scope="session")
def server(engine: str, newest: str) -> Iterator[Server]:
    """Start a Placement for all tests of this folder."""
    with serving(engine, newest) as server:
        yield server


@pytest.fixture
def zones(
    server: Server,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Zones:
    """Return the command for the running Placement, with new names."""
    monkeypatch.setenv("OS_ENDPOINT", str(server.client.base_url))
    monkeypatch.setenv("OS_TOKEN", "admin")
    path = tmp_path / "zones.yaml"
    # As in the container, whose arguments do not name the file.
    monkeypatch.setattr(command, "DEFAULT_FILE", str(path))

    def run(action: str, data: Data | None = None, *options: str) -> Result:
        """Run the command in this process."""
        if data is not None:
            found.write(data)
        status, message = 0, ""
        capfd.readouterr()
        try:
            command.run(command.parse_args((action, *options)))
        except StartError as error:
            status, message = error.exit_code, str(error)
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capfd.readouterr()
        return Result(status, out, err + message)

    found = Zones(server.client, run, f"z{uuid.uuid4().hex[:10]}", path)
    return found
