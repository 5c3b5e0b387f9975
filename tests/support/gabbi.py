"""gabbi, run on gabbi files against a Placement that serves."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

Gabbi = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def gabbi() -> Iterator[Gabbi]:
    """Start gabbi with these files; the fixture ends gabbi after the test."""
    started: list[subprocess.Popen[str]] = []

    def gabbi(url: str, *files: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
        command = [f"{Path(sys.executable).parent}/gabbi-run", "--insecure", url, "--"]
        command += map(str, files)
        started.append(
            subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **env},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return started[-1]

    yield gabbi
    for process in started:
        process.kill()
        process.communicate()


def new_run() -> dict[str, str]:
    """Return the environment of a run whose names no other run uses."""
    return {"RUN_ID": f"{secrets.randbelow(10**12):012}", "TOKEN": "admin"}
