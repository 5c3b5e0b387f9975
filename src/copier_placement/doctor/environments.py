"""The environments, such as staging and production."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .cluster import Cluster
from .findings import Finding

SCRIPT = "dev/cluster/environments.py"


def invalid_environments(root: Path) -> Iterator[Finding]:
    """Find what `make deploy ENV=...` would refuse, with the script that it uses."""
    if (root / SCRIPT).is_file():  # a deleted file is a finding of its own
        for line in run_script(root).stderr.splitlines():
            problem, _, fix = line.partition(". ")
            yield Finding("environments", problem, fix)


def clusters(root: Path, cluster: Cluster) -> Iterator[Cluster]:
    """Return where each valid environment is, and the Secrets that it needs there."""
    for file in sorted((root / "environments").glob("*/values.yaml")):
        name = file.parent.name
        words = run_script(root, name).stdout.split()
        if words:
            found = dict(word.split("=", 1) for word in words)
            secrets = run_script(root, "--secrets", name)
            yield replace(
                cluster,
                context=found["context"],
                namespace=found["namespace"],
                secrets=None if secrets.returncode else secrets.stdout.split(),
                environment=name,
            )


def run_script(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Check all environments, or describe one."""
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)
