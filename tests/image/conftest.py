"""Containers of the image for the tests of this folder."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from tests.support.containers import (
    NEWEST,
    PORT,
    RELEASES,
    Environment,
    Server,
    flags,
    logs,
    serving,
)
from tests.support.waiting import LONGEST

DEFAULTS = {"OS_API__AUTH_STRATEGY": "noauth2", "PORT": str(PORT)}


@dataclass(frozen=True)
class Container:
    """A container that runs in the background."""

    engine: str
    name: str

    def wait_for(self, pattern: str) -> str:
        """Return the log once it contains a pattern."""

        def log() -> str:
            found = logs(self.engine, self.name)
            assert re.search(pattern, found), found
            return found

        return Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.05), reraise=True)(log)

    def python(self, script: str, *arguments: str) -> str:
        """Run a script with the image's Python, and return what it prints."""
        python = ("/opt/placement/bin/python3", "-I", "-c", script, *arguments)
        return subprocess.check_output([self.engine, "exec", self.name, *python], text=True)

    def wait_for_end(self) -> int:
        """Wait until the container ends by itself, and return the exit code."""
        return int(subprocess.check_output([self.engine, "wait", self.name], timeout=LONGEST))

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        command = [self.engine, "stop", "--time", "20", self.name]
        subprocess.run(command, capture_output=True, check=True)
        return exit_code(self.engine, self.name)


RunInBackground = Callable[..., Container]


def exit_code(engine: str, name: str) -> int:
    """Return the exit code of a container that has ended."""
    command = [engine, "inspect", "--format", "{{.State.ExitCode}}", name]
    return int(subprocess.check_output(command))


def certificates(text: str) -> set[str]:
    """Return the certificates of a PEM file."""
    return set(re.findall(r"-----BEGIN CERTIFICATE-----[^-]+", text))


@pytest.fixture(
    params=[
        name if name in (RELEASES[0], NEWEST) else pytest.param(name, marks=pytest.mark.only_all)
        for name in RELEASES
    ]
)
def any_image(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    """Return the image of the oldest and the newest release; with --all of every release."""
    return image(request.param)


@pytest.fixture
def background(engine: str, newest: str, container_name: Callable[[], str]) -> RunInBackground:
    """Start a container in the background, whatever becomes of it."""

    def background(env: Environment) -> Container:
        name = container_name()
        command = [engine, "run", "--detach", "--name", name, *flags({**DEFAULTS, **env}), newest]
        subprocess.run(command, capture_output=True, check=True)
        return Container(engine, name)

    return background


@pytest.fixture(scope="session")
def default_server(engine: str, newest: str) -> Iterator[Server]:
    """Return a server with default settings, for the tests that leave it as it is."""
    with serving(engine, newest) as server:
        yield server
