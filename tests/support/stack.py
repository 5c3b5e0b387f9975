"""A rendered repository and the servers it runs on one host, driven by its own `make`."""

from __future__ import annotations

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
from tests.support.sharing import Once
from tests.support.template import Answers, Render, load

# The longest that a target of a repository may take on a busy machine, in seconds.
LONGEST = 900
VENV = Path("dev/stack/.venv")


@dataclass(frozen=True)
class Stack:
    """A rendered repository with its own name and ports."""

    repository: Path
    engine: str
    image: str
    port: int = field(default_factory=lambda: free_port())
    keystone_port: int = field(default_factory=lambda: free_port())

    @property
    def url(self) -> str:
        """Return the URL of Placement."""
        return f"http://127.0.0.1:{self.port}"

    def try_make(self, *arguments: str, answer: str = "") -> Output:
        """Run make in the repository, and return its output and exit status."""
        command = ["make", *arguments, f"PORT={self.port}", f"KEYSTONE_PORT={self.keystone_port}"]
        return subprocess.run(
            [*command, f"ENGINE={self.engine}", f"IMAGE={self.image}"],
            cwd=self.repository,
            input=answer,
            text=True,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )

    def make(self, *arguments: str, answer: str = "") -> str:
        """Run make in the repository, fail if make fails, and return its output."""
        done = self.try_make(*arguments, answer=answer)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    @property
    def containers(self) -> list[str]:
        """Return the names of all containers of this repository."""
        command = [self.engine, "ps", "--all", "--format", "{{.Names}}"]
        names = subprocess.check_output(command, text=True).split()
        return [name for name in names if name.startswith(self.project)]

    @property
    def project(self) -> str:
        """Return the name that all its containers begin with."""
        return str(load(self.repository / "compose.yaml")["name"])

    def clean(self) -> None:
        """Kill its containers, and delete them and their data."""
        if names := self.containers:
            subprocess.run([self.engine, "kill", *names], capture_output=True, check=False)
        self.try_make("clean", answer="y\n")

    def client(self, token: str) -> httpx.Client:
        """Return a client of Placement."""
        headers = {"x-auth-token": token, "openstack-api-version": "placement latest"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


NewStack = Callable[..., AbstractContextManager[Stack]]
TagImages = Callable[[Answers], str]
InstallTools = Callable[[Path], None]


@pytest.fixture(scope="session")
def name_server(engine: str, newest: str) -> Iterator[None]:
    """Keep a container in a network of its own while this worker runs.

    Podman's name server ends with the last container that it serves; a container of another worker
    that starts at that moment would find no other by its name (seen once in 72 starts).
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
def tag_images(engine: str, image: Callable[[str], str], dev_image: DevImage) -> TagImages:
    """Give images that are built already the names that `make build` gives them."""

    def tag_images(answers: Answers) -> str:
        deployment = Deployment(**answers)
        name = image(deployment.release)
        for service in deployment.dev_services:
            succeed(engine, "tag", dev_image(service), f"{name}-{service}")
        return name

    return tag_images


@pytest.fixture(scope="session")
def install_tools(render: Render, once: Once, shared_folder: Path) -> InstallTools:
    """Install the tools of dev/stack once, by make, and link them into each repository."""

    def install_tools(repository: Path) -> None:
        keystone = (repository / "dev/stack/keystone").exists()
        shared = shared_folder / f"tools-{'keystone' if keystone else 'noauth2'}"

        def install() -> None:
            shutil.copytree(render({"auth_strategy": "keystone"} if keystone else {}), shared)
            succeed("make", "-C", shared, VENV / "bin")

        once(shared.name, install)
        (repository / VENV).mkdir()
        for path in (shared / VENV).iterdir():
            (repository / VENV / path.name).symlink_to(path)
        (repository / VENV / "bin").touch()  # newer than the requirements, for make

    return install_tools


@pytest.fixture(scope="session")
def new_stack(
    engine: str,
    render: Render,
    name_server: None,
    tag_images: TagImages,
    install_tools: InstallTools,
    tmp_path_factory: pytest.TempPathFactory,
) -> NewStack:
    """Render a repository with images and tools, and delete what it has started at the end."""

    @contextmanager
    def new(answers: Answers) -> Iterator[Stack]:
        name = f"stack-{uuid.uuid4().hex[:8]}"
        repository = tmp_path_factory.mktemp("stack") / name
        shutil.copytree(render({**answers, "project_name": name}), repository)
        install_tools(repository)
        stack = Stack(repository, engine, tag_images(answers))
        try:
            yield stack
        finally:
            stack.clean()

    return new


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port
