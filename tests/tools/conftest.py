"""A copy of the tools in which nothing is installed, and machines that lack commands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.template import ROOT
from tests.support.tools import MachineWithout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the tools, without anything that tools/bootstrap installs."""
    shutil.copytree(ROOT / "tools", tmp_path / "checkout" / "tools")
    return tmp_path / "checkout"


@pytest.fixture
def machine_without(tmp_path: Path) -> MachineWithout:
    """Return an environment with all commands of this machine except the named ones."""

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
