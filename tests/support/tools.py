"""Commands of this repository as a user runs them: without input, with all output in one text."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MachineWithout = Callable[..., dict[str, str]]


def run_command(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command without input, and collect standard output and standard error in one text."""
    return subprocess.run(
        command,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **options,
    )


def bootstrap(
    checkout: Path, *parts: str, env: dict[str, str] | None = None, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run tools/bootstrap of a checkout."""
    return run_command([checkout / "tools/bootstrap", *parts], env=env, user=user)
