"""Any change of answers makes of a repository what a fresh copy would be, plus the user's work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extensions.deployment import Deployment
from tests.support.answer_changes import Change, between_files, pairwise
from tests.support.repositories import update
from tests.support.template import VALID, Render, change_answers, commit_all, git, load
from tests.support.work import (
    IGNORED,
    SECRET,
    add_a_ci_step,
    copied,
    differing,
    edit_elsewhere,
    tree,
    unsettled,
    use_own_places,
    worked,
    write_secrets,
)

CHANGES = [
    *pairwise(),
    *(pytest.param(it, marks=pytest.mark.only_all) for it in between_files()),
]


def changed(repository: Path, answers: dict[str, Any]) -> None:
    """Answer anew, by Copier's own function, and commit what comes of it."""
    update(repository, answers)
    assert unsettled(repository) == set()
    commit_all(repository)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_and_the_way_back_keep_all_that_the_user_did(
    change: Change, render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own places, edits elsewhere, a deleted file, and secrets that git does not see."""
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    deployments = Deployment(**change.before), Deployment(**change.after)
    work = [use_own_places, edit_elsewhere]
    if deployments[0].ci == deployments[1].ci:  # else the file goes, with the step in it
        work.append(add_a_ci_step)
    work.append(write_secrets)
    repository = copied(render(change.before), tmp_path / "repo", *work)
    before = tree(repository)
    after = tree(worked(render(change.after), tmp_path / "after", *work))

    changed(repository, change.there())
    assert differing(tree(repository), after) == set()
    if (back := change.back()) is not None:
        changed(repository, back)
        assert differing(tree(repository), before) == set()

    assert SECRET not in git(repository, "log", "--patch")
    assert all((repository / name).read_text() == text for name, text in IGNORED.items())


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_an_update_with_nothing_changed_changes_nothing(
    file: Path, render: Render, tmp_path: Path
) -> None:
    work = (use_own_places, edit_elsewhere, add_a_ci_step)
    repository = copied(render(load(file)), tmp_path / "repo", *work)
    before = git(repository, "rev-parse", "HEAD^{tree}")
    changed(repository, {})
    assert git(repository, "rev-parse", "HEAD^{tree}") == before


def test_an_answer_that_was_not_asked_in_between_is_at_its_default_again(
    render: Render, tmp_path: Path
) -> None:
    """By the command line; what docs/reference/updates.md warns of: `when` forgets."""
    answers = {"exposure": "ingress", "allow_noauth2_exposure": True, "host": "p.example.com"}
    repository = copied(render(answers), tmp_path / "repo")
    change_answers(repository, "exposure=none")
    assert "host" not in load(repository / ".copier-answers.yml")
    change_answers(repository, "exposure=ingress")
    assert load(repository / ".copier-answers.yml")["host"] == "placement.local"
