"""The deployment: the answers together, and every value that follows from them.

It does not depend on Copier: `gate.py` passes the answers in, templates print the properties. A
module holds the properties of one topic; each property has a unit test in tests/questions/.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from .answers import QUESTIONS, Answers, find_error, find_errors, find_single_errors
from .conditions import is_asked
from .files import Files

__all__ = ["QUESTIONS", "Deployment", "find_error", "find_errors", "find_single_errors", "is_asked"]


class Deployment(Files):
    """A Placement as the answers describe it. It cannot be invalid, and it cannot be changed."""

    @model_validator(mode="before")
    @classmethod
    def _keep_what_is_asked(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Refuse invalid answers; drop those to questions that are not asked.

        A dropped answer has no effect: its field has its default.
        """
        if errors := find_errors(given):
            raise ValueError("\n".join(errors))
        answers = vars(Answers.model_validate(given))
        return {name: answer for name, answer in answers.items() if is_asked(name, answers)}

    def is_asked(self, name: str) -> bool:
        """Return whether this question is asked after these answers."""
        return is_asked(name, vars(self))

    @property
    def answers(self) -> dict[str, str]:
        """The answers to the questions that were asked, as one writes them after `--data`."""
        texts = {name: getattr(self, name) for name in QUESTIONS if self.is_asked(name)}
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in texts.items()
        }
