"""No setting of git and no unusual content makes `make set` lose an edit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from copier_placement.errors import MaintenanceError
from copier_placement.repository import Repository
from copier_placement.update import check_merged
from tests.support.repositories import Maintain, make, state, use_template
from tests.support.template import commit_all, git
from tests.support.work import insert, tree, unresolved

OURS = "replicaCount: 3 # ours\n"
# Settings with which Copier alone loses edits without a message, some of them all edits.
SETTINGS = {
    "apply.whitespace": "error",
    "core.attributesFile": "{folder}/attributes",
    "core.excludesFile": "{folder}/ignored",
    "core.hooksPath": "{folder}/hooks",
    "status.showUntrackedFiles": "no",
}
FILES = {
    "attributes": "*.yaml -diff\n",
    "ignored": "*.yaml\n",
    "hooks/prepare-commit-msg": "#!/bin/sh\nexit 1\n",
}


def edit(repository: Path) -> None:
    """Edit the line that an answer decides, and another file, with a blank at a line's end."""
    insert(repository / "values.yaml", "replicaCount: 3\n", OURS, replace=True)
    insert(repository / "gabbi.yaml", "tests:\n", "# Ours. \n")
    commit_all(repository)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(SETTINGS), id="all settings"),
        *(pytest.param([name], id=name, marks=pytest.mark.only_all) for name in SETTINGS),
    ],
)
def test_settings_of_git_lose_no_edit(
    repository: Path,
    tmp_path: Path,
    maintain: Maintain,
    names: list[str],
) -> None:
    """The edit of the same line is a conflict, and the other one stays."""
    edit(repository)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    # As `git config` would in the repository or for the user.
    for name in names:
        git(repository, "config", name, SETTINGS[name].format(folder=tmp_path))
    done = maintain(repository, "set", "replicas=4")
    for name in names:
        git(repository, "config", "--unset", name)
    assert "Conflict: you and the template changed the same lines of values.yaml." in done.stdout
    assert unresolved(repository) == {"values.yaml"}
    assert OURS in (repository / "values.yaml").read_text()
    assert "# Ours. \n" in (repository / "gabbi.yaml").read_text()
    assert done.returncode == 1


def test_settings_of_git_in_the_environment_stay(repository: Path, template: Path) -> None:
    """A CI service passes credentials and addresses this way."""
    address = "https://git.example.com/template.git"
    use_template(repository, address)
    commit_all(repository)
    settings = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{template}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }
    done = make(repository, "set", "replicas=4", **settings)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b"# \xe9\n", b"# \0\n"], ids=["Latin-1", "NUL"])
def test_content_that_copier_cannot_merge_is_refused(
    repository: Path, maintain: Maintain, content: bytes
) -> None:
    """Copier drops bytes that are not UTF-8, and git shows no difference of binary files."""
    values = repository / "values.yaml"
    values.write_bytes(values.read_bytes() + content)
    commit_all(repository)
    before, known = tree(repository), state(repository)
    done = maintain(repository, "set", "replicas=4")
    assert done.returncode == 1
    assert "values.yaml is not text in UTF-8, so the update would lose your edits" in done.stderr
    assert "Convert the file to UTF-8" in done.stderr
    assert tree(repository) == before
    assert state(repository) == known


def reject(repository: Path) -> None:
    (repository / "values.yaml.rej").write_text("x\n")


def mark(repository: Path) -> None:
    (repository / "values.yaml").write_text("<<<<<<< before updating\n=======\n>>>>>>>\n")


@pytest.mark.parametrize(
    ("spoil", "message"), [(reject, "cannot merge your edits"), (mark, "leaves conflict markers")]
)
def test_outcome_with_an_unknown_conflict_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    """Should another setting or a newer git make Copier miss a conflict."""
    (tmp_path / "values.yaml").write_text("replicaCount: 3\n")
    commit_all(tmp_path)
    spoil(tmp_path)
    git(tmp_path, "add", "--all")
    with pytest.raises(MaintenanceError, match=f"{message}.*values.yaml"):
        check_merged(Repository(tmp_path), [])
    if spoil == mark:
        check_merged(Repository(tmp_path), ["values.yaml"])
