"""A copy of this repository's own tools, and machines that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.template import ROOT

MachineWithout = Callable[..., dict[str, str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a repository in which nothing has been bootstrapped yet."""
    shutil.copytree(ROOT / "tools", tmp_path / "checkout" / "tools")
    return tmp_path / "checkout"


@pytest.fixture
def machine_without(tmp_path: Path) -> MachineWithout:
    """Make an environment with all commands of this machine but the named ones."""

    def machine_without(*missing: str) -> dict[str, str]:
        commands = tmp_path / "bin"
        commands.mkdir()
        for directory in map(Path, os.environ["PATH"].split(os.pathsep)):
            for command in directory.iterdir() if directory.is_dir() else []:
                link = commands / command.name
                if command.name not in missing and not link.is_symlink():
                    link.symlink_to(command)
        return {**os.environ, "PATH": str(commands)}

    return machine_without


def bootstrap(
    checkout: Path, *parts: str, env: dict[str, str] | None = None, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run tools/bootstrap there, with what it says in one text."""
    return said([checkout / "tools/bootstrap", *parts], env=env, user=user)


def said(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it with nobody to answer, and take all that it says in one text."""
    return subprocess.run(
        command,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **options,
    )
