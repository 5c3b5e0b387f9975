"""The development stack: the servers that this deployment needs, and no other."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.render.conftest import Repo
from tests.support.variants import every_variant

# What compose is told beside the passwords.
GIVEN = {
    "IMAGE": "x:1",
    "IMAGE_ID": "i",
    "PORT": "1",
    "KEYSTONE_PORT": "2",
    "KEYSTONE_CREDENTIAL_ID": "id",
}
# What is no server's script.
FOR_MAKE = {
    "base-image.sh",
    "secrets.sh",
    "cluster-secrets.sh",
    "keep-replicas.sh",
    "propose-update.sh",
}


@cache
def services(path: Path) -> dict[str, Any]:
    """Return the services as compose itself reads them, each password being its own name."""
    text = (path / "compose.yaml").read_text()
    passwords = {
        name: f"it's {name} #1" for name in set(re.findall(r"\$\{(\w+)", text)) - GIVEN.keys()
    }
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


@every_variant
def test_compose_runs_what_is_needed(repo: Repo) -> None:
    """Each server by an image that `make build` makes, each volume used and declared."""
    there = services(repo.path)
    makefile = (repo.path / "Makefile").read_text()
    needed = set(repo.deployment.dev_services)
    assert there.keys() == {"placement"} | needed
    assert {name: it["image"] for name, it in there.items() if name != "placement"} == {
        name: f"x:1-{name}" for name in needed
    }
    assert set(re.findall(r"--tag \$\(IMAGE\)-(\w+) ", makefile)) == needed


@every_variant
def test_the_dockerfile_has_these_servers(repo: Repo) -> None:
    """A target for each, and each file that it copies."""
    path = repo.path / "dev/Dockerfile"
    needed = set(repo.deployment.dev_services)
    assert path.exists() == bool(needed)
    text = path.read_text() if needed else ""
    assert set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE)) == needed
    copied = set(re.findall(r"^COPY (\S+) /$", text, re.MULTILINE))
    assert all((repo.path / "dev" / name).exists() for name in copied)
    scripts = {it.name for it in (repo.path / "dev").glob("*.sh")} - FOR_MAKE
    assert scripts == {it for it in copied if it.endswith(".sh")}


@every_variant
def test_passwords_are_made_and_reach_the_container(repo: Repo) -> None:
    """Compose takes from .env what `make up` writes there; the rest is for who registers."""
    text = (repo.path / "compose.yaml").read_text()
    makefile = (repo.path / "Makefile").read_text()
    made = re.search(r"^SECRETS = ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    written = set(made[1].replace("\\", "").split() if made else ())
    assert written == set(repo.deployment.dev_secrets)
    assert written - set(re.findall(r"\$\{(\w+)", text)) <= {"KEYSTONE_PLACEMENT_PASSWORD"}
    assert set(re.findall(r"\$\{(\w+)", text)) <= written | GIVEN.keys()
    environment = services(repo.path)["placement"]["environment"]
    for name, value in repo.deployment.dev_secret_settings.items():
        for password in re.findall(r"\$\{(\w+)", value):
            assert GIVEN.get(password, f"it's {password} #1") in environment[name]


@every_variant
def test_all_else_is_as_deployed(repo: Repo) -> None:
    """The container gets the settings that the answers make, but for where its servers are."""
    environment = services(repo.path)["placement"]["environment"]
    assert environment == {
        "PORT": "8778",
        "DB_SYNC": "True",
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
        **{name: environment[name] for name in repo.deployment.secrets},
        **{
            name: value.replace("${KEYSTONE_PORT:-5000}", "2")
            for name, value in repo.deployment.dev_settings.items()
        },
    }
