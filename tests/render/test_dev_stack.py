"""The local servers: only those that the deployment needs."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.conftest import Repo
from tests.support.variants import every_variant

# A variable as compose reads it: `$$` is a `$`.
VARIABLE = r"(?<!\$)\$\{(\w+)"
# The variables of compose besides the passwords.
GIVEN = {
    "IMAGE": "x:1",
    "IMAGE_ID": "i",
    "PORT": "1",
    "KEYSTONE_PORT": "2",
}


@cache
def services(path: Path) -> dict[str, Any]:
    """Return the services as compose reads them. The value of each password has its name in it."""
    text = (path / "compose.yaml").read_text()
    passwords = {name: f"it's {name} #1" for name in set(re.findall(VARIABLE, text)) - GIVEN.keys()}
    done = subprocess.run(
        ["podman-compose", "config"],
        cwd=path,
        env={"PATH": os.environ["PATH"], **passwords, **GIVEN},
        text=True,
        capture_output=True,
        check=True,
    )
    read: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return read


def steps(repo: Repo, target: str, engine: str = "podman") -> str:
    """Return the commands that make would run for a target."""
    command = ["make", "--dry-run", target, f"ENGINE={engine}", "IMAGE=x:1"]
    return subprocess.run(command, cwd=repo.path, text=True, capture_output=True, check=True).stdout


@every_variant
def test_compose_runs_the_servers_that_make_builds(repo: Repo) -> None:
    """Each has its image, and no other server runs."""
    found = services(repo.path)
    needed = set(repo.deployment.dev_services)
    assert found.keys() == {"placement"} | needed
    assert {name: service["image"] for name, service in found.items() if name != "placement"} == {
        name: f"x:1-{name}" for name in needed
    }
    build = steps(repo, "build")
    assert set(re.findall(r"--tag x:1-(\w+) dev/stack/servers/\1$", build, re.MULTILINE)) == needed


@every_variant
def test_each_server_has_a_build_context_of_its_own(repo: Repo) -> None:
    """Its folder holds only the Dockerfile and the files that the Dockerfile copies."""
    servers = repo.path / "dev/stack/servers"
    dockerfiles = {path.parent.name: path for path in servers.glob("*/Dockerfile")}
    assert dockerfiles.keys() == set(repo.deployment.dev_services)
    assert servers.exists() == bool(dockerfiles)
    for path in dockerfiles.values():
        copied = re.findall(r"^COPY (\S+) /$", path.read_text(), re.MULTILINE)
        assert {file.name for file in path.parent.iterdir()} == {"Dockerfile", *copied}


@every_variant
def test_passwords_are_generated_and_reach_the_container(repo: Repo) -> None:
    """Compose reads them from .env, where `make up` writes them. Registration uses the rest."""
    text = (repo.path / "compose.yaml").read_text()
    generated = re.search(r"^dev/stack/servers/passwords.sh (.*)$", steps(repo, "up"), re.MULTILINE)
    written = set(generated[1].split() if generated else ())
    assert written == set(repo.deployment.dev_secrets)
    assert written - set(re.findall(VARIABLE, text)) <= {"KEYSTONE_PLACEMENT_PASSWORD"}
    assert set(re.findall(VARIABLE, text)) <= written | GIVEN.keys()
    environment = services(repo.path)["placement"]["environment"]
    for name, value in repo.deployment.dev_secret_settings.items():
        for password in re.findall(r"\$\{(\w+)", value):
            assert GIVEN.get(password, f"it's {password} #1") in environment[name]


@every_variant
def test_the_container_has_the_settings_of_the_answers(repo: Repo) -> None:
    """Only the addresses of its servers differ."""
    environment = services(repo.path)["placement"]["environment"]
    assert environment == {
        "PORT": "8778",
        "DB_SYNC": "True",
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
        **{name: environment[name] for name in repo.deployment.dev_secret_settings},
        **{
            name: value.replace("${KEYSTONE_PORT:-5000}", "2").replace("$$", "$")
            for name, value in repo.deployment.dev_settings.items()
        },
    }


@pytest.mark.parametrize(
    ("engine", "command"),
    [
        ("docker", "docker compose"),
        ("podman", "dev/stack/.venv/bin/python dev/stack/compose.py --podman-path podman"),
        (
            "/opt/bin/podman",
            "dev/stack/.venv/bin/python dev/stack/compose.py --podman-path /opt/bin/podman",
        ),
    ],
)
def test_each_engine_has_its_compose(render_default: Repo, engine: str, command: str) -> None:
    up = steps(render_default, "up", engine)
    assert re.search(rf"^PORT=8081 IMAGE=x:1 IMAGE_ID= {command} up --detach$", up, re.MULTILINE)
