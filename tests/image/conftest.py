"""Containers of the image, and what they need, as the tests of this tier get them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.support.containers import RELEASES


@pytest.fixture(params=RELEASES)
def any_image(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    """Return the image of every release in turn."""
    return image(request.param)


@pytest.fixture
def silent_server(engine: str, newest: str, container_name: Callable[[], str]) -> str:
    """Return a container with a server on port 5432 that takes connections and says nothing."""
    name = container_name()
    listen = "import socket, time; s = socket.create_server(('', 5432)); time.sleep(300)"
    command = [engine, "run", "--detach", "--name", name, "--entrypoint=/opt/placement/bin/python3"]
    subprocess.run([*command, newest, "-c", listen], capture_output=True, check=True)
    return name
