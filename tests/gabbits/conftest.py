"""A running Placement to point the rendered repository's gabbits at, and gabbi to do so."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from socket import socket

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.conftest import ROOT, Render

RELEASE = "2026.2"
APPLICATION = "placement.wsgi.api:application"

Gabbi = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def placement_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the release's locked requirements and return where."""
    environment = tmp_path_factory.mktemp("placement") / "venv"
    requirements = ROOT / "releases" / f"{RELEASE}.txt"
    install = ["uv", "pip", "sync", "--quiet", "--require-hashes", f"--python={environment}"]
    subprocess.run(["uv", "venv", "--quiet", "--python=/usr/bin/python3", environment], check=True)
    subprocess.run([*install, requirements], check=True)
    return environment


@pytest.fixture(scope="session")
def placement_url(placement_environment: Path) -> Iterator[str]:
    """Run a Placement with sqlite and noauth2, also below /placement, and return its URL."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    database = placement_environment.parent / "placement.db"
    env = {
        **os.environ,
        "OS_API__AUTH_STRATEGY": "noauth2",
        "OS_PLACEMENT_DATABASE__CONNECTION": f"sqlite:///{database}",
        "OS_PLACEMENT_DATABASE__SYNC_ON_STARTUP": "True",
    }
    command = [f"{placement_environment}/bin/uwsgi", f"--virtualenv={placement_environment}"]
    command += ["--http-socket", address, "--add-header", "Connection: close", "--need-app"]
    # The first mount that fits is taken.
    command += ["--mount", f"/placement={APPLICATION}", "--mount", f"/={APPLICATION}"]
    command += ["--manage-script-name", "--master", "--die-on-term", "--disable-logging"]
    with subprocess.Popen(command, env=env) as server:
        wait_for(f"http://{address}/")
        yield f"http://{address}"
        server.terminate()


def wait_for(url: str) -> None:
    """Wait until it answers."""
    waiting = Retrying(
        stop=stop_after_delay(60),
        wait=wait_fixed(0.1),
        retry=retry_if_exception_type(httpx.TransportError),
        reraise=True,
    )
    assert waiting(httpx.get, url).status_code == 200


@pytest.fixture(scope="session")
def routes(placement_environment: Path) -> set[tuple[str, str]]:
    """Ask the running release for each method of each route it has."""
    code = (
        "from placement.handler import ROUTE_DECLARATIONS as routes\n"
        "for path, methods in routes.items():\n"
        "    for method in methods: print(method, path)\n"
    )
    python = placement_environment / "bin/python"
    lines = subprocess.check_output([python, "-c", code], text=True).splitlines()
    return {(method, path) for method, path in (line.split(" ", 1) for line in lines)}


@pytest.fixture(scope="session")
def repository(render: Render) -> Path:
    """Return the default variant's rendered repository."""
    return render({})


@pytest.fixture(scope="session")
def gabbits(repository: Path) -> list[Path]:
    """Return the gabbi files of the rendered repository."""
    return sorted((repository / "gabbits").glob("*.yaml"))


@pytest.fixture
def gabbi() -> Iterator[Gabbi]:
    """Start gabbi on these files; it is ended when the test is."""
    started: list[subprocess.Popen[str]] = []

    def gabbi(url: str, *files: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
        command = [f"{Path(sys.executable).parent}/gabbi-run", url, "--", *map(str, files)]
        started.append(
            subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **env},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return started[-1]

    yield gabbi
    for process in started:
        process.kill()
        process.communicate()


def new_run() -> dict[str, str]:
    """Return the environment of a run that meets no other."""
    return {"RUN_ID": f"{secrets.randbelow(10**12):012}", "TOKEN": "admin"}
