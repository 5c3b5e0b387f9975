"""`make doctor` says what is not well, and says nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repositories import make, publish
from tests.support.template import change_answers, commit_all, git
from tests.support.work import insert, use_own_places
from tests.template_updates.commands.test_commands import NEWS, edit_answers

CI = ".github/workflows/ci.yml"


def findings(repository: Path, *flags: str, **options: str) -> list[dict[str, str]]:
    """Return what it finds, as a program gets to know; its exit code has to say the same."""
    done = make(repository, "doctor", f"ARGS={' '.join(['--json', *flags])}", **options)
    told = json.loads(done.stdout)
    assert told["ok"] == (done.returncode == 0) == (told["findings"] == [])
    found: list[dict[str, str]] = told["findings"]
    return found


def test_all_is_well_with_what_a_user_wrote_in_their_own_places(repository: Path) -> None:
    use_own_places(repository)
    commit_all(repository)
    assert findings(repository) == []
    assert git(repository, "status", "--porcelain") == ""


def drift(repository: Path, template: Path) -> None:
    insert(repository / "values.yaml", "replicaCount: 3\n", "# Ours.\n")


def windows_line_ends(repository: Path, template: Path) -> None:
    path = repository / "dev/stack/engine"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def no_own_values(repository: Path, template: Path) -> None:
    (repository / "values.local.yaml").unlink()


def lost_right(repository: Path, template: Path) -> None:
    (repository / "dev/stack/engine").chmod(0o644)


def deleted(repository: Path, template: Path) -> None:
    git(repository, "rm", "--quiet", "shared/placement-uwsgi.ini")
    commit_all(repository)


def markers(repository: Path, template: Path) -> None:
    text = "<<<<<<< before updating\na\n=======\nb\n>>>>>>> after updating\n"
    (repository / "values.local.yaml").write_text(text)
    commit_all(repository)


def rejection(repository: Path, template: Path) -> None:
    (repository / "Makefile.rej").write_text("x\n")


def unknown_answer(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: 3\nreplica: 3")


def idle_answer(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: 3\nkeystone_region: here")


def broken_answers(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: [3")


def newer(repository: Path, template: Path) -> None:
    publish(template, "100.0.0", {"CHANGELOG.md": NEWS})


def stricter(repository: Path, template: Path) -> None:
    rule = ("whole_number(0, MOST_REPLICAS)", "whole_number(0, 2)")
    publish(template, "100.0.0", {"extensions/rules.py": rule})


def foreign_template(repository: Path, template: Path) -> None:
    (repository / "placement-chart/templates/autoscaler.yaml").write_text("kind: ConfigMap\n")


def no_git(repository: Path, template: Path) -> None:
    shutil.rmtree(repository / ".git")


@pytest.mark.parametrize(
    ("spoil", "check", "what", "do"),
    [
        (drift, "drift", "values.yaml differs", "your own places"),
        (windows_line_ends, "drift", "+#!/bin/sh\\r\n", "updates merge it here"),
        (
            no_own_values,
            "files",
            "values.local.yaml belongs to the template",
            "git checkout HEAD --",
        ),
        (lost_right, "drift", "dev/stack/engine is not executable", "chmod +x dev/stack/engine"),
        (deleted, "files", "shared/placement-uwsgi.ini belongs to the template", "git checkout"),
        (markers, "conflicts", "values.local.yaml has an unresolved conflict", "choose between"),
        (rejection, "conflicts", "Makefile.rej holds changes", "apply them to Makefile by hand"),
        (unknown_answer, "answers", "'replica': no such question; did you mean replicas?", ""),
        (idle_answer, "answers", "keystone_region is not used", "delete the line"),
        (broken_answers, "answers", "cannot be read", "Restore what Copier wrote"),
        (newer, "template", "version 100.0.0 is available, this is 99.99.99", "make update"),
        (stricter, "template", "replicas: 3 is not valid; use a whole number", "make set"),
        (foreign_template, "files", "autoscaler.yaml is not part of the template", "local-"),
        (no_git, "git", "not in git", "git init"),
    ],
    ids=lambda it: it.__name__ if callable(it) else "",
)
def test_what_is_not_well_is_found_with_what_to_do(
    repository: Path,
    template: Path,
    spoil: Callable[[Path, Path], None],
    check: str,
    what: str,
    do: str,
) -> None:
    """One thing each time, and nothing beside it."""
    spoil(repository, template)
    [found] = findings(repository)
    assert found["check"] == check
    assert what in found["problem"] + found["detail"]
    assert do in found["fix"]


def test_a_deleted_file_comes_back_by_the_command_it_says(repository: Path) -> None:
    """Copier leaves it away for ever, even when the template comes to need it."""
    before = (repository / "shared/placement-uwsgi.ini").read_text()
    deleted(repository, repository)
    change_answers(repository, "replicas=4")
    [found] = findings(repository)
    git(repository, *found["fix"].partition("git ")[2].split())
    assert (repository / "shared/placement-uwsgi.ini").read_text() == before


def test_the_difference_and_the_news_are_shown(repository: Path, template: Path) -> None:
    """For a person: what was edited, and what CHANGELOG.md says is new."""
    drift(repository, template)
    newer(repository, template)
    done = make(repository, "doctor")
    assert done.returncode != 0
    assert "+# Ours.\n" in done.stdout
    assert "Answers to the moon." in done.stdout
    assert "2 problems." in done.stdout


def test_tools_that_are_missing_are_named(repository: Path, tmp_path: Path) -> None:
    """A PATH with all that Debian has, and none of these."""
    few = tmp_path / "bin"
    few.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name not in ("docker", "podman", "helm", "kubectl"):
            (few / path.name).symlink_to(path)
    found = findings(repository, "--cluster", PATH=str(few))
    assert {it["check"] for it in found} == {"tools"}
    named = " ".join(it["problem"] for it in found)
    assert all(name in named for name in ("docker or podman", "helm", "kubectl"))


def test_a_cluster_that_does_not_answer_is_no_cluster_without_secrets(repository: Path) -> None:
    """What cannot be known is said to be so; tests/cluster/ asks a real one."""
    found = findings(repository, "--cluster", KUBECONFIG=os.devnull)
    if shutil.which("kubectl"):
        assert [it["problem"][:27] for it in found] == ["kubectl cannot read the Secrets"[:27]]
    else:
        assert ["kubectl is missing" in it["problem"] for it in found] == [True]


def test_a_botched_file_is_found_though_the_version_is_the_newest(repository: Path) -> None:
    """An update replays the difference only, so it never heals what went wrong before."""
    (repository / "compose.yaml").write_text("services: {}\n")
    commit_all(repository)
    assert "nothing to change" in make(repository, "update").stdout
    done = make(repository, "doctor")
    assert done.returncode != 0
    assert "compose.yaml differs from what the template renders" in done.stdout
