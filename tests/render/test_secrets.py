"""`make secrets` prints how to create the Secrets that the deployment needs, and no others."""

from __future__ import annotations

import re
import shlex
import subprocess

import yaml

from tests.render.conftest import Repo
from tests.support.variants import every_variant


def make_secrets(repo: Repo, *variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make secrets` in the repository."""
    command = ["make", "--silent", "secrets", *variables]
    return subprocess.run(command, cwd=repo.path, text=True, capture_output=True, check=False)


def needed(repo: Repo) -> dict[str, set[str]]:
    """Return the Secrets that the answers name, each with its keys."""
    deployment = repo.deployment
    secrets: dict[str, set[str]] = {}
    for secret, key in deployment.secrets.values():
        secrets.setdefault(secret, set()).add(key)
    others = {
        deployment.database_admin_secret: {"connection"},
        deployment.keystone_ca_secret: {"ca.crt"},
        deployment.keystone_admin_secret: {"clouds.yaml"},
        deployment.tls_secret: {"tls.crt", "tls.key"},
        deployment.image_pull_secret: {".dockerconfigjson"},
    }
    return secrets | {name: keys for name, keys in others.items() if name}


@every_variant
def test_the_commands_create_each_secret_once(repo: Repo) -> None:
    done = make_secrets(repo)
    assert (done.returncode == 0) == bool(needed(repo))
    commands = [
        shlex.split(line)
        for line in done.stdout.replace("\\\n", "").splitlines()
        if " create secret " in line
    ]
    names = [command[command.index("generic") + 1] for command in commands]
    keys = [set(re.findall(r"--from-file=(\S+)=FILE", " ".join(command))) for command in commands]
    assert len(names) == len(set(names))
    assert dict(zip(names, keys, strict=True)) == needed(repo)


@every_variant
def test_external_secrets_have_the_same_names_and_keys(repo: Repo) -> None:
    done = make_secrets(repo, "FORMAT=external-secrets")
    namespaces, secrets = [], {}
    for item in filter(None, yaml.safe_load_all(done.stdout)):
        if item["kind"] == "Namespace":
            namespaces.append(item["metadata"]["name"])
        else:
            keys = {entry["secretKey"] for entry in item["spec"]["data"]}
            secrets[item["metadata"]["name"]] = keys
    assert secrets == needed(repo)
    # An empty cluster does not have it, and the deploy follows only after the Secrets.
    assert namespaces == ([repo.deployment.project_name] if secrets else [])


@every_variant
def test_an_unknown_format_is_refused(repo: Repo) -> None:
    done = make_secrets(repo, "FORMAT=toml")
    assert done.returncode != 0
    assert done.stdout == ""
    if needed(repo):
        assert "FORMAT=toml is unknown: leave it out, or set FORMAT=external-secrets" in done.stderr
