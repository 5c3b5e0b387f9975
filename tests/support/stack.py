"""A rendered repository with all that it runs on one host, driven by its own `make`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from extensions.deployment import Deployment
from tests.support.containers import PYTHON, Output, new_name, remove, succeed
from tests.support.servers import DevImage
from tests.support.template import Answers, Render

# Seconds that a target of a repository may take.
LONGEST = 300


@dataclass(frozen=True)
class Stack:
    """One rendered repository of its own name and ports."""

    repository: Path
    engine: str
    image: str
    port: int = field(default_factory=lambda: free_port())
    keystone_port: int = field(default_factory=lambda: free_port())

    @property
    def url(self) -> str:
        """Where Placement answers."""
        return f"http://127.0.0.1:{self.port}"

    def try_make(self, *words: str, answer: str = "") -> Output:
        """Run make there, whatever comes of it."""
        command = ["make", *words, f"PORT={self.port}", f"KEYSTONE_PORT={self.keystone_port}"]
        return subprocess.run(
            [*command, f"ENGINE={self.engine}", f"IMAGE={self.image}"],
            cwd=self.repository,
            input=answer,
            text=True,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )

    def make(self, *words: str, answer: str = "") -> str:
        """Run make there and return what it prints; it has to succeed."""
        done = self.try_make(*words, answer=answer)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    def compose(self, *words: str) -> str:
        """Run compose there, as the Makefile does."""
        ports = {"PORT": str(self.port), "KEYSTONE_PORT": str(self.keystone_port)}
        podman_compose = ["dev/stack/.venv/bin/podman-compose", "--podman-path", self.engine]
        command = ["docker", "compose"] if self.engine == "docker" else podman_compose
        return subprocess.run(
            [*command, *words],
            cwd=self.repository,
            env={**os.environ, **ports, "IMAGE": self.image},
            text=True,
            capture_output=True,
            check=True,
        ).stdout

    def client(self, token: str) -> httpx.Client:
        """Return a client of Placement."""
        headers = {"x-auth-token": token, "openstack-api-version": "placement latest"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


NewStack = Callable[[Answers], AbstractContextManager[Stack]]


@pytest.fixture(scope="session")
def names_are_served(engine: str, newest: str) -> Iterator[None]:
    """Keep a container in a network of its own while this worker runs.

    Podman's name server ends with the last container that it serves; one of another worker that
    starts just then would find no other by its name (seen once in 72 starts).
    """
    name = new_name()
    command = [engine, "run", "--detach", "--stop-timeout=0", "--name", name, "--network", name]
    command += [PYTHON, newest, "-c", "import time; time.sleep(9999)"]
    succeed(engine, "network", "create", name)
    try:
        succeed(*command)
        yield
    finally:
        remove(engine, name)
        succeed(engine, "network", "rm", name)


@pytest.fixture(scope="session")
def new_stack(
    engine: str,
    render: Render,
    names_are_served: None,
    image: Callable[[str], str],
    dev_image: DevImage,
    tmp_path_factory: pytest.TempPathFactory,
) -> NewStack:
    """Render a repository whose images are built, and take away all it has run in the end."""

    @contextmanager
    def new(answers: Answers) -> Iterator[Stack]:
        name = f"stack-{uuid.uuid4().hex[:8]}"
        deployment = Deployment(**answers)
        for service in deployment.dev_services:
            dev_image(service)  # one worker at a time, so that `make build` finds its layers
        repository = tmp_path_factory.mktemp("stack") / name
        shutil.copytree(render({**answers, "project_name": name}), repository)
        stack = Stack(repository, engine, image(deployment.release))
        stack.make("build")
        try:
            yield stack
        finally:
            stack.try_make("clean", answer="y\n")

    return new


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port
