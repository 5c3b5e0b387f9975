"""A real registry in a container, and cosign, which signs what is in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.containers import logs, new_name, remove, succeed
from tests.support.servers import PASSWORD, SupportImage
from tests.support.sharing import Once
from tests.support.waiting import wait_until

USER = "placement"
MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """A registry, its address, and the files that it stores."""

    engine: str
    name: str
    host: str

    def manifest(self, repository: str, reference: str) -> httpx.Response:
        """Return a manifest; its digest is in a header."""
        url = f"http://{self.host}/v2/{repository}/manifests/{reference}"
        return httpx.get(url, auth=(USER, PASSWORD), headers={"accept": MANIFESTS})

    def files(self) -> str:
        """List all stored files with their times."""
        command = ["find", "/storage", "-type", "f", "-printf", "%p %T@\\n"]
        listed = subprocess.check_output([self.engine, "exec", self.name, *command], text=True)
        return "\n".join(sorted(listed.splitlines()))

    def change_byte(self, digest: str, folder: Path) -> None:
        """Change one byte of a stored object, or change it back."""
        kind, content = digest.split(":")
        stored = (
            f"{self.name}:/storage/docker/registry/v2/blobs/{kind}/{content[:2]}/{content}/data"
        )
        succeed(self.engine, "cp", stored, folder / "data")
        data = bytearray((folder / "data").read_bytes())
        data[len(data) // 2] ^= 1
        (folder / "data").write_bytes(data)
        succeed(self.engine, "cp", folder / "data", stored)


@pytest.fixture(scope="module")
def registry(engine: str, support_image: SupportImage) -> Iterator[Registry]:
    """Start a registry for the tests of a module."""
    image, name = support_image("registry"), new_name()
    try:
        succeed(engine, "run", "--detach", "--name", name, "--publish=127.0.0.1::5000", image)
        host = subprocess.check_output([engine, "port", name, "5000"], text=True).strip()

        def answers() -> bool:
            with suppress(httpx.TransportError):
                return httpx.get(f"http://{host}/v2/").status_code == 401
            return False

        wait_until(answers, lambda: logs(engine, name))
        yield Registry(engine, name, host)
    finally:
        remove(engine, name)


def credentials(folder: Path) -> dict[str, str]:
    """Return an environment in which all tools keep their passwords in a folder."""
    file = folder / "config.json"
    file.write_text("{}", encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(file)}


@pytest.fixture(scope="session")
def with_cosign(
    engine: str, support_image: SupportImage, once: Once, shared_folder: Path
) -> dict[str, str]:
    """Return an environment with cosign from the registry's image, and a key without a password."""
    tools = shared_folder / "cosign"

    def copy() -> None:
        tools.mkdir()
        name = new_name()
        succeed(engine, "create", "--name", name, support_image("registry"))
        succeed(engine, "cp", f"{name}:/usr/bin/cosign", tools / "cosign")
        remove(engine, name)

    once("cosign", copy)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "COSIGN_PASSWORD": ""}
