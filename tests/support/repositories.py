"""Repositories of a user, with the commands of their Makefile, and templates that get newer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from copier import VcsRef, run_copy, run_update

from tests.support.containers import Output
from tests.support.template import Answers, Render, commit_all, git
from tests.support.work import copied

Edits = Mapping[str, tuple[str, str]]
"""Of each file of a template, a text and what takes its place."""


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
"""What takes a choice away."""


@pytest.fixture(scope="package")
def in_memory() -> Iterator[None]:
    """Keep out of the disk what Copier clones and compares: thousands of small files a time."""
    with pytest.MonkeyPatch.context() as patch:
        if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30:
            patch.setenv("TMPDIR", str(MEMORY))
            patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture
def template(copier_template: Path, tmp_path: Path) -> Path:
    """Clone the template, to make newer versions of it. Its own is 99.99.99."""
    clone = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(copier_template), str(clone))
    return clone


@pytest.fixture
def repository(render: Render, template: Path, tmp_path: Path) -> Path:
    """Have what an operator with PostgreSQL and an ingress has, as if copied from that template."""

    def of_that_template(repository: Path) -> None:
        answers = repository / ".copier-answers.yml"
        text = re.sub(
            r"^_src_path: .*$", f"_src_path: {template}", answers.read_text(), flags=re.MULTILINE
        )
        answers.write_text(text)

    return copied(render(OPERATOR), tmp_path / "repo", of_that_template)


def new_repository(
    template: Path, destination: Path, answers: Answers, *work: Callable[[Path], None]
) -> Path:
    """Copy from a template, have a user work in it, and commit."""
    run_copy(str(template), destination, data=dict(answers), defaults=True, unsafe=True, quiet=True)
    for step in work:
        step(destination)
    commit_all(destination)
    return destination


def update(
    repository: Path, answers: Answers | None = None, *, newest: bool = False, quiet: bool = True
) -> None:
    """Answer anew, or take the newest version of the template, by Copier alone."""
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
    """Make a newer version of a template: in each file, a text becomes another."""
    for name, (old, new) in (edits or {}).items():
        path = template / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")
    commit_all(template)
    git(template, "tag", version)


def make(repository: Path, *words: str, **options: Any) -> Output:
    """Run make there, with nobody at the terminal."""
    return subprocess.run(
        ["make", *words],
        cwd=repository,
        env={**os.environ, **options},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )


def state(repository: Path) -> tuple[str, ...]:
    """Return all that git knows: the commit, the index, what differs, and the work trees."""
    words = ("rev-parse HEAD", "ls-files --stage", "status --porcelain", "diff", "worktree list")
    return tuple(git(repository, *it.split()) for it in words)
