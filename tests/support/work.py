"""What a user does in a rendered repository, and what has to be there after any update."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.template import commit_all, git

Tree = dict[str, tuple[bytes, bool]]
"""Each file's content, and whether it can be executed."""

SECRET = "marker-of-a-secret"

OWN_PLACES = {
    "values.local.yaml": "threads: 3\n",
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
"""What `make` writes there with secrets in it, and git ignores."""

ELSEWHERE = {
    "README.md": ("## Files\n", "## Who is called at night\n\nThe one on duty.\n\n"),
    "shared/placement-uwsgi.ini": ("[uwsgi]\n", "# Longer, for our slow proxy.\n"),
    "gabbits/traits.yaml": ("tests:\n", "# Ours are in local/.\n"),
}
"""Outside these places: a text before which a user writes something, in files that stay."""

DELETED = "devstack/placement-api.conf"
CI_STEP = ("make chart-test\n", "  # A step of ours.\n")


def use_own_places(repository: Path) -> None:
    """Write into all of the user's own places."""
    for name, text in OWN_PLACES.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text, encoding="utf-8")


def edit_elsewhere(repository: Path) -> None:
    """Edit files of the template, and delete one."""
    for name, (before, text) in ELSEWHERE.items():
        insert(repository / name, before, text)
    (repository / DELETED).unlink()


def add_a_ci_step(repository: Path) -> None:
    """Write something after the last step of the workflow, where there is one."""
    for name in (".github/workflows/ci.yml", ".gitlab-ci.yml"):
        if (repository / name).exists():
            last, text = CI_STEP
            insert(repository / name, last, last + text, replace=True)


def insert(path: Path, before: str, text: str, *, replace: bool = False) -> None:
    """Write something before a text that is there once."""
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1, (path, before)
    path.write_text(old.replace(before, text if replace else text + before), encoding="utf-8")


def write_secrets(repository: Path) -> None:
    """Do as `make up` and others, which keep secrets in files that git ignores."""
    for name, text in IGNORED.items():
        (repository / name).write_text(text, encoding="utf-8")


def worked(rendered: Path, repository: Path, *work: Callable[[Path], None]) -> Path:
    """Copy a rendering and have a user work in it."""
    shutil.copytree(rendered, repository)
    for step in work:
        step(repository)
    return repository


def copied(rendered: Path, repository: Path, *work: Callable[[Path], None]) -> Path:
    """Copy a rendering, have a user work in it, and commit."""
    commit_all(worked(rendered, repository, *work))
    return repository


def tree(repository: Path) -> Tree:
    """Return all files but git's own."""
    return {
        path.relative_to(repository).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
        for path in repository.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(repository).parts
    }


def differing(one: Tree, other: Tree) -> set[str]:
    """Name the files that are not the same in both."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def unsettled(repository: Path) -> set[str]:
    """Name the files that an update has left in conflict, or beside which it left a rejection."""
    known = git(repository, "ls-files", "--cached", "--others", "--exclude-standard", "*").split()
    marked = {
        name
        for name in known
        if (repository / name).exists() and b"<<<<<<< before" in (repository / name).read_bytes()
    }
    rejected = git(repository, "ls-files", "--others", "*.rej").split()
    return {*git(repository, "diff", "--name-only", "--diff-filter=U").split(), *marked, *rejected}
