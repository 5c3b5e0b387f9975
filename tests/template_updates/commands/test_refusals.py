"""What `make set` and `make update` refuse, each with the fix, and without any change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repositories import (
    NO_POSTGRESQL,
    Maintain,
    edit_answers,
    publish,
    state,
)
from tests.support.template import commit_all, git
from tests.support.work import tree


def untracked(repository: Path, template: Path) -> None:
    (repository / "notes.txt").write_text("mine\n")


def uncommitted(repository: Path, template: Path) -> None:
    (repository / "values.local.yaml").write_text("threads: 2\n")


def sparse(repository: Path, template: Path) -> None:
    git(repository, "sparse-checkout", "set", "dev", "placement-chart")


def outside_git(repository: Path, template: Path) -> None:
    shutil.rmtree(repository / ".git")


def template_moved(repository: Path, template: Path) -> None:
    template.rename(template.with_name("elsewhere"))


def version_lost(repository: Path, template: Path) -> None:
    edit_answers(repository, "_commit: 99.99.99", "_commit: 99.99.99-1-gabcdef0")
    commit_all(repository)


def no_answers(repository: Path, template: Path) -> None:
    git(repository, "rm", "--quiet", ".copier-answers.yml")
    commit_all(repository)


def not_yaml(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: [3")
    commit_all(repository)


def not_a_mapping(repository: Path, template: Path) -> None:
    (repository / ".copier-answers.yml").write_text("- replicas\n")
    commit_all(repository)


def wrong_type(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: many")
    commit_all(repository)


def unknown_name(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: 3\nreplica: 4")
    commit_all(repository)


def removed_choice(repository: Path, template: Path) -> None:
    publish(template, "100.0.0", NO_POSTGRESQL)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (untracked, "not committed. Commit them"),
        (uncommitted, "not committed. Commit them"),
        (sparse, "git sparse-checkout disable"),
        (outside_git, "git init && git add --all && git commit"),
        (template_moved, "If the template has moved, change `_src_path`"),
        (version_lost, "Copier cannot fetch version 99.99.99-1-gabcdef0"),
        (no_answers, ".copier-answers.yml is missing.\nRestore"),
        (not_yaml, ".copier-answers.yml cannot be read"),
        (not_a_mapping, "is not a mapping of names to answers.\nRestore"),
        (wrong_type, "replicas: 'many' is not valid"),
        (unknown_name, "'replica': no such question; did you mean replicas?"),
        (removed_choice, "database: 'postgresql' is not a choice"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_refused_update_changes_nothing_and_names_the_fix(
    repository: Path,
    template: Path,
    maintain: Maintain,
    spoil: Callable[[Path, Path], None],
    message: str,
) -> None:
    """By both commands; only an update meets a choice that the newest version has removed."""
    spoil(repository, template)
    before = tree(repository)
    known = state(repository) if (repository / ".git").exists() else ()
    commands = [["update"], ["set", "replicas=4"]]
    for command in commands[:1] if spoil == removed_choice else commands:
        done = maintain(repository, *command)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert tree(repository) == before
        assert not known or state(repository) == known
