"""Containers, and the image of each release, built once by the repository's own `make build`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.sharing import Once
from tests.support.template import ROOT, Render
from tests.support.waiting import LONGEST, wait_until

RELEASES = sorted(path.stem for path in (ROOT / "releases").glob("*.yml"))
NEWEST = RELEASES[-1]
PORT = 8778
# Two checkouts that run tests at the same time need different names for their images.
IMAGES = os.environ.get("TEST_IMAGES", "localhost/placement-test")
CONNECTION = "OS_PLACEMENT_DATABASE__CONNECTION"
PYTHON = "--entrypoint=/opt/placement/bin/python3"

Environment = Mapping[str, str]
Output = subprocess.CompletedProcess[str]
Run = Callable[..., Output]


@dataclass(frozen=True)
class Server:
    """A container that serves Placement, and a client of it."""

    name: str
    client: httpx.Client

    @contextmanager
    def open_request(self, request: str, *headers: str, size: int) -> Iterator[socket.socket]:
        """Send the head of a request; the block sends the body of this size."""
        url = self.client.base_url
        lines = [f"{request} HTTP/1.1", f"host: {url.host}", f"content-length: {size}", *headers]
        with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            yield connection


Start = Callable[..., Server]


@pytest.fixture(scope="session")
def engine() -> str:
    """Return the container engine: ENGINE, or the one that a rendered repository uses."""
    named = os.environ.get("ENGINE")
    return named or subprocess.check_output([ROOT / "template/dev/stack/engine"], text=True).strip()


@pytest.fixture(scope="session")
def built(engine: str, render: Render, once: Once, shared_folder: Path) -> Callable[[str], Path]:
    """Build the image of a release and return the repository with the results."""

    def built(release: str) -> Path:
        if release != NEWEST:
            built(NEWEST)  # creates the base image and the layers that all releases share
        repository = shared_folder / f"built-{release}"
        image = f"IMAGE={IMAGES}:{release}"

        def build() -> None:
            shutil.copytree(render({"release": release}), repository)
            succeed("make", "-C", repository, "build", f"ENGINE={engine}", image)

        once(f"image-{release}", build)
        return repository

    return built


@pytest.fixture(scope="session")
def image(built: Callable[[str], Path]) -> Callable[[str], str]:
    """Build the image of a release and return its name."""

    def image(release: str) -> str:
        built(release)
        return f"{IMAGES}:{release}"

    return image


@pytest.fixture(scope="session")
def image_without_speed(
    engine: str, image: Callable[[str], str], render: Render, once: Once, shared_folder: Path
) -> Callable[[str], str]:
    """Build the image of a release without the patches for speed, and return its name."""

    def image_without_speed(release: str) -> str:
        name = f"{image(release)}-fixes"
        repository = shared_folder / f"fixes-{release}"

        def build() -> None:
            shutil.copytree(render({"release": release}), repository)
            options = (f"ENGINE={engine}", f"IMAGE={name}", "PATCHES=fixes")
            succeed("make", "-C", repository, "build", *options)

        once(f"fixes-{release}", build)
        return name

    return image_without_speed


@pytest.fixture(scope="session")
def newest(image: Callable[[str], str]) -> str:
    """Return the image of the newest release."""
    return image(NEWEST)


@pytest.fixture
def container_name(engine: str) -> Iterator[Callable[[], str]]:
    """Return new container names; the fixture removes these containers after the test."""
    names: list[str] = []

    def name() -> str:
        names.append(new_name())
        return names[-1]

    yield name
    for given in reversed(names):  # a later one may share the network of an earlier one
        remove(engine, given)


@pytest.fixture
def run(engine: str, container_name: Callable[[], str]) -> Run:
    """Run a command of the image until it ends."""

    def run(
        image: str,
        *arguments: str,
        env: Environment | None = None,
        options: tuple[str, ...] = (),
        timeout: float = LONGEST,
    ) -> Output:
        command = [engine, "run", "--name", container_name(), *flags(env), *options, image]
        return subprocess.run(
            [*command, *arguments], text=True, capture_output=True, timeout=timeout, check=False
        )

    return run


@pytest.fixture
def start(engine: str) -> Iterator[Start]:
    """Start a container that serves, and return it when it answers."""
    with ExitStack() as running:

        def start(
            image: str, env: Environment | None = None, options: tuple[str, ...] = (), **more: Any
        ) -> Server:
            return running.enter_context(serving(engine, image, env, options, **more))

        yield start


@pytest.fixture
def silent_server(engine: str, newest: str, container_name: Callable[[], str]) -> str:
    """Return a container with a server on port 5432 that accepts connections and never answers."""
    name = container_name()
    listen = "import socket, time; s = socket.create_server(('', 5432)); time.sleep(300)"
    command = [engine, "run", "--detach", "--name", name, PYTHON, newest, "-c", listen]
    subprocess.run(command, capture_output=True, check=True)
    return name


@pytest.fixture
def volume(engine: str) -> Iterator[str]:
    """Create a volume, and remove it after the test."""
    name = new_name()
    subprocess.run([engine, "volume", "create", name], capture_output=True, check=True)
    yield name
    subprocess.run([engine, "volume", "rm", "--force", name], capture_output=True, check=False)


def new_name() -> str:
    """Return a new name for a container, a volume or a network."""
    return f"placement-test-{uuid.uuid4().hex[:12]}"


@contextmanager
def serving(
    engine: str,
    image: str,
    env: Environment | None = None,
    options: tuple[str, ...] = (),
    port: int = PORT,
    scheme: str = "http",
) -> Iterator[Server]:
    """Start a container, wait until it answers, and remove it after the block."""
    name = new_name()
    settings = {"OS_API__AUTH_STRATEGY": "noauth2", "DB_SYNC": "True", "PORT": str(port)}
    command = [engine, "run", "--detach", "--name", name, f"--publish=127.0.0.1::{port}"]
    command += [*flags({**settings, **(env or {})}), *options, image]
    try:
        subprocess.run(command, capture_output=True, check=True)
        address = subprocess.check_output([engine, "port", name, str(port)], text=True).strip()
        headers = {"x-auth-token": "admin"}
        # A test's own certificate is signed by no CA.
        with httpx.Client(
            base_url=f"{scheme}://{address}", headers=headers, timeout=60, verify=scheme == "http"
        ) as client:
            wait_until_ready(engine, name, client)
            yield Server(name, client)
    finally:
        remove(engine, name)


def remove(engine: str, name: str) -> None:
    """Remove a container and its anonymous volumes, in any state.

    `podman rm --force` waits for a running container to stop, so it is killed first.
    """
    for command in (["kill", name], ["rm", "--force", "--volumes", name]):
        subprocess.run([engine, *command], capture_output=True, check=False)


def flags(env: Environment | None) -> list[str]:
    """Return the engine's flags for these variables."""
    return [f"--env={name}={value}" for name, value in (env or {}).items()]


def wait_until_ready(engine: str, name: str, client: httpx.Client) -> None:
    """Wait until the container answers, or fail with its log."""

    def is_ready() -> bool:
        with suppress(httpx.TransportError):
            return client.get("/").is_success
        return False

    wait_until(is_ready, lambda: logs(engine, name))


def logs(engine: str, name: str) -> str:
    """Return the log of a container."""
    done = subprocess.run([engine, "logs", name], text=True, capture_output=True, check=True)
    return done.stdout + done.stderr


def succeed(*command: object) -> None:
    """Run a command, and fail with the end of its output if the command fails."""
    arguments = [str(argument) for argument in command]
    done = subprocess.run(arguments, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def readable(folder: Path) -> Path:
    """Let the container's user read a folder and everything in it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
