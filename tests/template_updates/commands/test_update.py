"""`make update`: to the newest version of the template, or to a given one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.repositories import CHANGELOG, Maintain, make, publish, state
from tests.support.template import commit_all, git, load
from tests.support.work import ignore, insert, unresolved

UNDO = "git restore --source HEAD --staged --worktree ."


def test_newest_release_is_applied_and_its_changes_are_shown(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    """The newest tag, without unfinished work beyond it.

    A heading of CHANGELOG.md that is no version stops no update.
    """
    publish(
        template,
        "100.0.0",
        {
            "template/README.md.jinja": ("## Quick start\n", "## Image\n"),
            "CHANGELOG.md": CHANGELOG,
        },
    )
    insert(template / "template/README.md.jinja", "## Image\n", "Unfinished.\n\n")
    commit_all(template)
    done = maintain(repository, "update")
    assert done.returncode == 0, done.stderr
    assert "The template changes from version 99.99.99 to 100.0.0." in done.stdout
    assert "Answers to the moon." in done.stdout
    assert "Lost." not in done.stdout
    assert "## Image\n" in (repository / "README.md").read_text()
    assert "Unfinished" not in (repository / "README.md").read_text()
    assert load(repository / ".copier-answers.yml")["_commit"] == "100.0.0"


def test_given_version_is_applied_unless_it_is_older(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    for version in ("100.0.0", "101.0.0"):
        publish(template, version)
    assert "has no version 98" in maintain(repository, "update", "98").stderr
    # A VERSION in the environment is not meant for this command.
    assert make(repository, "update", "VERSION=100.0.0", VERSION="4.2").returncode == 0
    assert load(repository / ".copier-answers.yml")["_commit"] == "100.0.0"
    commit_all(repository)
    before = state(repository)
    done = maintain(repository, "update", "99.99.99")
    assert done.returncode != 0
    assert "You are downgrading from 100.0.0 to 99.99.99" in done.stderr
    assert state(repository) == before


def test_conflict_keeps_both_versions_and_blocks_the_commit(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    """As after a merge: markers in the file, an unmerged path in git, and an exit code."""
    insert(repository / "README.md", "## Quick start\n", "## Our image\n", replace=True)
    commit_all(repository)
    before = state(repository)
    publish(template, "100.0.0", {"template/README.md.jinja": ("## Quick start\n", "## Image\n")})
    done = maintain(repository, "update")
    assert done.returncode != 0
    assert "Conflict: you and the template changed the same lines of README.md." in done.stdout
    assert unresolved(repository) == {"README.md"}
    text = (repository / "README.md").read_text()
    assert "## Our image\n" in text
    assert "## Image\n" in text
    commit = subprocess.run(["git", "commit", "-m", "x"], cwd=repository, capture_output=True)
    assert commit.returncode != 0
    subprocess.run(UNDO.split(), cwd=repository, check=True)
    assert state(repository) == before


def test_file_that_git_ignores_is_not_overwritten(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    """No commit holds it, so nothing could restore it."""
    ignore(repository, "/notes.md")
    commit_all(repository)
    (repository / "notes.md").write_text("Only here.\n")
    (template / "template/notes.md").write_text("The template's.\n")
    publish(template, "100.0.0")
    before = state(repository)
    done = maintain(repository, "update")
    assert done.returncode != 0
    assert "that git ignores: notes.md" in done.stderr
    assert (repository / "notes.md").read_text() == "Only here.\n"
    assert state(repository) == before


def test_conflict_in_the_makefile_names_the_command_without_make(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    insert(repository / "Makefile", "lint: ", "# Ours.\n")
    commit_all(repository)
    publish(template, "100.0.0", {"template/Makefile.jinja": ("\nlint: ", "\n# Theirs.\nlint: ")})
    done = maintain(repository, "update")
    assert done.returncode == 1
    assert "Use `dev/maintain doctor` instead of `make doctor`." in done.stdout
    assert git(repository, "diff", "--name-only", "--diff-filter=U") == "Makefile\n"
