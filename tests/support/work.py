"""A user's work in a rendered repository, and how to compare it after an update."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.template import commit_all, git

Tree = dict[str, tuple[bytes, bool]]
"""Each file's content, and whether it is executable."""

SECRET = "marker-of-a-secret"

OWN_PLACES = {
    "values.local.yaml": "threads: 3\n",
    "values.image.yaml": 'image:\n  tag: "2026.2-0123456789ab"\n',
    "zones.yaml": "traits: [CUSTOM_MINE]\n",
    "environments/staging/values.yaml": "environment: {namespace: staging}\nthreads: 2\n",
    "gabbits/local/mine.yaml": "tests:\n  - name: mine\n    GET: /\n",
    "Makefile.local": "mine: ## Ours\n\t@echo mine\n",
    "compose.override.yaml": "services:\n  placement:\n    mem_limit: 1g\n",
    ".github/workflows/mine.yml": "name: mine\non: workflow_dispatch\njobs: {}\n",
    ".gitlab-ci.local.yml": "mine:\n  script: [make mine]\n",
    "placement-chart/templates/local-mine.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata:\n"
    "  name: mine\ndata:\n  threads: {{ .Values.threads | quote }}\n",
}
"""Files in all of the user's own places."""

IGNORED = {
    ".env": f"DATABASE_PASSWORD={SECRET}\n",
    "dev/stack/keystone/clouds.yaml": f"password: {SECRET}\n",
    "devstack/placement.env": f"OS_KEYSTONE_AUTHTOKEN__PASSWORD={SECRET}\n",
}
"""Files with secrets that `make` writes and git ignores."""

ELSEWHERE = {
    "README.md": ("## Files\n", "## On call\n\nThe cloud team.\n\n"),
    "shared/placement-uwsgi.ini": ("[uwsgi]\n", "# Longer, for our slow proxy.\n"),
    "gabbits/traits.yaml": ("tests:\n", "# Ours are in local/.\n"),
}
"""Edits outside the own places, in files of every variant: a text, and what precedes it."""

DELETED = "devstack/placement-api.conf"
CI_STEP = ("make chart-test\n", "  # A step of ours.\n")


def use_own_places(repository: Path) -> None:
    """Write a file into each of the user's own places."""
    for name, text in OWN_PLACES.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text, encoding="utf-8")


def edit_template_files(repository: Path) -> None:
    """Edit files that belong to the template, and delete one."""
    for name, (before, text) in ELSEWHERE.items():
        insert(repository / name, before, text)
    (repository / DELETED).unlink()


def add_ci_step(repository: Path) -> None:
    """Add a step after the last one of the CI service's file, if the variant has one."""
    for name in (".github/workflows/ci.yml", ".gitlab-ci.yml"):
        if (repository / name).exists():
            last, text = CI_STEP
            insert(repository / name, last, last + text, replace=True)


def insert(path: Path, before: str, text: str, *, replace: bool = False) -> None:
    """Insert a text before another one that occurs once, or replace that one."""
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1, (path, before)
    path.write_text(old.replace(before, text if replace else text + before), encoding="utf-8")


def ignore(repository: Path, pattern: str) -> None:
    """Have git ignore more files."""
    with (repository / ".gitignore").open("a", encoding="utf-8") as file:
        file.write(f"{pattern}\n")


def write_secrets(repository: Path) -> None:
    """Write the files that `make up` and other targets keep secrets in."""
    for name, text in IGNORED.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text, encoding="utf-8")


def copy_and_edit(rendered: Path, repository: Path, *work: Callable[[Path], None]) -> Path:
    """Copy a rendered repository and have a user work in the copy."""
    shutil.copytree(rendered, repository)
    for step in work:
        step(repository)
    return repository


def copy_and_commit(rendered: Path, repository: Path, *work: Callable[[Path], None]) -> Path:
    """Copy a rendered repository, have a user work in the copy, and commit."""
    commit_all(copy_and_edit(rendered, repository, *work))
    return repository


def tree(repository: Path) -> Tree:
    """Return all files except git's own."""
    return {
        path.relative_to(repository).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
        for path in repository.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(repository).parts
    }


def differing(one: Tree, other: Tree) -> set[str]:
    """Name the files that differ."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def unresolved(repository: Path) -> set[str]:
    """Name the files that an update left in conflict or with rejected changes."""
    known = git(repository, "ls-files", "--cached", "--others", "--exclude-standard", "*").split()
    marked = {
        name
        for name in known
        if (repository / name).exists() and b"<<<<<<< before" in (repository / name).read_bytes()
    }
    rejected = git(repository, "ls-files", "--others", "*.rej").split()
    return {*git(repository, "diff", "--name-only", "--diff-filter=U").split(), *marked, *rejected}
