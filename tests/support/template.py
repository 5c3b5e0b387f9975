"""The template and its answer files, and git and Copier as every tier uses them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VALID = sorted((ROOT / "tests/answers/valid").glob("*.yml"))

Answers = Mapping[str, Any]
Render = Callable[[Answers], Path]
RunCopier = Callable[..., tuple[int, str]]


def load(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def git(repository: Path, *arguments: str) -> str:
    """Run git there, as somebody with a name."""
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments]
    done = subprocess.run(
        command, cwd=repository, env=os.environ, text=True, capture_output=True, check=True
    )
    return done.stdout


def commit_all(repository: Path) -> None:
    """Make a git repository of a rendered one, or commit what changed in it."""
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "test")


def change_answers(repository: Path, *answers: str) -> None:
    """Change answers as the rendered docs/upgrades.md explains, and commit."""
    command = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", "--quiet"]
    command += ["--vcs-ref", ":current:", *(f"--data={answer}" for answer in answers)]
    done = subprocess.run(command, cwd=repository, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    commit_all(repository)
