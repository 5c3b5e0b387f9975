"""Time `copier copy` of the default answers and `copier update` of one setting.

Prints medians of ten runs, with the range, next to the time of `copier --version`. Run it with
`uv run python -m tools.benchmark_copy`.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 10


def seconds(*arguments: str, cwd: str | None = None) -> float:
    """Time one run of Copier."""
    start = time.perf_counter()
    subprocess.run(["copier", *arguments], check=True, capture_output=True, cwd=cwd)
    return time.perf_counter() - start


def commit(repository: str) -> None:
    """Commit all files, as an update requires."""
    for arguments in ("init", "add --all", "-c user.name=x -c user.email=x commit --message x"):
        command = ["git", "-C", repository, *arguments.split()]
        subprocess.run(command, check=True, capture_output=True)


def report(name: str, times: list[float]) -> None:
    """Print the median and the range."""
    print(
        f"{name}: median {statistics.median(times):.2f} s, "
        f"{min(times):.2f} to {max(times):.2f} s in {len(times)} runs"
    )


def main() -> None:
    """Run the commands in turn, so that all of them meet the same load of the machine."""
    versions, copies, updates = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        template = f"{folder}/template"
        subprocess.run(["git", "clone", "--quiet", ROOT, template], check=True)
        copy = ("copy", "--trust", "--defaults", "--quiet", "--vcs-ref", "HEAD", template)
        update = ("update", "--trust", "--defaults", "--quiet", "--vcs-ref", ":current:")
        for run in range(RUNS):
            repository = f"{folder}/{run}"
            versions.append(seconds("--version"))
            copies.append(seconds(*copy, repository))
            commit(repository)
            updates.append(seconds(*update, "--data", "network_policy=true", cwd=repository))
    report("copier --version", versions)
    report("copier copy", copies)
    report("copier update", updates)
    less_start = [both - start for start, both in zip(versions, copies, strict=True)]
    report("copier copy less copier --version", less_start)


if __name__ == "__main__":
    main()
