"""Containers of the image, and what they need, as the tests of this tier get them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.containers import (
    RELEASES,
    Environment,
    Output,
    Server,
    flags,
    new_name,
    remove,
    serving,
)


@pytest.fixture(params=RELEASES)
def any_image(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    """Return the image of every release in turn."""
    return image(request.param)


@pytest.fixture
def container_name(engine: str) -> Iterator[Callable[[], str]]:
    """Give out names of containers, all of which are gone after the test."""
    names: list[str] = []

    def name() -> str:
        names.append(new_name())
        return names[-1]

    yield name
    for given in reversed(names):  # the later ones may live in the network of the earlier
        remove(engine, given)


@pytest.fixture
def run(engine: str, container_name: Callable[[], str]) -> Callable[..., Output]:
    """Run a command of the image to its end."""

    def run(
        image: str,
        *arguments: str,
        env: Environment | None = None,
        options: tuple[str, ...] = (),
        timeout: float = 60,
    ) -> Output:
        return subprocess.run(
            [engine, "run", "--name", container_name(), *flags(env), *options, image, *arguments],
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def start(engine: str) -> Iterator[Callable[..., Server]]:
    """Start a container in the background and return it when it answers."""
    with ExitStack() as running:

        def start(
            image: str, env: Environment | None = None, options: tuple[str, ...] = (), **more: int
        ) -> Server:
            return running.enter_context(serving(engine, image, env, options, **more))

        yield start


@pytest.fixture
def silent_server(engine: str, newest: str, container_name: Callable[[], str]) -> str:
    """Return a container with a server on port 5432 that takes connections and says nothing."""
    name = container_name()
    listen = "import socket, time; s = socket.create_server(('', 5432)); time.sleep(300)"
    command = [engine, "run", "--detach", "--name", name, "--entrypoint=/opt/placement/bin/python3"]
    subprocess.run([*command, newest, "-c", listen], capture_output=True, check=True)
    return name
