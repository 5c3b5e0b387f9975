"""New answers, as a command line holds them."""

import shlex
from collections.abc import Iterable

from .errors import MaintenanceError


def answers_from_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """Read arguments such as `replicas=3`."""
    answers: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise MaintenanceError(f"{argument!r} is not an answer.", "Write it as NAME=VALUE.")
        answers[name] = value
    if not answers:
        raise MaintenanceError(
            "No answer is given.",
            "Pass one, as in `make set replicas=3`. README.md lists all answers under Settings.",
        )
    return answers


def answers_from_make(overrides: str) -> dict[str, str]:
    """Read make's MAKEOVERRIDES, in which a backslash escapes blanks and `$$` is a `$`."""
    reader = shlex.shlex(overrides.replace("$$", "$"), posix=True)
    reader.whitespace_split, reader.commenters, reader.quotes = True, "", ""
    return answers_from_arguments(argument for argument in reader if "=" in argument)
