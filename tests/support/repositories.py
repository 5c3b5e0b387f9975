"""Rendered repositories with their commands, and templates that publish newer versions."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from copier import VcsRef, run_copy, run_update

from copier_placement import cli
from tests.support.containers import Output
from tests.support.template import Answers, Render, commit_all, git
from tests.support.work import copy_and_commit

Edits = Mapping[str, tuple[str, str]]
"""For each file of a template: a text, and its replacement."""
Maintain = Callable[..., Output]

MEMORY = Path("/dev/shm")  # noqa: S108
OPERATOR = {
    "database": "postgresql",
    "replicas": 3,
    "allow_noauth2_exposure": True,
    "exposure": "ingress",
}
NO_POSTGRESQL: Edits = {
    "copier.yml": ("    PostgreSQL: postgresql\n", ""),
    "extensions/deployment/answers.py": (
        'database: Literal["sqlite", "postgresql", "mysql"]',
        'database: Literal["sqlite", "mysql"]',
    ),
}
"""Removes a choice."""
CHANGELOG = (
    "# Changes\n",
    "# Changes\n\n## 100.0.0 (2030-01-01)\n\n- Answers to the moon.\n\n## 100.0.0foo\n\n- Lost.\n",
)
"""An edit of CHANGELOG.md that describes version 100.0.0, and one that is no version."""


@pytest.fixture(scope="package")
def in_memory() -> Iterator[None]:
    """Keep Copier's clones and comparisons, thousands of small files, off the disk."""
    with pytest.MonkeyPatch.context() as patch:
        if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30:
            patch.setenv("TMPDIR", str(MEMORY))
            patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture
def template(copier_template: Path, tmp_path: Path) -> Path:
    """Clone the template, to publish newer versions of it; this one is 99.99.99."""
    clone = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(copier_template), str(clone))
    return clone


@pytest.fixture
def repository(render: Render, template: Path, tmp_path: Path) -> Path:
    """Return an operator's repository with PostgreSQL and an ingress, from that template."""
    return copy_and_commit(
        render(OPERATOR), tmp_path / "repo", lambda path: use_template(path, template)
    )


def use_template(repository: Path, template: Path | str) -> None:
    """Store another place of the template."""
    edit_answers(repository, r"(?m)^_src_path: .*$", f"_src_path: {template}")


def edit_answers(repository: Path, pattern: str, text: str) -> None:
    """Edit the stored answers by hand, against their own advice."""
    path = repository / ".copier-answers.yml"
    edited, number = re.subn(pattern, text, path.read_text(encoding="utf-8"))
    assert number == 1, pattern
    path.write_text(edited, encoding="utf-8")


def new_repository(
    template: Path, destination: Path, answers: Answers, *work: Callable[[Path], None]
) -> Path:
    """Copy from a template, have a user work in the result, and commit."""
    run_copy(str(template), destination, data=dict(answers), defaults=True, unsafe=True, quiet=True)
    for step in work:
        step(destination)
    commit_all(destination)
    return destination


def update(
    repository: Path, answers: Answers | None = None, *, newest: bool = False, quiet: bool = True
) -> None:
    """Change answers, or update to the newest version, with Copier alone."""
    run_update(
        repository,
        data=dict(answers or {}),
        vcs_ref=None if newest else VcsRef.CURRENT,
        defaults=True,
        overwrite=True,
        unsafe=True,
        quiet=quiet,
    )


def publish(template: Path, version: str, edits: Edits | None = None) -> None:
    """Commit and tag a newer version of a template."""
    for name, (old, new) in (edits or {}).items():
        path = template / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")
    commit_all(template)
    git(template, "tag", version)


def targets(repository: Path) -> set[str]:
    """List the targets that bare `make` prints."""
    done = subprocess.run(["make"], cwd=repository, text=True, capture_output=True, check=True)
    return set(re.findall(r"^  ([a-z0-9-]+)  ", done.stdout, re.MULTILINE))


def make(repository: Path, *arguments: str, **environment: Any) -> Output:
    """Run make without a terminal."""
    return subprocess.run(
        ["make", *arguments],
        cwd=repository,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.fixture
def maintain(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Maintain:
    """Run the maintenance tool in this process: make and a Python of its own cost a second each."""

    def maintain(repository: Path, *arguments: str) -> Output:
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(repository)
            code = cli.run(arguments)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    return maintain


def state(repository: Path) -> tuple[str, ...]:
    """Return what git knows: the commit, the index, the differences, and the work trees."""
    commands = ("rev-parse HEAD", "ls-files --stage", "status --porcelain", "diff", "worktree list")
    return tuple(git(repository, *command.split()) for command in commands)
