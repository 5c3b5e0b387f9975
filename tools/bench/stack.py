"""What a benchmark runs on: the container engine, the image and the databases."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.containers import succeed
from tests.support.servers import TARGETS, DatabaseServer, database_server
from tools.rendering import ROOT, render

# The variant whose stack has the server of each kind.
VARIANTS = {"postgresql": "keystone-password", "mysql": "mysql-autoscale-ingress"}
IMAGE = "localhost/placement-bench"


def find_engine() -> str:
    """Return the container engine: ENGINE, or the one that a rendered repository uses."""
    found = subprocess.check_output([ROOT / "template/dev/stack/engine"], text=True).strip()
    return os.environ.get("ENGINE") or found


def build(engine: str, folder: Path, *selections: str) -> list[str]:
    """Build an image with each selection of patches: "all", "fixes" or "none"."""
    repository = render("default", folder)
    images = []
    for patches in selections:
        images.append(f"{IMAGE}:{patches}")
        options = (f"ENGINE={engine}", f"IMAGE={images[-1]}", f"PATCHES={patches}")
        succeed("make", "-C", repository, "build", *options)
    return images


@contextmanager
def databases(
    engine: str, folder: Path, kinds: Collection[str]
) -> Iterator[dict[str, DatabaseServer]]:
    """Start a server of each kind."""
    with ExitStack() as running:
        servers = {}
        for kind in kinds:
            context = render(VARIANTS[kind], folder) / "dev/stack/servers" / TARGETS[kind]
            succeed(engine, "build", "--tag", f"{IMAGE}:{kind}", context)
            server = database_server(engine, f"{IMAGE}:{kind}", kind)
            servers[kind] = running.enter_context(server)
        yield servers
