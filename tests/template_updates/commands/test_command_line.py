"""The command line of the maintenance tool, without a repository."""

from __future__ import annotations

import pytest

from copier_placement import cli
from copier_placement.errors import MaintenanceError
from copier_placement.overrides import answers_from_arguments, answers_from_make


@pytest.mark.parametrize(
    ("overrides", "answers"),
    [
        ("replicas=3", {"replicas": "3"}),
        ("replicas=3 host=p.example.com", {"replicas": "3", "host": "p.example.com"}),
        (r"host=a\ b c=d", {"host": "a b", "c": "d"}),
        ("host=$$HOME", {"host": "$HOME"}),
        ("host=it's#1", {"host": "it's#1"}),
        (r"host=a\\", {"host": "a\\"}),
        ("tls_secret= host=x=y", {"tls_secret": "", "host": "x=y"}),
    ],
)
def test_makes_escapes_are_undone(overrides: str, answers: dict[str, str]) -> None:
    assert answers_from_make(overrides) == answers


def test_arguments_are_literal() -> None:
    assert answers_from_arguments(["host=a b", r"x=\$$y"]) == {"host": "a b", "x": r"\$$y"}


@pytest.mark.parametrize("arguments", [[], ["replicas"], ["replicas=3", "host"]])
def test_argument_without_a_value_is_refused(arguments: list[str]) -> None:
    with pytest.raises(MaintenanceError, match=r"NAME=VALUE|make set replicas=3"):
        answers_from_arguments(arguments)


@pytest.mark.parametrize(
    ("option", "value", "limits"),
    [
        ("--clients", "none", "from 1 to 100"),
        ("--clients", "101", "from 1 to 100"),
        ("--seconds", "0", "from 1 to 3600"),
        ("--cooldown", "-1", "from 0 to 3600"),
    ],
)
def test_load_test_refuses_a_number_outside_its_limits(
    option: str, value: str, limits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["load", "--namespace=x", "--selector=app=x", f"{option}={value}"]
    with pytest.raises(SystemExit):
        cli.run(arguments)
    assert f"argument {option}: {value!r} is not a whole number {limits}" in capsys.readouterr().err
