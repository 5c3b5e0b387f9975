"""Tier 1: every valid file of answers is accepted, every invalid one refused with its message."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from copier._cli import CopierApp

from tests.support.template import ROOT, VALID, Answers, Render, commit_all, git, load

INVALID = sorted((ROOT / "tests/answers/invalid").glob("*.yml"))
REFUSAL = "These answers cannot be used, and nothing was written:"

Copier = Callable[..., tuple[int, str]]


@pytest.fixture
def copier_cli(capfd: pytest.CaptureFixture[str]) -> Copier:
    """Run Copier's command line in this process; give its exit code and what it said on stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        _, code = CopierApp.run(["copier", *map(str, arguments)], exit=False)
        return code, capfd.readouterr().err

    return run


@pytest.fixture(scope="module")
def default_repository(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered default, committed, that every refused update leaves as it is."""
    repository = tmp_path_factory.mktemp("default") / "repo"
    shutil.copytree(render({}), repository)
    commit_all(repository)
    return repository


def data_file(folder: Path, answers: Answers) -> Path:
    """Write answers as a user's data file."""
    path = folder / "answers.yml"
    path.write_text(yaml.safe_dump(answers, sort_keys=False), encoding="utf-8")
    return path


def said_problems(stderr: str) -> list[str]:
    """Read the problems out of a refusal, which must be all that was said after Copier's own."""
    assert "Traceback" not in stderr
    _, found, problems = stderr.partition(REFUSAL)
    assert found, stderr
    return [line.strip() for line in problems.replace("\x1b[39m", "").strip().splitlines()]


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_valid_answers_are_stored_as_they_were_given(file: Path, render: Render) -> None:
    """The answers file holds what was answered, and the defaults of what else was asked."""
    answers = load(file)
    stored = load(render(answers) / ".copier-answers.yml")
    assert {name: stored[name] for name in answers} == answers


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_invalid_answers_are_refused_on_copy(
    file: Path, copier_template: Path, copier_cli: Copier, tmp_path: Path
) -> None:
    """With `--data-file`: the messages, exit code 1, and no directory."""
    case = load(file)
    data = data_file(tmp_path, case["answers"])
    code, said = copier_cli(
        "copy", "--trust", "--defaults", "--data-file", data, copier_template, tmp_path / "repo"
    )
    assert said_problems(said) == case["messages"]
    assert code == 1
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_invalid_answers_are_refused_on_update(
    file: Path, default_repository: Path, copier_cli: Copier, tmp_path: Path
) -> None:
    """The same words as on copy, and the repository is as it was."""
    case = load(file)
    data = data_file(tmp_path, case["answers"])
    code, said = copier_cli(
        "update", "--trust", "--defaults", "--data-file", data, default_repository
    )
    assert said_problems(said) == case["messages"]
    assert code == 1
    assert git(default_repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_invalid_settings_of_the_user_are_refused(
    file: Path,
    copier_template: Path,
    copier_cli: Copier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `--defaults` alone, a user's own settings are what can be wrong.

    Names that are no questions of ours may belong to another template there.
    """
    case = load(file)
    settings = tmp_path / "settings.yml"
    settings.write_text(
        yaml.safe_dump({"defaults": case["answers"]}, sort_keys=False), encoding="utf-8"
    )
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    expected = [message for message in case["messages"] if "no such question" not in message]
    code, said = copier_cli("copy", "--trust", "--defaults", copier_template, tmp_path / "repo")
    assert (said_problems(said) if expected else []) == expected
    assert code == (1 if expected else 0)
    assert (tmp_path / "repo").exists() == (not expected)
