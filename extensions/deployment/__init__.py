"""The deployment: the answers together, and every value that follows from them.

It does not depend on Copier: `gate.py` passes the answers in, templates print the properties. Each
property has a unit test in tests/questions/. A module holds the properties of one topic, and its
class inherits from the topics that it needs:

- `answers`: the fields, one for each question, and the errors in answers alone and together
- `conditions`: when a question is asked
- `database`: the kind of database, its name, driver and URLs
- `keystone`: authentication, the options of [keystone_authtoken], and its Secret's keys
- `image`: the image's name, and the version of Placement in it
- `container` (database, keystone): the container's settings and secrets
- `scaling` (database): replicas, processes, threads and database connections
- `cluster` (container, image, scaling): exposure, egress, Secrets and values for the chart
- `chart_values`: the sections of the rendered values.yaml, which `cluster` returns
- `stack` (container): what `make up` starts; these names begin with `dev_`
- `readme` (cluster, stack): words, examples, pages and CI service for README.md and docs/
- `files` (readme): which paths of template/ are rendered, and the included makefiles
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from .answers import QUESTIONS, Answers, find_error, find_errors, find_single_errors
from .conditions import is_asked
from .files import Files
from .readme import code

__all__ = ["QUESTIONS", "Deployment", "find_error", "find_errors", "find_single_errors", "is_asked"]


class Deployment(Files):
    """A Placement as the answers describe it. It is valid, and it cannot be changed.

    Every constructor validates, and so does a changed copy. Only pydantic's `model_construct` and
    its deprecated `copy` skip validation, and nothing here calls them.
    """

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

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other answers, which are validated together."""
        if not update:
            return super().model_copy(deep=deep)
        return self.model_validate({**self.model_dump(), **update})

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

    @property
    def formatted_answers(self) -> dict[str, str]:
        """The same answers as the table in README.md prints them: as code, or in words if empty."""
        return {
            name: code(answer).replace("|", r"\|") if answer else "none"
            for name, answer in self.answers.items()
        }
