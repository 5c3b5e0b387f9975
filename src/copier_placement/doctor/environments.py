"""The environments, such as staging and production."""

import subprocess
import sys
from collections import defaultdict
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
        found = defaultdict(list)
        for word in run_script(root, file.parent.name).stdout.split():
            key, _, value = word.partition("=")
            found[key].append(value)
        if found:
            [context], [namespace] = found["context"], found["namespace"]
            yield replace(
                cluster,
                context=context,
                namespace=namespace,
                secrets=found["secret"],
                environment=file.parent.name,
            )


def run_script(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Check all environments, or describe one."""
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)
