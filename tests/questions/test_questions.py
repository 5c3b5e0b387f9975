"""copier.yml agrees with the model, and every question has a useful help text."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from pathspec import GitIgnoreSpec

from extensions.deployment import QUESTIONS, Deployment
from extensions.deployment.conditions import ASKED_WHEN
from extensions.releases import RELEASES
from tests.support.template import ROOT, load
from tests.support.variants import VARIANTS
from tools.questions import page

COPIER_YML = load(ROOT / "copier.yml")
ASKED = {name: question for name, question in COPIER_YML.items() if not name.startswith("_")}


def choices(question: dict[str, Any]) -> list[str]:
    """Return the values of a question's choices, in either of Copier's forms."""
    offered = question["choices"]
    values = offered.values() if isinstance(offered, dict) else offered
    return [value["value"] if isinstance(value, dict) else value for value in values]


def test_the_questions_are_the_fields_of_the_model_in_the_same_order() -> None:
    """None is missing in either of them."""
    assert tuple(ASKED) == QUESTIONS


@pytest.mark.parametrize("name", QUESTIONS)
def test_defaults_and_types_are_those_of_the_model(name: str) -> None:
    """Copier shows the default that the model uses."""
    field = Deployment.model_fields[name]
    assert ASKED[name]["default"] == field.default
    assert ASKED[name]["type"] == type(field.default).__name__


@pytest.mark.parametrize("name", [name for name in QUESTIONS if "choices" in ASKED[name]])
def test_choices_are_those_of_the_model(name: str) -> None:
    """A new choice belongs into both."""
    offered = choices(ASKED[name])
    accepted = (
        list(RELEASES) if name == "release" else get_args(Deployment.model_fields[name].annotation)
    )
    assert sorted(offered) == sorted(accepted)


def test_release_labels_have_the_placement_version() -> None:
    """They also mark SLURP releases, which are the first of each year."""
    assert {label: choice["value"] for label, choice in ASKED["release"]["choices"].items()} == {
        f"{release} (Placement {facts['placement'].split('.')[0]}"
        f"{', SLURP' if release.endswith('.1') else ''})": release
        for release, facts in RELEASES.items()
    }


@pytest.mark.parametrize("name", QUESTIONS)
def test_help_asks_a_question_and_gives_an_example(name: str) -> None:
    """Choices and booleans need no example."""
    question = ASKED[name]
    assert re.match(r"[A-Z][^?]+\?", question["help"])
    if "choices" not in question and question["type"] != "bool":
        example = question["help"].rpartition("Example: ")[2]
        assert example != question["help"]
        value: Any = int(example) if question["type"] == "int" else example
        assert Deployment.model_validate({name: value, "database": "mysql"})


@pytest.mark.parametrize("name", [name for name in QUESTIONS if "choices" not in ASKED[name]])
def test_typed_answers_have_a_validator(name: str) -> None:
    """In a prompt, Copier validates everything except choices and booleans."""
    if ASKED[name]["type"] != "bool":
        assert ASKED[name]["validator"] == f"{{{{ error('{name}', {name}) }}}}"


@pytest.mark.parametrize("name", QUESTIONS)
def test_conditions_come_from_the_model(name: str) -> None:
    """copier.yml states no condition of its own."""
    when = f"{{{{ is_asked('{name}') }}}}" if name in ASKED_WHEN else None
    assert ASKED[name].get("when") == when


def test_excluded_files_come_from_the_model() -> None:
    """copier.yml names no path of its own, and each path that the model names exists."""
    exclude = '{{ deployment.excluded_paths | default([]) | join("\\n") }}'
    assert COPIER_YML["_exclude"] == [exclude]
    template = ROOT / "template"
    files = (path.relative_to(template).as_posix() for path in template.rglob("*"))
    paths = [name.removesuffix(".jinja") for name in files]
    for pattern in {path for row in VARIANTS.values() for path in Deployment(**row).excluded_paths}:
        assert any(map(GitIgnoreSpec.from_lines([pattern]).match_file, paths)), pattern


def test_the_page_of_questions_is_current() -> None:
    """After a change of a question, run `make docs`."""
    text = page()
    assert (ROOT / "docs/reference/questions.md").read_text() == text
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == list(QUESTIONS)
