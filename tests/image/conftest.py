"""The image of each release, built once by the rendered repository's own `make build`, and run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.conftest import ROOT, Render

RELEASES = sorted(path.stem for path in (ROOT / "releases").glob("*.yml"))
NEWEST = RELEASES[-1]
PORT = 8778

Environment = Mapping[str, str]
Output = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Server:
    """A container that serves."""

    name: str
    client: httpx.Client


@pytest.fixture(scope="session")
def engine() -> str:
    """Return the container engine to test with: ENGINE, or what a rendered repository takes."""
    named = os.environ.get("ENGINE")
    return named or subprocess.check_output([ROOT / "template/dev/engine"], text=True).strip()


@pytest.fixture(scope="session")
def image(
    engine: str, render: Render, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Build the image of a release, once for all workers, and return its name."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def build(release: str) -> str:
        name = f"localhost/placement-test:{release}"
        done = shared / f"image-{release}"
        # One build at a time: they share the base image and the first layers.
        with (shared / "image-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                repository = render({"release": release})
                command = ["make", "build", f"ENGINE={engine}", f"IMAGE={name}"]
                result = subprocess.run(
                    command, cwd=repository, text=True, capture_output=True, check=False
                )
                assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
                done.touch()
        return name

    return build


@pytest.fixture(params=RELEASES)
def any_image(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    """Return the image of every release in turn."""
    return image(request.param)


@pytest.fixture(scope="session")
def newest(image: Callable[[str], str]) -> str:
    """Return the image of the newest release."""
    return image(NEWEST)


@pytest.fixture
def container_name(engine: str) -> Iterator[Callable[[], str]]:
    """Give out names of containers, all of which are gone after the test."""
    names: list[str] = []

    def name() -> str:
        names.append(f"placement-test-{uuid.uuid4().hex[:12]}")
        return names[-1]

    yield name
    for given in names:
        subprocess.run(
            [engine, "rm", "--force", "--volumes", given], capture_output=True, check=False
        )


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
def start(engine: str, container_name: Callable[[], str]) -> Iterator[Callable[..., Server]]:
    """Start a container in the background and return it when it answers."""
    clients: list[httpx.Client] = []

    def start(
        image: str,
        env: Environment | None = None,
        options: tuple[str, ...] = (),
        port: int = PORT,
    ) -> Server:
        name = container_name()
        settings = {"OS_API__AUTH_STRATEGY": "noauth2", "DB_SYNC": "True", "PORT": str(port)}
        published = f"127.0.0.1::{port}"
        command = [engine, "run", "--detach", "--name", name, "--publish", published]
        command += [*flags({**settings, **(env or {})}), *options, image]
        subprocess.run(command, capture_output=True, check=True)
        address = subprocess.check_output([engine, "port", name, str(port)], text=True).strip()
        client = httpx.Client(base_url=f"http://{address}", headers={"x-auth-token": "admin"})
        clients.append(client)
        answers(engine, name, client)
        return Server(name, client)

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def volume(engine: str) -> Iterator[str]:
    """Return the name of a volume, which is gone after the test."""
    name = f"placement-test-{uuid.uuid4().hex[:12]}"
    subprocess.run([engine, "volume", "create", name], capture_output=True, check=True)
    yield name
    subprocess.run([engine, "volume", "rm", "--force", name], capture_output=True, check=False)


def flags(env: Environment | None) -> list[str]:
    """Return the engine's flags for these variables."""
    return [f"--env={name}={value}" for name, value in (env or {}).items()]


def answers(engine: str, name: str, client: httpx.Client) -> None:
    """Wait until the container answers, or fail with its log."""
    waiting = Retrying(
        stop=stop_after_delay(30),
        wait=wait_fixed(0.1),
        retry=retry_if_exception_type(httpx.TransportError),
        reraise=True,
    )
    with suppress(httpx.TransportError):
        assert waiting(client.get, "/").status_code == 200
        return
    pytest.fail(f"no answer:\n{logs(engine, name)}")


def logs(engine: str, name: str) -> str:
    """Return what the container has said."""
    done = subprocess.run([engine, "logs", name], text=True, capture_output=True, check=True)
    return done.stdout + done.stderr


def readable(folder: Path) -> Path:
    """Let the container's user read what is in a folder of the test."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def silent_server(engine: str, newest: str, container_name: Callable[[], str]) -> str:
    """Return a container with a server on port 5432 that takes connections and says nothing."""
    name = container_name()
    listen = "import socket, time; s = socket.create_server(('', 5432)); time.sleep(300)"
    command = [engine, "run", "--detach", "--name", name, "--entrypoint=/opt/placement/bin/python3"]
    subprocess.run([*command, newest, "-c", listen], capture_output=True, check=True)
    return name
