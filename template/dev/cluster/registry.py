"""Images and charts in a registry, which skopeo reads and writes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

# A registry on this host speaks plain HTTP, as container engines and Kubernetes assume.
LOOPBACK = re.compile(r"(localhost|127\.[\d.]+)(:\d+)?")
MISSING = {
    "cosign": "https://docs.sigstore.dev/cosign/system_config/installation",
    "helm": "https://helm.sh/docs/intro/install",
    "skopeo": "https://github.com/containers/skopeo/blob/main/install.md",
}
# Their repositories have two levels, and that of the chart would be the third.
DOCKER_HUB = re.compile(r"((index|registry-1|registry\.hub)\.)?docker\.(io|com)")
# What the tools report if nobody has logged in, and if no server answers.
REFUSED = re.compile("unauthorized|denied|forbidden|credential not found|invalid username", re.I)
NO_ANSWER = re.compile("refused|no such host|timeout|timed out|unreachable|no route|EOF", re.I)


class RegistryError(Exception):
    """A command that failed, with the last line of its error."""


def run(*command: str) -> str:
    """Run a command and return its output."""
    require_program(command[0])
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RegistryError(["", *done.stderr.strip().splitlines()][-1])
    return done.stdout


def run_attached(*command: str, stdin: str | None = None) -> None:
    """Run a command that may ask something, or exit with its exit code."""
    require_program(command[0])
    done = subprocess.run(command, input=stdin, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def require_program(program: str) -> None:
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
    if DOCKER_HUB.fullmatch(host(repository)):
        sys.exit(
            f"Docker Hub cannot store the chart {repository}/placement, because names have at most "
            "two levels there. Choose another registry: make set image_repository=..."
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
    if NO_ANSWER.search(line):
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


def labels(repository: str, digest: str) -> Iterator[dict[str, str]]:
    """Yield the labels of an image, for each of its platforms."""
    manifest = json.loads(inspect(repository, f"@{digest}", "--raw"))
    for entry in manifest.get("manifests", [{"digest": digest}]):
        # Docker adds attestations, which have no platform, as further images.
        if entry.get("platform", {}).get("architecture") != "unknown":
            config = json.loads(inspect(repository, f"@{entry['digest']}", "--config"))
            yield config["config"].get("Labels") or {}
