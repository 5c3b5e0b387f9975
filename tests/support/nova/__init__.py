"""Nova, installed from PyPI in an environment of its own, and parts of it that tests run."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.containers import succeed
from tests.support.sharing import Once
from tests.support.waiting import wait_until

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def nova_python(once: Once, shared_folder: Path) -> Path:
    """Install Nova once, and return its Python."""
    environment = shared_folder / "nova"

    def install() -> None:
        succeed("uv", "venv", "--quiet", "--python", ">=3.11", environment)
        command = ["uv", "pip", "sync", "--quiet", "--require-hashes", "--python", environment]
        succeed(*command, FOLDER / "requirements.txt")

    once("nova", install)
    return environment / "bin/python"


@contextmanager
def nova_api(
    python: Path, folder: Path, port: int, cloud: Mapping[str, Any], hosts: Mapping[str, str]
) -> Iterator[None]:
    """Serve Nova's API on a port, with hosts and the UUIDs of their providers."""
    login = {"auth_type": "password", **cloud["auth"]}
    if "cacert" in cloud:
        login["cafile"] = cloud["cacert"]
    config = RawConfigParser()
    config.read_dict(
        {
            "DEFAULT": {"transport_url": "fake:/", "log_file": folder / "nova.log"},
            "api_database": {"connection": f"sqlite:///{folder}/api.sqlite"},
            "database": {"connection": f"sqlite:///{folder}/main.sqlite"},
            "keystone_authtoken": {**escaped(login), "interface": cloud["interface"]},
            "placement": {**escaped(login), "valid_interfaces": cloud["interface"]},
        }
    )
    path = folder / "nova.conf"
    with path.open("w", encoding="utf-8") as file:
        config.write(file)
    arguments = [python, FOLDER / "api.py", path, port, *(f"{n}={u}" for n, u in hosts.items())]
    process = subprocess.Popen([str(argument) for argument in arguments])
    try:
        wait_until(lambda: is_open(port), lambda: "Nova's API does not answer")
        yield
    finally:
        process.kill()
        process.wait()


def escaped(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of oslo.config with each `$` escaped."""
    return {name: str(value).replace("$", "$$") for name, value in options.items()}


def is_open(port: int) -> bool:
    """Return whether a server listens on a port."""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
