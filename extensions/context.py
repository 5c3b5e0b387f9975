"""Copier's context hook: the names that Jinja sees in copier.yml and in the templates."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import yaml
from copier.errors import UserMessageError
from copier_template_extensions import ContextHook
from jinja2 import Environment

if sys.version_info < (3, 11):  # noqa: UP036
    raise UserMessageError(
        f"Copier runs on Python {sys.version.split()[0]}, and this template needs Python 3.11 or "
        "newer. Run it as: uvx --python '>=3.11' --with copier-template-extensions copier ..."
    )


def _package() -> str:
    """Make this folder a package under a name of its own, and return the name.

    An update runs the old and the new version of the template in one process. Under a common name,
    one would get the other's modules. Equal versions share their modules, from the newest clone.
    """
    folder = Path(__file__).parent
    files = sorted((*folder.rglob("*.py"), *folder.parent.glob("releases/*.yml")))
    content = b"\0".join(file.read_bytes() for file in files)
    name = f"_copier_placement_{hashlib.sha256(content).hexdigest()[:12]}"
    package = sys.modules.setdefault(name, ModuleType(name))
    package.__path__ = [str(folder)]
    return name


_PACKAGE = _package()
_deployment = importlib.import_module(f"{_PACKAGE}.deployment")
_gate = importlib.import_module(f"{_PACKAGE}.gate")
_changes = importlib.import_module(f"{_PACKAGE}.changes")

ROOT = Path(__file__).parent.parent
"""The template's repository, as Copier fetched it."""
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Parses copier.yml ten times faster, unless PyYAML was built without its C library."""


class DeploymentContext(ContextHook):
    """The hook of one run of Copier over the template; an update has three such runs."""

    _gate: Any = None
    _rendered: Mapping[str, Any] | None = None

    def __init__(self, environment: Environment) -> None:
        """Compile each text only once, and the plain names of files not at all.

        Copier compiles every part of every path again, three thousand times in an update for some
        two hundred names (docs/reference/figures.md).
        """
        super().__init__(environment)
        compiled = cache(environment.from_string)

        def from_string(text: str) -> Any:
            # The gate has accepted the answers: the hook need not see this text.
            if self._rendered is not None and "{" not in text:
                return SimpleNamespace(render=lambda *_answers, **_context: text)
            return compiled(text)

        environment.from_string = from_string  # type: ignore[method-assign,assignment]

    def hook(self, context: dict[str, Any]) -> None:
        """Add names to the context.

        copier.yml gets `error`, `is_asked` and `choice_error`, its messages get `changes`, and
        templates get `deployment`, `questions` and all answers.

        Copier calls this for each string and file that it renders, in every phase. The first calls
        of an update come before migrations, which may still change the stored answers.
        """
        if context["_copier_phase"] not in ("prompt", "render"):
            context["changes"] = lambda: _changes_since(context["_copier_conf"])
            return
        if not self._gate:
            # Checked once only: Copier computes the path of the answers file at each access.
            if not context["_copier_conf"]["answers_file"]:
                return  # Copier is computing that path right now.
            gate = _gate.Gate(context["_copier_conf"])
            gate.check_given()
            self._gate = gate
        context["error"] = _deployment.find_error
        context["is_asked"] = lambda name: _deployment.is_asked(name, context)
        context["choice_error"] = lambda *choice: self._gate.choice_error(context, *choice)
        if context["_copier_phase"] == "render":
            context.update(self._render_names(context))

    def _render_names(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._rendered is None:
            answers = {name: context[name] for name in _deployment.QUESTIONS if name in context}
            deployment = self._gate.check_answers(answers)
            self._gate.check_destination(deployment)
            self._rendered = {
                **deployment.model_dump(),
                "deployment": deployment,
                "questions": _questions(),
            }
        return self._rendered


def _changes_since(conf: Mapping[str, Any]) -> str:
    """Return what this version brings to a repository of the stored one, or nothing."""
    stored = str(_gate.stored_answers(conf).get("_commit", ""))
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8", errors="replace")
    return str(_changes.changes_since(stored, text))


@cache
def _questions() -> Mapping[str, str]:
    """Return the first sentence of each question, without the explanation that follows."""
    text = (ROOT / "copier.yml").read_text(encoding="utf-8")
    asked = yaml.load(text, Loader=FAST_LOADER)  # noqa: S506 # also a safe loader
    return {name: asked[name]["help"].partition("?")[0] + "?" for name in _deployment.QUESTIONS}
