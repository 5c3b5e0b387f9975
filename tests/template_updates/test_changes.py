"""After any change of answers a repository equals a fresh copy with the user's work in it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from extensions.deployment import Deployment
from tests.support.answer_changes import Change, between_files, both_directions, pairwise
from tests.support.repositories import update
from tests.support.template import VALID, Render, commit_all, git, load
from tests.support.work import (
    IGNORED,
    SECRET,
    add_ci_step,
    copy_and_commit,
    copy_and_edit,
    differing,
    edit_template_files,
    tree,
    unresolved,
    use_own_places,
    write_secrets,
)

CHANGES = [
    *pairwise(),
    *(
        pytest.param(change, marks=pytest.mark.only_all)
        for change in itertools.chain(both_directions(), between_files())
    ),
]


# The variants with the most unusual answers, and the default.
UNCHANGED = [
    file
    if file.stem
    in (
        "air-gapped",
        "default",
        "keystone-names",
        "longest-answers",
        "text-that-yaml-reads-as-other-types",
    )
    else pytest.param(file, marks=pytest.mark.only_all)
    for file in VALID
]


def change_and_commit(repository: Path, answers: dict[str, Any]) -> None:
    """Change answers with Copier's own function, and commit the result."""
    update(repository, answers)
    assert unresolved(repository) == set()
    commit_all(repository)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_change_and_its_undoing_keep_the_users_work(
    change: Change, render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own places, edits of template files, a deleted file, and secrets that git ignores."""
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    deployments = Deployment(**change.before), Deployment(**change.after)
    work = [use_own_places, edit_template_files]
    if deployments[0].ci == deployments[1].ci:  # otherwise the file is deleted with the step in it
        work.append(add_ci_step)
    work.append(write_secrets)
    repository = copy_and_commit(render(change.before), tmp_path / "repo", *work)
    before = tree(repository)
    after = tree(copy_and_edit(render(change.after), tmp_path / "after", *work))

    change_and_commit(repository, change.there())
    assert differing(tree(repository), after) == set()
    if (back := change.back()) is not None:
        change_and_commit(repository, back)
        assert differing(tree(repository), before) == set()

    assert SECRET not in git(repository, "log", "--patch")
    assert all((repository / name).read_text() == text for name, text in IGNORED.items())


@pytest.mark.parametrize("file", UNCHANGED, ids=lambda file: file.stem)
def test_update_without_a_change_changes_nothing(
    file: Path, render: Render, tmp_path: Path
) -> None:
    work = (use_own_places, edit_template_files, add_ci_step)
    repository = copy_and_commit(render(load(file)), tmp_path / "repo", *work)
    before = git(repository, "rev-parse", "HEAD^{tree}")
    change_and_commit(repository, {})
    assert git(repository, "rev-parse", "HEAD^{tree}") == before


def test_answer_is_reset_while_its_question_is_not_asked(render: Render, tmp_path: Path) -> None:
    """Copier forgets an answer if `when` is false; docs/reference/updates.md warns of it."""
    answers = {"exposure": "ingress", "allow_noauth2_exposure": True, "host": "p.example.com"}
    repository = copy_and_commit(render(answers), tmp_path / "repo")
    change_and_commit(repository, {"exposure": "none"})
    assert "host" not in load(repository / ".copier-answers.yml")
    change_and_commit(repository, {"exposure": "ingress"})
    assert load(repository / ".copier-answers.yml")["host"] == "placement.local"
