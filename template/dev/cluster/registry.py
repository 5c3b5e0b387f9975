"""Images and charts in a registry, which skopeo reads and writes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from typing import Any

# A registry on this host speaks plain HTTP, as container engines and Kubernetes assume.
LOOPBACK = re.compile(r"(localhost|127\.[\d.]+)(:\d+)?")
MISSING = {
    "cosign": "https://docs.sigstore.dev/cosign/system_config/installation",
    "helm": "https://helm.sh/docs/intro/install",
    "skopeo": "https://github.com/containers/skopeo/blob/main/install.md",
}
# What the tools report if nobody has logged in, and if no server answers.
REFUSED = re.compile("unauthorized|denied|forbidden|credential not found|invalid username", re.I)
SILENT = re.compile("refused|no such host|timeout|timed out|unreachable|no route|EOF", re.I)


class RegistryError(Exception):
    """A command that failed, with the last line of its error."""


def run(*command: str) -> str:
    """Run a command and return its output."""
    need(command[0])
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RegistryError(["", *done.stderr.strip().splitlines()][-1])
    return done.stdout


def show(*command: str, stdin: str | None = None) -> None:
    """Run a command that may ask something, or exit with its exit code."""
    need(command[0])
    done = subprocess.run(command, input=stdin, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def need(program: str) -> None:
    """Exit if a program is missing."""
    if not shutil.which(program):
        sys.exit(f"{program} is missing: {MISSING.get(program, 'install it')}")


def host(repository: str) -> str:
    """Return the registry in the name of a repository."""
    return repository.partition("/")[0]


def require(repository: str) -> None:
    """Exit if the name of a repository contains no registry."""
    if "/" not in repository or not re.search(r"[.:]", host(repository)):
        sys.exit(
            f"The image's name {repository} contains no registry. Choose one: "
            "make set image_repository=registry.example.com/cloud/placement"
        )


def is_plain(repository: str) -> bool:
    """Whether the registry speaks plain HTTP."""
    return bool(LOOPBACK.fullmatch(host(repository)))


def tls(repository: str, sides: tuple[str, ...] = ("",)) -> list[str]:
    """Return the options of skopeo for this registry."""
    return [f"--{side}tls-verify=false" for side in sides if is_plain(repository)]


def explain(repository: str, error: RegistryError) -> str:
    """Return what the registry did, and what to do, in one line."""
    name, line = host(repository), str(error)
    if REFUSED.search(line):
        return f"The registry {name} refuses access to {repository}. Run `make login`."
    cause = line.rpartition(": ")[2].rstrip('"')
    if SILENT.search(line):
        return f"The registry {name} does not answer: {cause}"
    return f"The registry {name} reports an error for {repository}: {cause}"


def copy(repository: str, source: str, target: str) -> None:
    """Copy an image of all platforms from or to a registry, unchanged."""
    options = ["--quiet", "--all", "--preserve-digests", *tls(repository, ("src-", "dest-"))]
    run("skopeo", "copy", *options, source, target)


def inspect(repository: str, reference: str, *options: str) -> str:
    """Read a manifest, or with `--config` a configuration; the reference is `:TAG` or `@DIGEST`."""
    return run("skopeo", "inspect", *tls(repository), *options, f"docker://{repository}{reference}")


def digest(repository: str, tag: str) -> str:
    """Return the digest of a tag."""
    manifest = inspect(repository, f":{tag}", "--raw")
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


def try_digest(repository: str, tag: str) -> str:
    """Return the digest of a tag, which is empty if the registry does not have the tag."""
    try:
        return digest(repository, tag)
    except RegistryError:
        return ""


def labels(repository: str, digest: str) -> dict[str, str]:
    """Return the labels of an image; those of all platforms are the same."""
    manifest = json.loads(inspect(repository, f"@{digest}", "--raw"))
    if "manifests" in manifest:
        digest = manifest["manifests"][0]["digest"]
    config: dict[str, Any] = json.loads(inspect(repository, f"@{digest}", "--config"))
    return config["config"].get("Labels") or {}
