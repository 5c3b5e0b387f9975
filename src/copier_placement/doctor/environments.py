"""The environments, such as staging and production."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .findings import Finding

SCRIPT = "dev/cluster/environments.py"


def invalid_environments(root: Path) -> Iterator[Finding]:
    """Find what `make deploy ENV=...` would refuse, with the script that it uses."""
    if not (root / SCRIPT).is_file():  # a deleted file, which is a finding of its own
        return
    command = [sys.executable, SCRIPT]
    done = subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)
    for line in done.stderr.splitlines():
        problem, _, fix = line.partition(". ")
        yield Finding("environments", problem, fix)
