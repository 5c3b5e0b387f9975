"""The questionnaire as a person meets it, through a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from copier import run_copy

from tests.support.template import commit_all, load
from tests.support.terminal import ENTER, LAST, Terminal

UP = "\x1b[A"

Person = Callable[..., Terminal]


@pytest.fixture
def person(copier_template: Path, tmp_path: Path) -> Iterator[Person]:
    """Sit down at a terminal; what is left running there is ended."""
    terminals = []

    def start(*arguments: str, **given: str) -> Terminal:
        copy = ["copy", str(copier_template), str(tmp_path / "repo")]
        terminals.append(Terminal(list(arguments) or copy, given))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.process.close(force=True)


def test_enter_at_every_question_gives_the_default(person: Person, tmp_path: Path) -> None:
    """And the questions that do not concern SQLite and noauth2 are not asked."""
    terminal = person()
    terminal.presses_enter_from("project_name", LAST)
    terminal.sees("is ready")
    terminal.ends(0)
    assert load(tmp_path / "repo/.copier-answers.yml")["release"] == "2026.2"


@pytest.mark.parametrize("wrong", ["My Placement", "{{ 7 * 7 }}", "$(reboot) # a: b"])
def test_a_wrong_name_is_told_at_once_and_can_be_corrected(
    person: Person, tmp_path: Path, wrong: str
) -> None:
    """Nobody answers thirty questions to be refused for the first."""
    terminal = person()
    terminal.is_asked("project_name")
    terminal.types(wrong)
    terminal.sees("use at most 40 lower-case letters, digits and hyphens, starting with a letter")
    terminal.types("mine")
    terminal.presses_enter_from("release", LAST)
    terminal.ends(0)
    assert load(tmp_path / "repo/.copier-answers.yml")["project_name"] == "mine"


def test_a_choice_that_is_ruled_out_is_shown_with_the_reason(person: Person) -> None:
    """An ingress for noauth2 cannot be chosen, and the way out is beside it."""
    terminal = person()
    terminal.presses_enter_from("project_name", "allow_noauth2_exposure")
    terminal.is_asked("exposure")
    terminal.sees("By an Ingress (exposure: with noauth2, every client that reaches the ingress")
    terminal.sees("By a Gateway (exposure: with noauth2, every client that reaches the gateway")


def test_contradictory_answers_are_refused_at_the_end(person: Person, tmp_path: Path) -> None:
    """Each number fits by itself; the gate sees them together, before anything is written."""
    terminal = person(database="mysql", scaling="autoscale")
    terminal.presses_enter_from("project_name", "auth_strategy")
    terminal.is_asked("autoscale_min")
    terminal.types("20")
    terminal.presses_enter_from("autoscale_max", LAST)
    terminal.sees(
        "autoscale_min: 20 is greater than autoscale_max, which is 10; lower autoscale_min"
    )
    terminal.ends(1)
    assert not (tmp_path / "repo").exists()


def test_a_choice_given_beforehand_is_refused_by_the_gate(person: Person, tmp_path: Path) -> None:
    """Copier by itself ends in a traceback here."""
    terminal = person(exposure="ingress")
    terminal.presses_enter_from("project_name", LAST)
    terminal.sees("exposure: with noauth2, every client that reaches the ingress is admin")
    terminal.ends(1)
    assert not (tmp_path / "repo").exists()


def test_an_update_shows_which_releases_cannot_be_reached(
    person: Person, copier_template: Path, tmp_path: Path
) -> None:
    """From 2025.1 to the next one, or to the next SLURP release, and not further."""
    repository = tmp_path / "deployed"
    run_copy(
        str(copier_template),
        repository,
        data={"release": "2025.1"},
        defaults=True,
        unsafe=True,
        quiet=True,
    )
    commit_all(repository)
    terminal = person("update", str(repository))
    terminal.presses_enter_from("project_name", "project_name")
    terminal.is_asked("release")
    terminal.sees(
        "2026.2 (Placement 16) (release: OpenStack cannot upgrade from 2025.1 to 2026.2 in one step"
    )
    terminal.process.send(UP + ENTER)  # from 2025.1, the last one shown, to 2025.2 above it
    terminal.presses_enter_from("image_repository", LAST)
    terminal.ends(0)
    assert load(repository / ".copier-answers.yml")["release"] == "2025.2"
