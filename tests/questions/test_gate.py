"""What the gate refuses on update, and what Copier itself refuses before the gate."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from copier import run_copy, run_update
from copier.errors import UserMessageError

from tests.support.template import Render, RunCopier, commit_all, git, load

Publish = Callable[[Mapping[str, str]], Path]

OPERATOR = {
    "release": "2025.1",
    "database": "postgresql",
    "auth_strategy": "keystone",
    "exposure": "ingress",
    "replicas": 3,
}


@pytest.fixture
def repository(render: Render, tmp_path: Path) -> Path:
    """A committed repository of an operator on 2025.1 with Keystone behind an ingress."""
    shutil.copytree(render(OPERATOR), tmp_path / "repo")
    commit_all(tmp_path / "repo")
    return tmp_path / "repo"


def update(repository: Path, **data: object) -> None:
    """Update to the same version of the template with these answers."""
    run_update(repository, data=data, defaults=True, overwrite=True, unsafe=True, quiet=True)


def change_stored_answers(repository: Path, **answers: object) -> None:
    """Edit the answers file by hand, against its own advice, and commit."""
    path = repository / ".copier-answers.yml"
    lines = [
        line for line in path.read_text().splitlines() if line.partition(":")[0] not in answers
    ]
    lines += [f"{name}: {value}" for name, value in answers.items()]
    path.write_text("\n".join(lines) + "\n")
    commit_all(repository)


def test_without_trust_nothing_is_rendered(
    plain_template: Path, run_copier: RunCopier, tmp_path: Path
) -> None:
    """Copier itself refuses with exit code 4, and names the missing option."""
    code, said = run_copier("copy", "--defaults", plain_template, tmp_path / "repo")
    assert code == 4
    assert "--trust" in said
    assert not (tmp_path / "repo").exists()


def test_with_trust_the_default_is_rendered(plain_template: Path, tmp_path: Path) -> None:
    """The command of the README, with another place of the template."""
    command = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults"]
    done = subprocess.run(
        [*command, plain_template, tmp_path / "repo"], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "repo/.copier-answers.yml")["project_name"] == "placement"


def test_copier_names_the_missing_extension_package(plain_template: Path, tmp_path: Path) -> None:
    """Therefore the README's command has `--with copier-template-extensions`."""
    hide = "import sys; sys.modules['copier_template_extensions'] = None"
    without = f"{hide}; from copier._cli import CopierApp; CopierApp.run()"
    command = [sys.executable, "-c", without, "copy", "--trust", "--defaults"]
    done = subprocess.run(
        [*command, plain_template, tmp_path / "repo"],
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1
    assert "Make sure to install these extensions alongside Copier itself" in done.stderr
    assert not (tmp_path / "repo").exists()


def test_text_on_the_command_line_becomes_numbers_and_booleans(
    plain_template: Path, run_copier: RunCopier, tmp_path: Path
) -> None:
    """`--data` passes "3" and "true", which are valid for such questions."""
    data = ("--data", "database=mysql", "--data", "replicas=3", "--data", "network_policy=true")
    code, said = run_copier(
        "copy", "--trust", "--defaults", *data, plain_template, tmp_path / "repo"
    )
    assert code == 0, said
    stored = load(tmp_path / "repo/.copier-answers.yml")
    assert (stored["replicas"], stored["network_policy"]) == (3, True)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"release": "2026.2"},
            "release: OpenStack cannot upgrade from 2025.1 to 2026.2 in one step",
        ),
        (
            {"auth_strategy": "noauth2"},
            "exposure: with noauth2, every client that reaches the ingress",
        ),
        ({"database": "sqlite"}, "replicas: SQLite serves a single process, not 3 replicas"),
    ],
)
def test_update_that_contradicts_stored_answers_is_refused(
    repository: Path, answers: Mapping[str, object], message: str
) -> None:
    """Copier itself would drop the stored answer, and with it the replicas or the ingress."""
    before = git(repository, "rev-parse", "HEAD")
    with pytest.raises(UserMessageError, match=message):
        update(repository, **answers)
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-parse", "HEAD") == before


def test_update_to_an_older_release_is_refused(repository: Path) -> None:
    """A database cannot be downgraded."""
    update(repository, release="2025.2")
    commit_all(repository)
    with pytest.raises(
        UserMessageError, match=r"2025\.1 is older than the deployed 2025\.2, and a database"
    ):
        update(repository, release="2025.1")
    assert git(repository, "status", "--porcelain") == ""


def test_update_applies_a_slurp_step_and_a_changed_setting(repository: Path) -> None:
    """Both reach the stored answers and the rendered files."""
    update(repository, release="2026.1", replicas=5)
    stored = load(repository / ".copier-answers.yml")
    values = load(repository / "values.yaml")
    assert (stored["release"], stored["replicas"], stored["exposure"]) == ("2026.1", 5, "ingress")
    assert (values["image"]["tag"], values["replicaCount"]) == ("2026.1", 5)


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        ({"replicas": "many"}, "replicas: 'many' is not valid"),
        ({"database": "oracle"}, "database: 'oracle' is not a choice"),
        ({"keystone_auth_url": "keystone"}, "keystone_auth_url: 'keystone' is not an http"),
    ],
)
def test_invalid_stored_answer_stops_the_update(
    repository: Path, edited: Mapping[str, str], message: str
) -> None:
    """Copier itself would silently use the default instead."""
    change_stored_answers(repository, **edited)
    with pytest.raises(UserMessageError, match=message):
        update(repository)
    assert git(repository, "status", "--porcelain") == ""


def test_update_succeeds_after_the_fix_that_the_refusal_describes(repository: Path) -> None:
    """The user restores what Copier wrote, and then changes the answer."""
    change_stored_answers(repository, replicas="many")
    fix = "Restore what Copier wrote there (git log -p .copier-answers.yml) and commit."
    with pytest.raises(UserMessageError, match=re.escape(fix)):
        update(repository)
    git(repository, "checkout", "HEAD~1", "--", ".copier-answers.yml")
    commit_all(repository)
    update(repository, replicas=4)
    assert load(repository / ".copier-answers.yml")["replicas"] == 4


def test_update_keeps_the_users_own_values(repository: Path) -> None:
    """values.local.yaml is rendered once."""
    (repository / "values.local.yaml").write_text("threads: 2\n")
    commit_all(repository)
    update(repository, replicas=4)
    assert load(repository / "values.local.yaml") == {"threads": 2}


def test_same_answers_render_the_same_bytes(copier_template: Path, tmp_path: Path) -> None:
    """No rendered file contains a date, a random number or a host name."""
    first, again = tmp_path / "first", tmp_path / "again"
    for folder in (first, again):
        run_copy(str(copier_template), folder, defaults=True, unsafe=True, quiet=True)
    files = {path.relative_to(first) for path in first.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    for file in files:
        assert (first / file).read_bytes() == (again / file).read_bytes(), file


@pytest.fixture
def publish_newer(copier_template: Path, tmp_path: Path) -> Publish:
    """Publish a newer version of the template, with replacements in its files."""

    def publish(edits: Mapping[str, str]) -> Path:
        template = tmp_path / "newer"
        git(tmp_path, "clone", "--quiet", str(copier_template), str(template))
        files = [template / "copier.yml", *template.glob("extensions/**/*.py")]
        for old, new in edits.items():
            [file] = [path for path in files if re.search(old, path.read_text(), re.MULTILINE)]
            file.write_text(re.sub(old, new, file.read_text(), flags=re.MULTILINE))
        commit_all(template)
        git(template, "tag", "100.0.0")
        return template

    return publish


def update_from(template: Path, repository: Path, **data: object) -> None:
    """Update from a template at another path."""
    answers = repository / ".copier-answers.yml"
    answers.write_text(re.sub(r"_src_path: .*", f"_src_path: {template}", answers.read_text()))
    commit_all(repository)
    update(repository, **data)


def test_update_ignores_the_stored_answer_to_a_removed_question(
    repository: Path, publish_newer: Publish
) -> None:
    """Copier passes stored answers to its temporary copies as if they were data."""
    template = publish_newer(
        {
            r"^network_policy:\n(  .*\n)+": "",
            r"^    network_policy: .*\n": "",
            r"not deployment\.network_policy": "True",
        }
    )
    update_from(template, repository, replicas=4)
    stored = load(repository / ".copier-answers.yml")
    assert "network_policy" not in stored
    assert (stored["_commit"], stored["replicas"]) == ("100.0.0", 4)
    assert load(repository / "values.yaml")["replicaCount"] == 4


def test_update_from_a_version_that_names_excluded_paths_differently(
    repository: Path, publish_newer: Publish
) -> None:
    """Copier renders the old version with the patterns of the new one."""
    template = publish_newer(
        {
            r"def excluded_paths": "def omitted_paths",
            r"self\.excluded_paths": "self.omitted_paths",
            r"\*deployment\.excluded_paths": "*deployment.omitted_paths",
            r"deployment\.excluded_paths \|": "deployment.omitted_paths |",
        }
    )
    update_from(template, repository, ci="gitlab")
    assert load(repository / ".copier-answers.yml")["_commit"] == "100.0.0"
    assert (repository / ".gitlab-ci.yml").exists()
    assert not (repository / ".github").exists()


def test_stored_answer_that_a_new_rule_refuses_stops_the_update(
    repository: Path, publish_newer: Publish
) -> None:
    """It continues after the answer is changed, as the message says."""
    template = publish_newer({r"whole_number\(0, MOST_REPLICAS\)": "whole_number(0, 2)"})
    message = "replicas: 3 is not valid; use a whole number from 0 to 2\n.* --data NAME=VALUE"
    with pytest.raises(UserMessageError, match=message):
        update_from(template, repository)
    assert git(repository, "status", "--porcelain") == ""
    update(repository, replicas=2)
    assert load(repository / ".copier-answers.yml")["replicas"] == 2


def test_deployment_on_a_removed_release_can_be_upgraded(
    repository: Path, publish_newer: Publish
) -> None:
    """By a step that OpenStack supports. New deployments cannot choose that release."""
    template = publish_newer(
        {r"^    for path in sorted(.*)$": r'    for path in sorted\1 if path.stem != "2025.1"'}
    )
    with pytest.raises(UserMessageError, match=r"release: '2025\.1' is not available"):
        update_from(template, repository)
    with pytest.raises(UserMessageError, match=r"to 2026\.2 in one step; use 2025\.2 or 2026\.1"):
        update(repository, release="2026.2")
    assert git(repository, "status", "--porcelain") == ""
    update(repository, release="2026.1")
    assert load(repository / ".copier-answers.yml")["release"] == "2026.1"


def test_the_documented_copier_command_changes_an_answer(repository: Path) -> None:
    """The command in docs/upgrades.md, without `uvx`."""
    page = (repository / "docs/upgrades.md").read_text()
    command = re.search(r"^uvx .* copier (update [^`]+)\n```", page, re.MULTILINE)
    assert command
    name, _, value = command[1].rpartition("--data ")[2].partition("=")
    arguments = shlex.split(command[1].replace("\\\n", ""))
    done = subprocess.run(
        [sys.executable, "-m", "copier", *arguments],
        cwd=repository,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(load(repository / ".copier-answers.yml")[name]) == value
