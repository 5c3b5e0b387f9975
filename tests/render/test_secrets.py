"""`make secrets` says how to make all that this deployment needs, and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess

import yaml

from tests.render.conftest import Repo
from tests.support.variants import every_variant


def make_secrets(repo: Repo, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it there."""
    command = ["make", "--silent", "secrets", *words]
    return subprocess.run(command, cwd=repo.path, text=True, capture_output=True, check=False)


def needed(repo: Repo) -> dict[str, set[str]]:
    """The Secrets that the answers name, each with its keys."""
    it = repo.deployment
    secrets: dict[str, set[str]] = {}
    for secret, key in it.secrets.values():
        secrets.setdefault(secret, set()).add(key)
    others = {
        it.keystone_ca_secret: {"ca.crt"},
        it.tls_secret: {"tls.crt", "tls.key"},
        it.image_pull_secret: {".dockerconfigjson"},
    }
    return secrets | {name: keys for name, keys in others.items() if name}


@every_variant
def test_the_commands_make_each_secret_once(repo: Repo) -> None:
    done = make_secrets(repo)
    assert (done.returncode == 0) == bool(needed(repo))
    commands = [
        shlex.split(line)
        for line in done.stdout.replace("\\\n", "").splitlines()
        if " create secret " in line
    ]
    names = [command[command.index("generic") + 1] for command in commands]
    keys = [set(re.findall(r"--from-file=(\S+)=FILE", " ".join(it))) for it in commands]
    assert len(names) == len(set(names))
    assert dict(zip(names, keys, strict=True)) == needed(repo)


@every_variant
def test_the_external_secrets_are_the_same_ones(repo: Repo) -> None:
    done = make_secrets(repo, "FORMAT=external-secrets")
    found = {
        it["metadata"]["name"]: {piece["secretKey"] for piece in it["spec"]["data"]}
        for it in yaml.safe_load_all(done.stdout)
        if it
    }
    assert found == needed(repo)


@every_variant
def test_another_format_is_refused(repo: Repo) -> None:
    done = make_secrets(repo, "FORMAT=toml")
    assert done.returncode != 0
    assert done.stdout == ""
    if needed(repo):
        assert (
            "FORMAT=toml is not known: leave it out, or say FORMAT=external-secrets" in done.stderr
        )
