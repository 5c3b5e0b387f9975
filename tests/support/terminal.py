"""Copier's questionnaire on a pseudo-terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pexpect

from extensions.deployment import QUESTIONS, is_asked
from extensions.deployment.answers import Answers
from tests.support.template import ROOT, load

HELP = {
    name: question["help"] for name, question in load(ROOT / "copier.yml").items() if name[0] != "_"
}
ENTER, CLEAR = "\r", "\x01\x0b"
LAST = "gitops"
"""The last question."""


class Terminal:
    """Copier on a terminal, with some answers given by `--data`."""

    def __init__(self, arguments: list[str], given: Mapping[str, str]) -> None:
        """Start Copier."""
        self.given = given
        data = [part for item in given.items() for part in ("--data", "=".join(item))]
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "copier", *arguments, "--trust", *data],
            encoding="utf-8",
            dimensions=(50, 400),
            timeout=60,
        )

    def expect(self, text: str) -> None:
        """Wait for this text."""
        self.process.expect_exact(text)

    def expect_question(self, name: str) -> None:
        """Wait for this question."""
        self.expect(HELP[name].partition("?")[0])

    def enter(self, text: str) -> None:
        """Replace the proposed answer by this text, and press Enter."""
        self.process.send(f"{CLEAR}{text}{ENTER}")

    def accept_defaults(self, first: str, last: str) -> None:
        """Press Enter at all questions from the first to the last."""
        answers = vars(Answers.model_validate(self.given))
        for name in QUESTIONS[QUESTIONS.index(first) : QUESTIONS.index(last) + 1]:
            if name not in self.given and is_asked(name, answers):
                self.expect_question(name)
                self.process.send(ENTER)

    def expect_exit(self, code: int) -> None:
        """Wait for the end of the process."""
        self.process.expect(pexpect.EOF)
        self.process.wait()
        assert self.process.exitstatus == code
        assert "Traceback" not in str(self.process.before)
