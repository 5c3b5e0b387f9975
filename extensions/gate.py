"""The gate: which answers and files are refused, and when.

Copier's own `validator:` is not enough. In a prompt, Copier does not call it for choices and
booleans; on update, Copier silently drops a stored answer that it refuses; with `--data-file`, a
refusal ends in a traceback. So the gate checks three times, and raises Copier's `UserMessageError`:
all messages at once, exit code 1, and nothing written.

1. `check_given`, before the first question: `--data`, data files, stored answers, user settings.
2. `check_answers`, before anything is rendered: all answers together, and the release step.
3. `check_destination`, after that: the user's files that Copier would overwrite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from copier.errors import UserMessageError
from pathspec import GitIgnoreSpec

from .deployment import QUESTIONS, Deployment, find_errors, find_single_errors
from .own_places import RENDERED_ONCE
from .releases import release_step

REFUSED_ANSWERS = "These answers cannot be used, and nothing was written:"
REFUSED_FILES = "These files would be overwritten, so nothing was written:"


class Gate:
    """The checks of one run of Copier over the template; an update has three such runs."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        """Keep Copier's settings, and read the stored answers."""
        self._conf = conf
        self._stored = stored_answers(conf)

    def check_given(self) -> None:
        """Refuse invalid answers from any source other than the prompt."""
        defaults = {**self._conf["settings"].defaults, **self._conf["user_defaults"]}
        defaults |= self._stored
        given = {name: defaults[name] for name in QUESTIONS if name in defaults}
        given |= _given_data(self._conf)
        # In a prompt, answers that follow may still resolve a contradiction.
        errors = find_errors(given) if self._conf["defaults"] else find_single_errors(given)
        _refuse(REFUSED_ANSWERS, errors, self._fix(errors))

    def check_answers(self, answers: Mapping[str, Any]) -> Deployment:
        """Refuse answers that are invalid, alone or together; return the deployment."""
        step = self.release_error(answers["release"])
        _refuse(REFUSED_ANSWERS, find_errors(answers) + ([step] if step else []))
        return Deployment(**answers)

    def check_destination(self, deployment: Deployment) -> None:
        """Refuse a first copy that would overwrite the user's files without a prompt.

        Copier would fail at the first such file, and leave behind what it had already written.
        """
        if self._stored or self._conf["overwrite"] or not self._conf["defaults"]:
            return
        kept = GitIgnoreSpec.from_lines([*RENDERED_ONCE, *self._conf["skip_if_exists"]])
        template = Path(self._conf["src_path"], "template")
        names = [
            f"{name}: exists already; move or rename it, "
            "or commit it and pass --overwrite to replace it"
            for name in rendered_files(template, deployment, self._conf["exclude"])
            if Path(self._conf["dst_path"], name).exists() and not kept.match_file(name)
        ]
        _refuse(REFUSED_FILES, names)

    def release_error(self, wanted: str) -> str:
        """Return why the deployed release cannot be upgraded to this one, or nothing."""
        return release_step(self._stored.get("release", wanted), wanted)

    def choice_error(self, answers: Mapping[str, Any], name: str, choice: str) -> str:
        """Return why earlier answers rule out a choice, or nothing.

        A choice that is given as data is left to `check_answers`: Copier would end in a traceback.
        """
        if name in self._conf["data"]:
            return ""
        if name == "release":
            return self.release_error(choice)
        earlier = {question: answers[question] for question in QUESTIONS if question in answers}
        errors = find_errors({**earlier, name: choice})
        return "; ".join(error for error in errors if error.startswith(f"{name}:"))

    def _fix(self, errors: list[str]) -> str:
        """Return how to fix errors in stored answers, or nothing if none is stored."""
        if _is_replay(self._conf):
            return (
                "They are stored in .copier-answers.yml, and Copier cannot render them again. "
                "Restore what Copier wrote there (git log -p .copier-answers.yml) and commit. "
                "Then change the answers with `make set NAME=VALUE`, or in Copier with "
                "--data NAME=VALUE."
            )
        stored = self._stored.keys() - self._conf["data"].keys()
        if any(error.partition(":")[0] in stored for error in errors):
            return (
                "They are stored in .copier-answers.yml. Change them with `make set NAME=VALUE`, "
                "or in Copier with --data NAME=VALUE."
            )
        return ""


def rendered_files(
    template: Path, deployment: Deployment, exclude: Iterable[str] = ()
) -> list[str]:
    """List the files that Copier renders for this deployment, except the answers file."""
    paths = (path.relative_to(template) for path in template.rglob("*") if path.is_file())
    names = sorted(path.as_posix().removesuffix(".jinja") for path in paths)
    excluded = GitIgnoreSpec.from_lines(["{{*", *deployment.excluded_paths, *exclude])
    return [name for name in names if not excluded.match_file(name)]


def stored_answers(conf: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the answers file of the destination."""
    path = Path(conf["dst_path"], conf["answers_file"])
    stored = yaml.safe_load(path.read_bytes()) if path.is_file() else None
    return stored if isinstance(stored, dict) else {}


def _given_data(conf: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is given as data.

    For the temporary copies of an update that is everything stored, including Copier's own values
    and, for the new copy, answers to questions that this version no longer has.
    """
    if not _is_replay(conf):
        return dict(conf["data"])
    stored = {name: value for name, value in conf["data"].items() if not name.startswith("_")}
    if _is_replay(conf, "old"):  # rendered by the version that stored them
        return stored
    return {name: value for name, value in stored.items() if name in QUESTIONS}


def _is_replay(conf: Mapping[str, Any], *copies: str) -> bool:
    """Return whether this run renders a temporary copy, old or new, that an update compares.

    Copier passes it everything stored as if it were data (copier/_main.py, `_apply_update`, which
    names the directories like this).
    """
    names = tuple(f"copier._main.{copy}_copy." for copy in copies or ("old", "new"))
    return any(part.startswith(names) for part in Path(conf["dst_path"]).parts)


def _refuse(head: str, errors: list[str], fix: str = "") -> None:
    if errors:
        lines = [head, *(f"  {error}" for error in errors), fix]
        raise UserMessageError("\n".join(lines).rstrip())
