"""A running Placement and the gabbits of the rendered repository."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import PYTHON, serving
from tests.support.template import Render


@pytest.fixture(scope="session")
def placement_url(engine: str, newest: str) -> Iterator[str]:
    """Start the newest release with SQLite and noauth2, and return its URL."""
    with serving(engine, newest) as server:
        yield str(server.client.base_url).rstrip("/")


@pytest.fixture(scope="session")
def routes(engine: str, newest: str) -> set[tuple[str, str]]:
    """Return each method of each route of the newest release."""
    code = (
        "from placement.handler import ROUTE_DECLARATIONS as routes\n"
        "for path, methods in routes.items():\n"
        "    for method in methods: print(method, path)\n"
    )
    python = [PYTHON, newest, "-c", code]
    lines = subprocess.check_output([engine, "run", "--rm", *python], text=True).splitlines()
    return {(method, path) for method, path in (line.split(" ", 1) for line in lines)}


@pytest.fixture(scope="session")
def repository(render: Render) -> Path:
    """Return the default variant's rendered repository."""
    return render({})


@pytest.fixture(scope="session")
def gabbits(repository: Path) -> list[Path]:
    """Return the gabbi files of the rendered repository."""
    return sorted((repository / "gabbits").glob("*.yaml"))
