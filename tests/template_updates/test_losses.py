"""Losses that users of other templates have reported, and that no other test covers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from extensions.deployment import QUESTIONS
from tests.support.repositories import publish, update
from tests.support.template import ROOT, VALID, Render, commit_all, load
from tests.support.work import copy_and_commit, insert, unresolved


def test_generated_password_survives_a_change(render: Render, tmp_path: Path) -> None:
    """The repository's own script generates it, before other answers require more passwords."""
    repository = copy_and_commit(render({"database": "postgresql"}), tmp_path / "repo")
    secrets = ["dev/stack/servers/passwords.sh", "DATABASE_PASSWORD"]
    subprocess.run(secrets, cwd=repository, check=True)
    password = (repository / ".env").read_text()
    assert re.fullmatch(r"DATABASE_PASSWORD=[0-9a-f]{48}\n", password)
    update(repository, {"auth_strategy": "keystone", "database_secret": "other"})
    assert (repository / ".env").read_text() == password
    subprocess.run([*secrets, "KEYSTONE_ADMIN_PASSWORD"], cwd=repository, check=True)
    assert (repository / ".env").read_text().startswith(password)


@pytest.mark.parametrize("edit", ["the same line", "the next line"])
def test_edit_next_to_an_answer_conflicts_visibly(
    edit: str, render: Render, tmp_path: Path
) -> None:
    """In the line that an answer decides, and in its neighbour."""
    repository = copy_and_commit(render({"database": "mysql", "replicas": 2}), tmp_path / "repo")
    values = repository / "values.yaml"
    if edit == "the same line":
        insert(values, "replicaCount: 2\n", "replicaCount: 3 # ours\n", replace=True)
    else:
        insert(values, "replicaCount: 2\n", "# ours\n")
    commit_all(repository)
    update(repository, {"replicas": 4})
    text = values.read_text()
    assert "ours\n" in text
    assert "replicaCount: 4\n" in text
    assert unresolved(repository) == {"values.yaml"}


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_no_derived_value_is_stored(file: Path, render: Render) -> None:
    """A stored copy would go stale when the answers it follows from change."""
    stored = load(render(load(file)) / ".copier-answers.yml")
    assert stored.keys() <= {"_commit", "_src_path", *QUESTIONS}
    computed = yaml.safe_load((ROOT / "copier.yml").read_text())
    assert all(computed[name].get("when") is not False for name in QUESTIONS)


def test_change_of_an_answer_runs_no_task_and_no_migration(
    render: Render, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Copier would run a task three times in an update; migrations belong to newer versions."""
    repository = copy_and_commit(render({}), tmp_path / "repo")
    update(repository, {"network_policy": True}, quiet=False)
    output = capfd.readouterr().err
    assert "Keeping template version" in output
    assert "Running task" not in output


def test_misspelt_name_in_a_template_stops_the_render(template: Path, tmp_path: Path) -> None:
    """Jinja's default would render it as empty text, in a file that somebody deploys."""
    publish(template, "100.0.0", {"template/README.md.jinja": ("## Quick start\n", "{{ imag }}\n")})
    command = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults"]
    done = subprocess.run(
        [*command, template, tmp_path / "out"], text=True, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert "'imag' is undefined" in done.stderr
    assert not (tmp_path / "out").exists()


def test_each_loss_in_the_documentation_has_its_test() -> None:
    """docs/reference/updates.md names the tests."""
    _, _, table = (ROOT / "docs/reference/updates.md").read_text().partition("| Loss | Test |\n")
    named = re.findall(r"^\| .+ \| `(test_\w+)` \|$", table, re.MULTILINE)
    assert len(named) == len(re.findall(r"^\| [^-]", table, re.MULTILINE)) > 20
    tests = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    assert [name for name in named if f"def {name}(" not in tests] == []
