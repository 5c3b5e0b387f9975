"""A network in which a container keeps its address, also after a restart."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.containers import new_name


@dataclass(frozen=True)
class Place:
    """The fixed address of a container in a network."""

    address: str
    mac: str

    @property
    def options(self) -> tuple[str, ...]:
        """The engine's options that give a container this address."""
        return (f"--ip6={self.address}", f"--mac-address={self.mac}")


class Network:
    """A network in which containers reach each other by name, by IPv4 and by IPv6."""

    def __init__(self, engine: str) -> None:
        """Choose a name and a subnet that no other network has."""
        self.engine = engine
        self.name = new_name()
        random = secrets.token_hex(5)
        self.prefix = f"fd{random[:2]}:{random[2:6]}:{random[6:]}"
        self.options = (f"--network={self.name}",)

    def command(self, *arguments: str) -> None:
        """Run one of the engine's commands for networks."""
        subprocess.run([self.engine, "network", *arguments], capture_output=True, check=True)

    def create(self) -> None:
        """Create the network."""
        self.command("create", "--ipv6", f"--subnet={self.prefix}::/64", self.name)

    def place(self, host: int) -> Place:
        """Return the place with this number."""
        return Place(f"{self.prefix}::{host:x}", f"02:00:00:00:00:{host:02x}")


@pytest.fixture(scope="session")
def network(engine: str) -> Iterator[Network]:
    """Create a network for the tests of this worker."""
    network = Network(engine)
    network.create()
    yield network
    network.command("rm", "--force", network.name)
