"""`make set`: show the difference, then apply all of it or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from tests.support.repositories import (
    Maintain,
    make,
    new_repository,
    publish,
    state,
    use_template,
)
from tests.support.template import commit_all, git, load
from tests.support.work import ignore, insert, tree

VALUES = "values.yaml"
UNDO = "git restore --source HEAD --staged --worktree ."


def replicas(repository: Path) -> int:
    """Return the number of replicas in the chart's values."""
    number: int = load(repository / VALUES)["replicaCount"]
    return number


def test_changed_answer_is_shown_staged_and_undone_by_the_printed_command(
    repository: Path,
) -> None:
    before = state(repository)
    done = make(repository, "set", "replicas=4", "host=p.example.com")
    assert done.returncode == 0, done.stderr
    assert "-replicaCount: 3\n+replicaCount: 4\n" in done.stdout
    assert UNDO in done.stdout
    assert replicas(repository) == 4
    assert load(repository / ".copier-answers.yml")["host"] == "p.example.com"
    assert git(repository, "diff") == ""
    changed = git(repository, "diff", "--cached", "--name-only").split()
    assert {".copier-answers.yml", VALUES} <= set(changed)
    subprocess.run(UNDO.split(), cwd=repository, check=True)
    assert state(repository) == before


def test_git_hook_can_run_make_set(repository: Path) -> None:
    """Git's variables for hooks name an index that is not the scratch work tree's."""
    index = {"GIT_DIR": ".git", "GIT_INDEX_FILE": str(repository / ".git/index")}
    done = make(repository, "set", "replicas=4", **index)
    assert done.returncode == 0, done.stderr
    assert replicas(repository) == 4
    assert git(repository, "diff") == ""


def test_unchanged_answer_changes_nothing(repository: Path, maintain: Maintain) -> None:
    before = state(repository)
    done = maintain(repository, "set", "replicas=3")
    assert done.returncode == 0
    assert "nothing to change" in done.stdout
    assert state(repository) == before


def set_on_a_terminal(repository: Path, pager: str) -> pexpect.spawn[str]:
    """Run `make set replicas=4` where it asks for confirmation."""
    environment = {**os.environ, "GIT_PAGER": pager}
    command = ["set", "replicas=4"]
    return pexpect.spawn(
        "make", command, cwd=str(repository), env=environment, encoding="utf-8", timeout=60
    )


def test_nothing_changes_on_a_terminal_without_confirmation(repository: Path) -> None:
    """Only `y` confirms; Copier's own --pretend shows nothing."""
    before = state(repository)
    for answer, number in (("n", 3), ("y", 4)):
        # A reader who has seen enough leaves the pager early.
        terminal = set_on_a_terminal(repository, pager="head -n 1")
        terminal.expect(r"answers\.yml[\s\S]*Apply these changes\? \[y/N\] ")
        assert state(repository)[:4] == before[:4]
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        assert replicas(repository) == number


def test_commit_during_the_confirmation_is_kept(repository: Path) -> None:
    """The difference that was shown no longer applies."""
    terminal = set_on_a_terminal(repository, pager="cat")
    terminal.expect(r"Apply these changes\?")
    (repository / "values.local.yaml").write_text("threads: 3\n")
    commit_all(repository)
    before = state(repository)[:4]
    terminal.sendline("y")
    terminal.expect("HEAD has moved in the meantime")
    terminal.expect(pexpect.EOF)
    assert state(repository)[:4] == before


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["replica=4"], "'replica': no such question; did you mean replicas?"),
        (["replicas=many"], "replicas: 'many' is not valid"),
        (["database=sqlite"], "replicas: SQLite serves a single process, not 3 replicas"),
        (["gateway_name=public"], "gateway_name is not used with these answers"),
        (["replicas"], "'replicas' is not an answer.\nWrite it as NAME=VALUE."),
        ([], "Pass one, as in `make set replicas=3`"),
    ],
)
def test_wrong_answer_is_refused_with_the_fix(
    repository: Path, maintain: Maintain, answers: list[str], message: str
) -> None:
    before = state(repository)
    done = maintain(repository, "set", *answers)
    assert done.returncode != 0
    assert message in done.stderr
    assert state(repository) == before


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["host=a b; touch /tmp/x $(HOME) 'q' \\"], "host: \"a b; touch /tmp/x $(HOME) 'q'"),
        ([], "Pass one, as in `make set replicas=3`"),
    ],
)
def test_make_passes_each_answer_literally(
    repository: Path, answers: list[str], message: str
) -> None:
    """Make escapes what it stores in MAKEOVERRIDES."""
    before = state(repository)
    done = make(repository, "set", *answers)
    assert done.returncode != 0
    assert message in done.stderr
    assert state(repository) == before


def test_set_stays_at_the_template_version(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    publish(template, "100.0.0", {"template/README.md.jinja": ("## Quick start\n", "## Image\n")})
    assert maintain(repository, "set", "replicas=4").returncode == 0
    assert "## Quick start\n" in (repository / "README.md").read_text()
    assert load(repository / ".copier-answers.yml")["_commit"] == "99.99.99"


def test_edited_file_that_an_answer_removes_is_named_before_its_deletion(
    repository: Path, maintain: Maintain
) -> None:
    """Copier alone deletes it silently, with the edits in it."""
    insert(repository / ".github/workflows/ci.yml", "jobs:\n", "# Ours.\n")
    (repository / ".github/workflows/mine.yml").write_text("name: mine\n")
    commit_all(repository)
    done = maintain(repository, "set", "ci=gitlab")
    assert done.returncode == 0, done.stderr
    warning = "ci.yml will be deleted, including your edits. They remain in the last commit."
    assert f".github/workflows/{warning}" in done.stdout
    assert ".github/workflows/update.yml will be deleted.\n" in done.stdout
    assert not (repository / ".github/workflows/ci.yml").exists()
    assert (repository / ".github/workflows/mine.yml").read_text() == "name: mine\n"


def test_users_own_values_stay_even_if_git_ignores_them(
    repository: Path, maintain: Maintain
) -> None:
    """Copier alone renders them again in a work tree that lacks them."""
    ignore(repository, "/values.local.yaml")
    git(repository, "rm", "--quiet", "--cached", "values.local.yaml")
    (repository / "values.local.yaml").write_text("threads: 3\n")
    commit_all(repository)
    done = maintain(repository, "set", "replicas=4")
    assert done.returncode == 0, done.stderr
    assert (repository / "values.local.yaml").read_text() == "threads: 3\n"
    assert replicas(repository) == 4


def test_folder_of_a_larger_repository_is_updated_alone(
    template: Path, tmp_path: Path, maintain: Maintain
) -> None:
    """Uncommitted changes outside the folder stay."""
    inside = new_repository(template, tmp_path / "all/placement", {})
    shutil.rmtree(inside / ".git")
    (tmp_path / "all/notes.txt").write_text("one\n")
    commit_all(tmp_path / "all")
    (tmp_path / "all/notes.txt").write_text("two\n")
    done = maintain(inside, "set", "network_policy=true")
    assert done.returncode == 0, done.stderr
    assert load(inside / VALUES)["networkPolicy"]["enabled"] is True
    assert (tmp_path / "all/notes.txt").read_text() == "two\n"
    subprocess.run(UNDO.split(), cwd=inside, check=True)
    assert git(inside, "status", "--porcelain") == " M notes.txt\n"


def test_relative_template_path_starts_at_the_repository(repository: Path) -> None:
    """Copier stores `../template` if that was the path on its command line."""
    use_template(repository, "../template")
    commit_all(repository)
    done = make(repository, "set", "replicas=4")
    assert done.returncode == 0, done.stderr
    assert replicas(repository) == 4


def test_users_own_defaults_for_copier_do_not_change_stored_answers(
    repository: Path, tmp_path: Path, maintain: Maintain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They apply to questions without a stored answer."""
    settings = tmp_path / "settings.yml"
    settings.write_text("defaults:\n  replicas: 9\n  host: other.example.com\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    done = maintain(repository, "set", "network_policy=true")
    assert done.returncode == 0, done.stderr
    stored = load(repository / ".copier-answers.yml")
    assert (stored["replicas"], stored["host"]) == (3, "placement.local")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_update_changes_nothing(repository: Path, number: int) -> None:
    """Copier alone leaves half an update; this tool updates a scratch work tree."""
    before, known = tree(repository), state(repository)
    command = ["dev/maintain", "set", "replicas=4"]
    done = subprocess.Popen(command, cwd=repository, stderr=subprocess.PIPE, text=True)
    # Half-way: Copier has started to write into the scratch work tree.
    while "replicas: 4" not in answers_in_scratch(repository):
        assert done.poll() is None
        time.sleep(0.005)
    done.send_signal(number)
    _, errors = done.communicate(timeout=30)
    assert done.returncode != 0
    assert tree(repository) == before
    if number != signal.SIGKILL:
        assert "Interrupted. Nothing was changed." in errors
        assert state(repository) == known
        return
    assert make(repository, "set", "replicas=4").returncode == 0
    assert replicas(repository) == 4


def answers_in_scratch(repository: Path) -> str:
    """Return the answers in the scratch work tree, or nothing before it exists."""
    try:
        listed = git(repository, "worktree", "list", "--porcelain")
        trees = [line[9:] for line in listed.splitlines() if line.startswith("worktree ")]
        return Path(trees[1], ".copier-answers.yml").read_text()
    except (subprocess.CalledProcessError, IndexError, FileNotFoundError):
        return ""  # git is still adding it
