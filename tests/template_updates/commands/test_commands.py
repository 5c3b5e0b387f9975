"""`make set` and `make update`: a look at the difference, then all of it or nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.support.repositories import NO_POSTGRESQL, make, new_repository, publish, state
from tests.support.template import commit_all, git, load
from tests.support.work import insert, tree, unsettled

VALUES = "values.yaml"
TAKE_BACK = "git restore --source HEAD --staged --worktree ."
NEWS = ("# Changes\n", "# Changes\n\n## 100.0.0 (2030-01-01)\n\n- Answers to the moon.\n")


def replicas(repository: Path) -> int:
    """Return what the chart would start."""
    number: int = load(repository / VALUES)["replicaCount"]
    return number


def test_an_answer_is_changed_and_taken_back_as_it_says(repository: Path) -> None:
    """The difference is shown and staged, and one command undoes all of it."""
    before = state(repository)
    done = make(repository, "set", "replicas=4", "host=p.example.com")
    assert done.returncode == 0, done.stderr
    assert "-replicaCount: 3\n+replicaCount: 4\n" in done.stdout
    assert TAKE_BACK in done.stdout
    assert replicas(repository) == 4
    assert load(repository / ".copier-answers.yml")["host"] == "p.example.com"
    assert git(repository, "diff") == ""
    pages = ["docs/database.md", "docs/exposure.md", "docs/upgrades.md"]
    assert git(repository, "diff", "--cached", "--name-only").split() == sorted(
        [".copier-answers.yml", "README.md", *pages, VALUES]
    )
    subprocess.run(TAKE_BACK.split(), cwd=repository, check=True)
    assert state(repository) == before


def test_a_hook_may_run_it(repository: Path) -> None:
    """Git tells its hooks of an index that is not the scratch work tree's."""
    index = {"GIT_DIR": ".git", "GIT_INDEX_FILE": str(repository / ".git/index")}
    done = make(repository, "set", "replicas=4", **index)
    assert done.returncode == 0, done.stderr
    assert replicas(repository) == 4
    assert git(repository, "diff") == ""


def test_what_is_answered_already_changes_nothing(repository: Path) -> None:
    before = state(repository)
    done = make(repository, "set", "replicas=3")
    assert done.returncode == 0
    assert "nothing to change" in done.stdout
    assert state(repository) == before


def at_a_terminal(repository: Path, pager: str) -> pexpect.spawn[str]:
    """Ask for another answer where somebody can be asked."""
    environment = {**os.environ, "GIT_PAGER": pager}
    command = ["set", "replicas=4"]
    return pexpect.spawn(
        "make", command, cwd=str(repository), env=environment, encoding="utf-8", timeout=60
    )


def test_on_a_terminal_nothing_is_changed_without_a_yes(repository: Path) -> None:
    """`y` does it, anything else does not; Copier's own --pretend shows nothing."""
    before = state(repository)
    for answer, number in (("n", 3), ("y", 4)):
        # Who has seen enough leaves the pager early.
        asked = at_a_terminal(repository, pager="head -n 1")
        asked.expect(r"answers\.yml[\s\S]*Apply these changes\? \[y/N\] ")
        assert state(repository)[:4] == before[:4]
        asked.sendline(answer)
        asked.expect(pexpect.EOF)
        assert replicas(repository) == number


def test_a_commit_while_it_asks_is_not_undone(repository: Path) -> None:
    """What it showed is not what there is any more."""
    asked = at_a_terminal(repository, pager="cat")
    asked.expect(r"Apply these changes\?")
    (repository / "values.local.yaml").write_text("threads: 3\n")
    commit_all(repository)
    before = state(repository)[:4]
    asked.sendline("y")
    asked.expect("HEAD has moved in the meantime")
    asked.expect(pexpect.EOF)
    assert state(repository)[:4] == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["replica=4"], "'replica': no such question; did you mean replicas?"),
        (["replicas=many"], "replicas: is 'many'"),
        (["database=sqlite"], "replicas: SQLite serves a single process, not 3 replicas"),
        (["gateway_name=public"], "gateway_name is not used with these answers"),
        (["host=a b; touch /tmp/x $(HOME) 'q' \\"], "host: is"),
        ([], "Name one, as in `make set replicas=3`"),
    ],
)
def test_a_wrong_answer_is_refused_with_what_is_right(
    repository: Path, words: list[str], message: str
) -> None:
    before = state(repository)
    done = make(repository, "set", *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert state(repository) == before


def test_a_setting_does_not_take_a_newer_template_along(template: Path, repository: Path) -> None:
    publish(template, "100.0.0", {"template/README.md.jinja": ("## Quick start\n", "## Image\n")})
    assert make(repository, "set", "replicas=4").returncode == 0
    assert "## Quick start\n" in (repository / "README.md").read_text()
    assert load(repository / ".copier-answers.yml")["_commit"] == "99.99.99"


def test_the_newest_version_is_taken_and_said_what_is_new(template: Path, repository: Path) -> None:
    """The newest tag, and not what is in work beyond it."""
    publish(
        template,
        "100.0.0",
        {
            "template/README.md.jinja": ("## Quick start\n", "## Image\n"),
            "CHANGELOG.md": NEWS,
        },
    )
    insert(template / "template/README.md.jinja", "## Image\n", "Unfinished.\n\n")
    commit_all(template)
    done = make(repository, "update")
    assert done.returncode == 0, done.stderr
    assert "The template changes from version 99.99.99 to 100.0.0." in done.stdout
    assert "Answers to the moon." in done.stdout
    assert "## Image\n" in (repository / "README.md").read_text()
    assert "Unfinished" not in (repository / "README.md").read_text()
    assert load(repository / ".copier-answers.yml")["_commit"] == "100.0.0"


def test_one_version_of_several_is_taken(template: Path, repository: Path) -> None:
    """Never an older one."""
    for version in ("100.0.0", "101.0.0"):
        publish(template, version)
    assert "has no version 98" in make(repository, "update", "VERSION=98").stderr
    # A VERSION of the environment is somebody else's.
    assert make(repository, "update", "VERSION=100.0.0", VERSION="4.2").returncode == 0
    assert load(repository / ".copier-answers.yml")["_commit"] == "100.0.0"
    commit_all(repository)
    before = state(repository)
    done = make(repository, "update", "VERSION=99.99.99")
    assert done.returncode != 0
    assert "You are downgrading from 100.0.0 to 99.99.99" in done.stderr
    assert state(repository) == before


def test_a_conflict_keeps_both_versions_and_cannot_be_committed_unseen(
    template: Path, repository: Path
) -> None:
    """As after a merge: markers in the file, an unmerged path in git, and an exit code."""
    insert(repository / "README.md", "## Quick start\n", "## Our image\n", replace=True)
    commit_all(repository)
    before = state(repository)
    publish(template, "100.0.0", {"template/README.md.jinja": ("## Quick start\n", "## Image\n")})
    done = make(repository, "update")
    assert done.returncode != 0
    assert "Conflict: you and the template changed the same lines of README.md." in done.stdout
    assert unsettled(repository) == {"README.md"}
    text = (repository / "README.md").read_text()
    assert "## Our image\n" in text
    assert "## Image\n" in text
    commit = subprocess.run(["git", "commit", "-m", "x"], cwd=repository, capture_output=True)
    assert commit.returncode != 0
    subprocess.run(TAKE_BACK.split(), cwd=repository, check=True)
    assert state(repository) == before


def test_an_edited_file_that_an_answer_removes_is_named_before_it_goes(repository: Path) -> None:
    """Copier removes it with the edits in it, and says nothing."""
    insert(repository / ".github/workflows/ci.yml", "jobs:\n", "# Ours.\n")
    (repository / ".github/workflows/mine.yml").write_text("name: mine\n")
    commit_all(repository)
    done = make(repository, "set", "ci=gitlab")
    assert done.returncode == 0, done.stderr
    assert (
        ".github/workflows/ci.yml will be deleted, including your edits. They remain" in done.stdout
    )
    assert ".github/workflows/update.yml will be deleted.\n" in done.stdout
    assert not (repository / ".github/workflows/ci.yml").exists()
    assert (repository / ".github/workflows/mine.yml").read_text() == "name: mine\n"


def test_a_file_that_git_ignores_is_not_written_over(template: Path, repository: Path) -> None:
    """It is in no commit, so nothing would bring it back."""
    insert(repository / ".gitignore", "# What `make load`", "/notes.md\n")
    commit_all(repository)
    (repository / "notes.md").write_text("Only here.\n")
    (template / "template/notes.md").write_text("The template's.\n")
    publish(template, "100.0.0")
    before = state(repository)
    done = make(repository, "update")
    assert done.returncode != 0
    assert "that git ignores: " in done.stderr
    assert "notes.md" in done.stderr
    assert (repository / "notes.md").read_text() == "Only here.\n"
    assert state(repository) == before


def test_own_values_that_git_ignores_stay(repository: Path) -> None:
    """Copier would render them anew where it does not see them."""
    insert(repository / ".gitignore", "# What `make load`", "/values.local.yaml\n")
    git(repository, "rm", "--quiet", "--cached", "values.local.yaml")
    (repository / "values.local.yaml").write_text("threads: 3\n")
    commit_all(repository)
    done = make(repository, "set", "replicas=4")
    assert done.returncode == 0, done.stderr
    assert (repository / "values.local.yaml").read_text() == "threads: 3\n"
    assert replicas(repository) == 4


def test_a_folder_of_a_larger_repository_is_updated_alone(template: Path, tmp_path: Path) -> None:
    """What is not committed beside it stays."""
    inside = new_repository(template, tmp_path / "all/placement", {})
    shutil.rmtree(inside / ".git")
    (tmp_path / "all/notes.txt").write_text("one\n")
    commit_all(tmp_path / "all")
    (tmp_path / "all/notes.txt").write_text("two\n")
    done = make(inside, "set", "network_policy=true")
    assert done.returncode == 0, done.stderr
    assert load(inside / VALUES)["networkPolicy"]["enabled"] is True
    assert (tmp_path / "all/notes.txt").read_text() == "two\n"
    subprocess.run(TAKE_BACK.split(), cwd=inside, check=True)
    assert git(inside, "status", "--porcelain") == " M notes.txt\n"


def test_a_template_at_a_relative_path_is_found_from_the_repository(
    template: Path, repository: Path
) -> None:
    """As whoever copied from `../template` has it."""
    answers = repository / ".copier-answers.yml"
    answers.write_text(re.sub("_src_path: .*", "_src_path: ../template", answers.read_text()))
    commit_all(repository)
    done = make(repository, "set", "replicas=4")
    assert done.returncode == 0, done.stderr
    assert load(repository / VALUES)["replicaCount"] == 4


def test_a_users_own_defaults_for_copier_do_not_change_what_is_stored(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are for questions that nobody has answered yet."""
    settings = tmp_path / "settings.yml"
    settings.write_text("defaults:\n  replicas: 9\n  host: other.example.com\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    done = make(repository, "set", "network_policy=true")
    assert done.returncode == 0, done.stderr
    stored = load(repository / ".copier-answers.yml")
    assert (stored["replicas"], stored["host"]) == (3, "placement.local")


# ---- What is not fit for an update ----


def edit_answers(repository: Path, old: str, new: str) -> None:
    """Edit the answers by hand, against their own advice, and commit."""
    path = repository / ".copier-answers.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    commit_all(repository)


def untracked(repository: Path, template: Path) -> None:
    (repository / "notes.txt").write_text("mine\n")


def not_committed(repository: Path, template: Path) -> None:
    (repository / "values.local.yaml").write_text("threads: 2\n")


def sparse(repository: Path, template: Path) -> None:
    git(repository, "sparse-checkout", "set", "dev", "placement-chart")


def outside_git(repository: Path, template: Path) -> None:
    shutil.rmtree(repository / ".git")


def template_moved(repository: Path, template: Path) -> None:
    template.rename(template.with_name("elsewhere"))


def version_lost(repository: Path, template: Path) -> None:
    edit_answers(repository, "_commit: 99.99.99", "_commit: 99.99.99-1-gabcdef0")


def no_answers(repository: Path, template: Path) -> None:
    git(repository, "rm", "--quiet", ".copier-answers.yml")
    commit_all(repository)


def not_yaml(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: [3")


def no_mapping(repository: Path, template: Path) -> None:
    (repository / ".copier-answers.yml").write_text("- replicas\n")
    commit_all(repository)


def wrong_type(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: many")


def unknown_key(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: 3\nreplica: 4")


def removed_choice(repository: Path, template: Path) -> None:
    publish(template, "100.0.0", NO_POSTGRESQL)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (untracked, "not committed. Commit them"),
        (not_committed, "not committed. Commit them"),
        (sparse, "git sparse-checkout disable"),
        (outside_git, "git init && git add --all && git commit"),
        (template_moved, "If the template has moved, change `_src_path`"),
        (version_lost, "Copier cannot fetch version 99.99.99-1-gabcdef0"),
        (no_answers, ".copier-answers.yml is missing.\nRestore"),
        (not_yaml, ".copier-answers.yml cannot be read"),
        (no_mapping, "is not a mapping of names to answers.\nRestore"),
        (wrong_type, "replicas: is 'many'"),
        (unknown_key, "'replica': no such question; did you mean replicas?"),
        (removed_choice, "database: 'postgresql' is not a choice"),
    ],
    ids=lambda it: it.__name__ if callable(it) else "",
)
def test_what_cannot_be_updated_is_refused_and_stays_as_it_is(
    repository: Path, template: Path, spoil: Callable[[Path, Path], None], message: str
) -> None:
    """Each with what to do about it, by both commands."""
    spoil(repository, template)
    before = tree(repository)
    known = state(repository) if (repository / ".git").exists() else ()
    commands = [["update"], ["set", "replicas=4"]]
    # A setting alone stays with the version that has the choice.
    for words in commands[:1] if spoil == removed_choice else commands:
        done = make(repository, *words)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert tree(repository) == before
        assert not known or state(repository) == known


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_update_leaves_nothing_half_done(repository: Path, number: int) -> None:
    """Copier by itself would leave half an update; here it works elsewhere until the end."""
    before, known = tree(repository), state(repository)
    command = ["dev/maintain", "set", "replicas=4"]
    done = subprocess.Popen(command, cwd=repository, stderr=subprocess.PIPE, text=True)
    # Half-way is when Copier has begun to write into the scratch work tree.
    while "replicas: 4" not in answers_of_scratch(repository):
        assert done.poll() is None
        time.sleep(0.005)
    done.send_signal(number)
    _, said = done.communicate(timeout=30)
    assert done.returncode != 0
    assert tree(repository) == before
    if number != signal.SIGKILL:
        assert "Interrupted. Nothing was changed." in said
        assert state(repository) == known
        return
    assert make(repository, "set", "replicas=4").returncode == 0
    assert replicas(repository) == 4


def answers_of_scratch(repository: Path) -> str:
    """Return the answers in the scratch work tree, or nothing where there is none yet."""
    listed = git(repository, "worktree", "list", "--porcelain")
    trees = [line.split(" ", 1)[1] for line in listed.splitlines() if line.startswith("worktree ")]
    try:
        return Path(trees[1], ".copier-answers.yml").read_text()
    except (IndexError, FileNotFoundError):
        return ""
