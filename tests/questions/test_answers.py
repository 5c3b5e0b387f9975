"""Valid files of answers are accepted, and invalid ones are refused with their messages.

The model is tested with every file. Copier runs with a sample, which has an example of each kind of
error in each mode: the gate hands all of them to the same model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from extensions.deployment import QUESTIONS, Deployment, find_errors, find_single_errors
from extensions.gate import REFUSED_ANSWERS
from tests.support.template import ROOT, VALID, Answers, Render, RunCopier, commit_all, git, load
from tests.support.variants import VARIANTS

INVALID = sorted((ROOT / "tests/answers/invalid").glob("*.yml"))
SAMPLE = {
    "base-image-with-a-command",  # hostile text
    "base-image-with-a-second-line",  # a control character
    "boolean-as-text",  # a type that Copier casts
    "choice-that-is-not-unicode",  # a lone surrogate, which stands for a byte on the command line
    "question-misspelt",  # an unknown question
    "question-with-control-characters",
    "replicas-with-a-fraction",  # a type that Copier casts
    "several-errors",
    "two-contradictions",
}

every_invalid_file = pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)


def sample(files: Iterable[Path]) -> pytest.MarkDecorator:
    """Run a test with the sample, and with all files in `make test-all`."""
    return pytest.mark.parametrize(
        "file",
        [
            pytest.param(
                file, id=file.stem, marks=[pytest.mark.only_all] * (file.stem not in SAMPLE)
            )
            for file in files
        ],
    )


sample_of_invalid_files = sample(INVALID)
sample_of_single_errors = sample(
    file for file in INVALID if find_single_errors(load(file)["answers"])
)

Given = Callable[[Answers], list[object]]


@pytest.fixture(scope="module")
def default_repository(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed repository of the default answers, which a refused update leaves unchanged."""
    repository = tmp_path_factory.mktemp("default") / "repo"
    shutil.copytree(render({}), repository)
    commit_all(repository)
    return repository


@pytest.fixture
def data_file(tmp_path: Path) -> Given:
    """Write answers into a data file; return the arguments for Copier."""

    def given(answers: Answers) -> list[object]:
        path = tmp_path / "answers.yml"
        path.write_text(yaml.safe_dump(dict(answers), sort_keys=False), encoding="utf-8")
        return ["--data-file", path]

    return given


def refused(stderr: str) -> list[str]:
    """Return the messages of a refusal, which must end the output."""
    assert "Traceback" not in stderr
    _, head, messages = stderr.partition(REFUSED_ANSWERS)
    assert head, stderr
    return [line.strip() for line in messages.strip().splitlines()]


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_model_accepts_valid_answers(file: Path) -> None:
    answers = load(file)
    assert find_errors(answers) == []
    deployment = Deployment(**answers)
    assert {name: getattr(deployment, name) for name in answers} == answers


@every_invalid_file
def test_model_refuses_invalid_answers(file: Path) -> None:
    case = load(file)
    assert find_errors(case["answers"]) == case["messages"]


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=file.stem, marks=pytest.mark.xdist_group(file.stem)) for file in VALID],
)
def test_valid_answers_are_stored_as_given(file: Path, render: Render) -> None:
    """The answers file holds the given answers, and the defaults of other questions asked."""
    answers = load(file)
    stored = stored_answers(render, answers)
    assert {name: stored[name] for name in answers} == answers
    assert stored.keys() == asked(answers)


@pytest.mark.only_all
@pytest.mark.parametrize("answers", VARIANTS.values(), ids=VARIANTS)
def test_answers_to_questions_that_were_asked_are_stored(
    answers: dict[str, Any], render: Render
) -> None:
    assert stored_answers(render, answers).keys() == asked(answers)


def stored_answers(render: Render, answers: Answers) -> Mapping[str, Any]:
    """Render these answers; return the stored ones, without Copier's own values."""
    stored = load(render(answers) / ".copier-answers.yml")
    return {name: value for name, value in stored.items() if not name.startswith("_")}


def asked(answers: Mapping[str, Any]) -> set[str]:
    """Return the questions that the model asks."""
    return {name for name in QUESTIONS if Deployment(**answers).is_asked(name)}


@sample_of_invalid_files
def test_invalid_data_file_is_refused(
    file: Path, plain_template: Path, run_copier: RunCopier, data_file: Given, tmp_path: Path
) -> None:
    """With `--data-file`: the messages, exit code 1, and nothing written."""
    case = load(file)
    given = data_file(case["answers"])
    code, said = run_copier(
        "copy", "--trust", "--defaults", *given, plain_template, tmp_path / "repo"
    )
    assert refused(said) == case["messages"]
    assert code == 1
    assert not (tmp_path / "repo").exists()


@sample_of_invalid_files
def test_invalid_data_on_the_command_line_is_refused(
    file: Path, plain_template: Path, run_copier: RunCopier, tmp_path: Path
) -> None:
    """With `--data`, where every answer is text."""
    answers = {name: str(value) for name, value in load(file)["answers"].items()}
    given = [f"--data={name}={value}" for name, value in answers.items()]
    code, said = run_copier(
        "copy", "--trust", "--defaults", *given, plain_template, tmp_path / "repo"
    )
    expected = find_errors(answers)
    assert (refused(said) if expected else []) == expected
    assert code == (1 if expected else 0)
    assert (tmp_path / "repo").exists() == (not expected)


@sample_of_single_errors
def test_invalid_data_is_refused_before_the_first_prompt(
    file: Path, plain_template: Path, run_copier: RunCopier, data_file: Given, tmp_path: Path
) -> None:
    """Without `--defaults`. Contradictions may still be resolved in the prompt: test_prompt.py."""
    case = load(file)
    given = data_file(case["answers"])
    code, said = run_copier("copy", "--trust", *given, plain_template, tmp_path / "repo")
    assert refused(said) == case["messages"]
    assert code == 1
    assert not (tmp_path / "repo").exists()


@sample_of_invalid_files
def test_invalid_answers_are_refused_on_update(
    file: Path, default_repository: Path, run_copier: RunCopier, data_file: Given
) -> None:
    """The same messages as on copy, and the repository is unchanged."""
    case = load(file)
    given = data_file(case["answers"])
    code, said = run_copier("update", "--trust", "--defaults", *given, default_repository)
    assert refused(said) == case["messages"]
    assert code == 1
    assert git(default_repository, "status", "--porcelain") == ""


@sample_of_invalid_files
def test_invalid_user_settings_are_refused(
    file: Path,
    plain_template: Path,
    run_copier: RunCopier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Defaults in a user's settings.yml. Unknown names may belong to another template there."""
    case = load(file)
    settings = tmp_path / "settings.yml"
    settings.write_text(
        yaml.safe_dump({"defaults": case["answers"]}, sort_keys=False), encoding="utf-8"
    )
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    expected = [message for message in case["messages"] if "no such question" not in message]
    code, said = run_copier("copy", "--trust", "--defaults", plain_template, tmp_path / "repo")
    assert (refused(said) if expected else []) == expected
    assert code == (1 if expected else 0)
    assert (tmp_path / "repo").exists() == (not expected)
