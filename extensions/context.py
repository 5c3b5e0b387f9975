"""The Copier side of the questions: the gate, and what Jinja sees.

Copier's own `validator:` is not enough: it is not asked for choices and booleans in a prompt, drops
a stored answer without a word on update, and ends in a traceback with `--data-file`. So what is
given beforehand (by `--data`, a data file, stored answers, a user's settings) is checked before the
first question, and the whole of the answers once before anything is rendered. Both raise Copier's
`UserMessageError`: the message, exit code 1, and nothing written.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from copier.errors import UserMessageError
from copier_template_extensions import ContextHook
from jinja2 import Environment


def _package() -> str:
    """Make the files beside this one a package with a name of its own, and return the name.

    An update runs the old and the new version of the template in one process; under one name, the
    one would get the other's modules.
    """
    folder = Path(__file__).parent
    name = f"_copier_placement_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    package = sys.modules[name] = ModuleType(name)
    package.__path__ = [str(folder)]
    return name


_PACKAGE = _package()
_deployment = importlib.import_module(f"{_PACKAGE}.deployment")
_releases = importlib.import_module(f"{_PACKAGE}.releases")
_changes = importlib.import_module(f"{_PACKAGE}.changes")

ROOT = Path(__file__).parent.parent
"""The template's repository, as Copier has fetched it."""


class DeploymentContext(ContextHook):
    """One for each run of Copier over the template; an update makes three."""

    _stored: Mapping[str, Any]
    _given_is_checked = False
    _rendered: Mapping[str, Any] | None = None

    def __init__(self, environment: Environment) -> None:
        """Have each text compiled only once.

        Copier compiles every part of every path anew, three thousand times in an update for some
        hundred names: a third of its time (docs/reference/figures.md).
        """
        super().__init__(environment)
        environment.from_string = cache(environment.from_string)  # type: ignore[assignment]

    def hook(self, context: dict[str, Any]) -> None:
        """Add `problem` and `ruled_out` for copier.yml; `deployment`, `questions` for templates.

        Copier calls this for each string and file that it renders, in every phase: first those of
        an update's own worker, for which migrations have still to put the stored answers right.
        """
        if context["_copier_phase"] not in ("prompt", "render"):
            context["changes"] = lambda: _changes_since(context["_copier_conf"])
            return
        if not self._given_is_checked:
            # Looked at once only, for Copier works out the path of the answers file each time.
            if not context["_copier_conf"]["answers_file"]:
                return  # which it is doing just now
            self._check_what_is_given(context["_copier_conf"])
            self._given_is_checked = True
        context["problem"] = _deployment.field_problem
        context["ruled_out"] = lambda name, choice: self._ruled_out(context, name, choice)
        if context["_copier_phase"] == "render":
            context.update(self._render_names(context))

    def _check_what_is_given(self, conf: Mapping[str, Any]) -> None:
        self._stored = _stored_answers(conf)
        defaults = {**conf["settings"].defaults, **conf["user_defaults"], **self._stored}
        given = {name: defaults[name] for name in _deployment.QUESTIONS if name in defaults}
        given |= _answered(conf)
        if conf["defaults"]:
            found = _deployment.problems(given)
        else:  # what is answered in the prompt may still make it fit together
            found = _deployment.problems_alone(given)
        _refuse(found, self._way_out(conf, found))

    def _way_out(self, conf: Mapping[str, Any], found: list[str]) -> str:
        """Say what to do about a problem that nobody has answered just now."""
        if _is_replay(conf):
            return (
                "They are stored in .copier-answers.yml, and Copier could not render them again. "
                "Put back what Copier wrote there (git log -p .copier-answers.yml), commit, and "
                "answer with `make set`, by Copier alone with --data."
            )
        stored = self._stored.keys() - conf["data"].keys()
        if any(problem.partition(":")[0] in stored for problem in found):
            return (
                "What is stored in .copier-answers.yml is answered anew with `make set NAME=VALUE` "
                "or, by Copier alone, with --data NAME=VALUE."
            )
        return ""

    def _render_names(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._rendered is None:
            answers = {name: context[name] for name in _deployment.QUESTIONS if name in context}
            step = self._release_step(answers["release"])
            _refuse(_deployment.problems(answers) + ([step] if step else []))
            deployment = _deployment.Deployment(**answers)
            in_the_way = _files_in_the_way(context["_copier_conf"], self._stored, deployment.ci)
            _refuse(in_the_way, head="These files are in the way, and nothing was written:")
            self._rendered = {
                **deployment.model_dump(),
                "deployment": deployment,
                "questions": _questions(),
            }
        return self._rendered

    def _release_step(self, wanted: str) -> str:
        deployed = self._stored.get("release", wanted)
        return str(_releases.release_step(deployed, wanted))

    def _ruled_out(self, context: Mapping[str, Any], name: str, choice: str) -> str:
        """Say why a choice is disabled in the prompt, or nothing.

        A choice given as data is left to the gate, for Copier ends in a traceback there.
        """
        if name in context["_copier_conf"]["data"]:
            return ""
        if name == "release":
            return self._release_step(choice)
        before = {key: context[key] for key in _deployment.QUESTIONS if key in context}
        found = _deployment.problems({**before, name: choice})
        return "; ".join(text for text in found if text.startswith(f"{name}:"))


def _is_replay(conf: Mapping[str, Any], *which: str) -> bool:
    """Tell whether this is one of the two temporary copies, old and new, that an update compares.

    Copier gives them all that is stored as if it were data, retired questions too
    (copier/_main.py, `_apply_update`, which names their directories like this).
    """
    names = tuple(f"copier._main.{it}_copy." for it in which or ("old", "new"))
    return any(part.startswith(names) for part in Path(conf["dst_path"]).parts)


def _answered(conf: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is given beforehand; of what is stored not Copier's own, nor what is retired since."""
    if not _is_replay(conf):
        return dict(conf["data"])
    stored = {name: value for name, value in conf["data"].items() if not name.startswith("_")}
    if _is_replay(conf, "old"):  # by the very version that has stored it
        return stored
    return {name: value for name, value in stored.items() if name in _deployment.QUESTIONS}


def _stored_answers(conf: Mapping[str, Any]) -> Mapping[str, Any]:
    path = Path(conf["dst_path"], conf["answers_file"])
    stored = yaml.safe_load(path.read_bytes()) if path.is_file() else None
    return stored if isinstance(stored, dict) else {}


def _changes_since(conf: Mapping[str, Any]) -> str:
    """What is new in this version for a repository of the one that is stored; nothing if none."""
    stored = str(_stored_answers(conf).get("_commit", ""))
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return str(_changes.changes_since(stored, text))


def _files_in_the_way(conf: Mapping[str, Any], stored: Mapping[str, Any], ci: str) -> list[str]:
    """List the user's files that a first copy would replace, where nobody is there to be asked.

    Copier would ask at the first of them, fail, and leave behind what it had written until then.
    """
    if stored or conf["overwrite"] or not conf["defaults"]:
        return []
    template = ROOT / "template"
    own = tuple(_copier_yml()["_skip_if_exists"])
    skipped = {"github": (".gitlab-ci",), "gitlab": (".github",)}.get(ci, (".github", ".gitlab-ci"))
    names = sorted(
        path.relative_to(template).as_posix().removesuffix(".jinja")
        for path in template.rglob("*")
        if path.is_file()
    )
    return [
        f"{name}: is there already, and with --defaults nobody is asked whether to replace it; "
        "move it away, or commit it and add --overwrite"
        for name in names
        if Path(conf["dst_path"], name).exists() and not name.startswith((*own, *skipped))
    ]


@cache
def _copier_yml() -> Mapping[str, Any]:
    text = (ROOT / "copier.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _questions() -> Mapping[str, str]:
    """Each question of copier.yml in its first sentence, without the teaching that follows."""
    asked = _copier_yml()
    return {name: asked[name]["help"].partition("?")[0] + "?" for name in _deployment.QUESTIONS}


def _refuse(
    problems: list[str],
    way_out: str = "",
    head: str = "These answers cannot be used, and nothing was written:",
) -> None:
    if problems:
        lines = [head, *(f"  {problem}" for problem in problems), way_out]
        raise UserMessageError("\n".join(lines).rstrip())
