"""The prompts of the questionnaire, on a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from copier import run_copy

from tests.support.template import commit_all, load
from tests.support.terminal import ENTER, LAST, Terminal

UP = "\x1b[A"

Start = Callable[..., Terminal]


@pytest.fixture
def start(plain_template: Path, tmp_path: Path) -> Iterator[Start]:
    """Start Copier on a terminal; end the process after the test."""
    terminals = []

    def open_terminal(*arguments: str, **given: str) -> Terminal:
        copy = ["copy", str(plain_template), str(tmp_path / "repo")]
        terminals.append(Terminal(list(arguments) or copy, given))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.process.close(force=True)


def test_enter_at_every_question_renders_the_default(start: Start, tmp_path: Path) -> None:
    """Questions that do not apply to SQLite and noauth2 are not asked."""
    terminal = start()
    terminal.accept_defaults("project_name", LAST)
    terminal.expect("is ready")
    terminal.expect_exit(0)
    assert load(tmp_path / "repo/.copier-answers.yml")["release"] == "2026.2"


@pytest.mark.parametrize(
    "invalid",
    [
        "{{ 7 * 7 }}",
        pytest.param("My Placement", marks=pytest.mark.only_all),
        pytest.param("$(reboot) # a: b", marks=pytest.mark.only_all),
    ],
)
def test_invalid_answer_is_reported_at_once_and_can_be_corrected(
    start: Start, tmp_path: Path, invalid: str
) -> None:
    """The user need not answer thirty questions to learn that the first answer is invalid."""
    terminal = start()
    terminal.expect_question("project_name")
    terminal.enter(invalid)
    terminal.expect("use at most 40 lower-case letters, digits and hyphens, starting with a letter")
    terminal.enter("mine")
    terminal.accept_defaults("release", LAST)
    terminal.expect_exit(0)
    assert load(tmp_path / "repo/.copier-answers.yml")["project_name"] == "mine"


def test_invalid_choice_is_disabled_with_the_reason(start: Start) -> None:
    """noauth2 cannot be exposed; the reason names the fix."""
    terminal = start()
    terminal.accept_defaults("project_name", "allow_noauth2_exposure")
    terminal.expect_question("exposure")
    terminal.expect("Ingress (exposure: with noauth2, every client that reaches the ingress")
    terminal.expect("Gateway (exposure: with noauth2, every client that reaches the gateway")


def test_contradictory_answers_are_refused_after_the_last_question(
    start: Start, tmp_path: Path
) -> None:
    """Each number is valid alone. The gate checks them together, before anything is written."""
    terminal = start(database="mysql", scaling="autoscale")
    terminal.accept_defaults("project_name", "auth_strategy")
    terminal.expect_question("autoscale_min")
    terminal.enter("20")
    terminal.accept_defaults("autoscale_max", LAST)
    terminal.expect(
        "autoscale_min: 20 is greater than autoscale_max, which is 10; lower autoscale_min"
    )
    terminal.expect_exit(1)
    assert not (tmp_path / "repo").exists()


def test_invalid_choice_given_as_data_is_refused_by_the_gate(start: Start, tmp_path: Path) -> None:
    """Copier itself would end in a traceback."""
    terminal = start(exposure="ingress")
    terminal.accept_defaults("project_name", LAST)
    terminal.expect("exposure: with noauth2, every client that reaches the ingress is admin")
    terminal.expect_exit(1)
    assert not (tmp_path / "repo").exists()


def test_update_disables_releases_that_one_step_cannot_reach(
    start: Start, copier_template: Path, tmp_path: Path
) -> None:
    """From 2025.1, one step leads to the next release or to the next SLURP release."""
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
    terminal = start("update", str(repository))
    terminal.accept_defaults("project_name", "project_name")
    terminal.expect_question("release")
    terminal.expect(
        "2026.2 (Placement 16) (release: OpenStack cannot upgrade from 2025.1 to 2026.2 in one step"
    )
    terminal.process.send(UP + ENTER)  # from 2025.1, the last one shown, to 2025.2 above it
    terminal.accept_defaults("image_repository", LAST)
    terminal.expect_exit(0)
    assert load(repository / ".copier-answers.yml")["release"] == "2025.2"
