"""`make doctor` reports each problem with its fix, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from copier_placement.doctor.cluster import Cluster
from copier_placement.doctor.environments import clusters
from tests.support.repositories import CHANGELOG, Maintain, edit_answers, make, publish
from tests.support.template import commit_all, git
from tests.support.work import insert, use_own_places

INI = "shared/placement-uwsgi.ini"
DELETED_INI = f"{INI} belongs to the template, but is deleted here"


def read(text: str, code: int) -> list[dict[str, str]]:
    """Return the findings; the exit code has to agree with them."""
    report = json.loads(text)
    assert report["ok"] == (code == 0) == (report["findings"] == [])
    found: list[dict[str, str]] = report["findings"]
    return found


@pytest.fixture
def doctor(maintain: Maintain) -> Callable[[Path], list[dict[str, str]]]:
    """Return the findings about a repository."""

    def doctor(repository: Path) -> list[dict[str, str]]:
        done = maintain(repository, "doctor", "--json")
        return read(done.stdout, done.returncode)

    return doctor


def make_doctor(repository: Path, **environment: str) -> list[dict[str, str]]:
    """Return what `make doctor` finds in the repository and the cluster."""
    done = make(repository, "doctor", "ARGS=--json --cluster", **environment)
    return read(done.stdout, done.returncode)


def write_environment(repository: Path, name: str, values: str = "") -> None:
    """Write an environment in a namespace with its name."""
    file = repository / "environments" / name / "values.yaml"
    file.parent.mkdir(parents=True)
    host = f"ingress: {{host: {name}.example.com}}\n"
    file.write_text(f"environment: {{namespace: {name}}}\n{host}{values}")


def test_users_own_places_are_no_problems(
    repository: Path, doctor: Callable[[Path], list[dict[str, str]]]
) -> None:
    use_own_places(repository)
    commit_all(repository)
    assert doctor(repository) == []
    assert git(repository, "status", "--porcelain") == ""


def test_each_problem_is_reported_once_with_its_fix(
    repository: Path, template: Path, doctor: Callable[[Path], list[dict[str, str]]]
) -> None:
    """All of them at once, and nothing else."""
    publish(template, "100.0.0", {"CHANGELOG.md": CHANGELOG})
    # Committed: a deleted file, conflict markers, an answer to a question that is not asked.
    git(repository, "rm", "--quiet", INI)
    markers = "<<<<<<< before updating\na\n=======\nb\n>>>>>>> after updating\n"
    (repository / "gabbits/local/mine.yaml").write_text(markers)
    edit_answers(repository, "replicas: 3", "replicas: 3\nkeystone_region: here")
    commit_all(repository)
    # Not committed.
    insert(repository / "values.yaml", "replicaCount: 3\n", "# Ours.\n")
    engine = repository / "dev/stack/engine"
    engine.write_bytes(engine.read_bytes().replace(b"\n", b"\r\n"))
    (repository / "dev/maintain").chmod(0o644)
    (repository / "values.local.yaml").unlink()
    (repository / "Makefile.rej").write_text("x\n")
    write_environment(repository, "staging", "database: {backend: mysql}\n")
    foreign = "placement-chart/templates/autoscaler.yaml"
    (repository / foreign).write_text("kind: ConfigMap\n")

    expected = [
        ("answers", "keystone_region is not used", "delete the line"),
        ("conflicts", "gabbits/local/mine.yaml has an unresolved conflict", "choose between"),
        ("conflicts", "Makefile.rej holds changes", "apply them to Makefile by hand"),
        ("drift", "values.yaml differs from what the template renders", "your own places"),
        ("drift", "dev/stack/engine differs", "updates merge it here"),
        ("drift", "dev/maintain is not executable", "chmod +x dev/maintain"),
        ("environments", "environments/staging/values.yaml: database.backend is mysql", "make set"),
        ("files", "values.local.yaml belongs to the template", "git checkout HEAD --"),
        ("files", DELETED_INI, "git checkout"),
        ("files", f"{foreign} is not part of the template", "local-"),
        ("template", "version 100.0.0 is available, this is 99.99.99", "make update"),
    ]
    found = doctor(repository)
    for check, problem, fix in expected:
        [finding] = [
            finding
            for finding in found
            if finding["check"] == check and problem in finding["problem"]
        ]
        assert fix in finding["fix"]
        found.remove(finding)
        if problem == "dev/stack/engine differs":
            assert "+#!/bin/sh\\r\n" in finding["detail"]
    assert found == []


def unknown_answer(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: 3\nreplica: 3")
    commit_all(repository)


def broken_answers(repository: Path, template: Path) -> None:
    edit_answers(repository, "replicas: 3", "replicas: [3")
    commit_all(repository)


def stricter_rule(repository: Path, template: Path) -> None:
    rule = ("whole_number(0, MOST_REPLICAS)", "whole_number(0, 2)")
    publish(template, "100.0.0", {"extensions/rules.py": rule})


def newer_copier(repository: Path, template: Path) -> None:
    publish(template, "100.0.0", {"copier.yml": ('"9.19.1"', '"99.0"')})


def no_git(repository: Path, template: Path) -> None:
    shutil.rmtree(repository / ".git")


@pytest.mark.parametrize(
    ("spoil", "check", "problem", "fix"),
    [
        (unknown_answer, "answers", "'replica': no such question; did you mean replicas?", ""),
        (broken_answers, "answers", "cannot be read", "Restore what Copier wrote"),
        (stricter_rule, "template", "replicas: 3 is not valid; use a whole number", "make set"),
        (newer_copier, "template", "a newer version of the template is available", "make update"),
        (no_git, "git", "not in git", "git init"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_problem_that_ends_the_checks_is_reported_alone(
    repository: Path,
    template: Path,
    doctor: Callable[[Path], list[dict[str, str]]],
    spoil: Callable[[Path, Path], None],
    check: str,
    problem: str,
    fix: str,
) -> None:
    spoil(repository, template)
    [finding] = doctor(repository)
    assert finding["check"] == check
    assert problem in finding["problem"]
    assert fix in finding["fix"]


def test_deleted_file_is_restored_by_the_printed_command(
    repository: Path, maintain: Maintain, doctor: Callable[[Path], list[dict[str, str]]]
) -> None:
    """Updates never restore it, even if the template comes to need it."""
    before = (repository / INI).read_text()
    git(repository, "rm", "--quiet", INI)
    commit_all(repository)
    assert maintain(repository, "set", "replicas=4").returncode == 0
    commit_all(repository)
    [finding] = doctor(repository)
    git(repository, *finding["fix"].partition("git ")[2].split())
    assert (repository / INI).read_text() == before


def test_report_shows_the_difference_and_the_newer_changes(
    repository: Path, template: Path
) -> None:
    """By make: what was edited, and the sections of the template's CHANGELOG.md."""
    insert(repository / "values.yaml", "replicaCount: 3\n", "# Ours.\n")
    publish(template, "100.0.0", {"CHANGELOG.md": CHANGELOG})
    done = make(repository, "doctor")
    assert done.returncode != 0
    assert "+# Ours.\n" in done.stdout
    assert "Answers to the moon." in done.stdout
    assert "2 problems." in done.stdout


def test_missing_tools_are_named(repository: Path, tmp_path: Path) -> None:
    """With a PATH that has Debian's programs except these."""
    few = tmp_path / "bin"
    few.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name not in ("docker", "podman", "helm", "kubectl"):
            (few / path.name).symlink_to(path)
    found = make_doctor(repository, PATH=str(few))
    assert {finding["check"] for finding in found} == {"tools"}
    named = " ".join(finding["problem"] for finding in found)
    assert all(name in named for name in ("docker or podman", "helm", "kubectl"))


def test_unreachable_cluster_is_not_reported_as_missing_secrets(repository: Path) -> None:
    """An unknown state is reported as unknown; tests/cluster/ checks a real cluster."""
    found = make_doctor(repository, KUBECONFIG=os.devnull)
    [problem] = [finding["problem"] for finding in found]
    if shutil.which("kubectl"):
        assert problem.startswith("kubectl cannot read the Secrets")
    else:
        assert "kubectl is missing" in problem


def test_each_environment_is_checked_in_its_cluster(
    repository: Path, maintain: Maintain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only environments, because nothing else is deployed. The findings name them."""
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    for name in ("production", "staging"):
        write_environment(repository, name)
    done = maintain(repository, "doctor", "--json", "--cluster")
    found = [finding["problem"] for finding in read(done.stdout, done.returncode)]
    if shutil.which("kubectl"):
        assert [problem.partition(" cannot read ")[0] for problem in found] == [
            "production: kubectl",
            "staging: kubectl",
        ]
    else:
        assert "kubectl is missing" in found[0]


def test_an_environment_that_helm_cannot_render_is_a_problem(repository: Path) -> None:
    """Its Secrets are not known then."""
    write_environment(repository, "staging", "threads: x\n")
    [staging] = clusters(repository, Cluster("", "", "", []))
    first = next(staging.findings(repository))
    assert (first.problem, first.fix) == (
        "staging: Helm cannot render the chart",
        "make chart-test",
    )


def test_damaged_file_is_found_in_the_newest_version(repository: Path, maintain: Maintain) -> None:
    """An update applies differences only, so it never repairs the file."""
    (repository / "compose.yaml").write_text("services: {}\n")
    commit_all(repository)
    assert "nothing to change" in maintain(repository, "update").stdout
    done = maintain(repository, "doctor")
    assert done.returncode != 0
    assert "compose.yaml differs from what the template renders" in done.stdout
