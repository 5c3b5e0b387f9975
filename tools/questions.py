"""The page of questions, from copier.yml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from extensions.deployment import find_error
from extensions.deployment.conditions import ASKED_WHEN

ROOT = Path(__file__).parent.parent

INTRODUCTION = """\
<!-- Written by `make docs` from copier.yml. -->

# Questions

The questions are in the order in which Copier asks them. Every question has a default, which
`--defaults` uses without a prompt. No question asks for a password: where Placement needs one, the
question asks for the name of a Kubernetes Secret.

To answer without a prompt, use `--data NAME=VALUE`, or `--data-file` with a YAML file. To change an
answer later, see [Change a setting or update the template](../how-to/change-settings.md).
"""


def choices(name: str, question: dict[str, Any]) -> str:
    """Describe valid answers, as in a data file: the choices, or what the rule describes."""
    if "choices" not in question:
        return re.split(r",? such as", find_error(name, "!").partition("use ")[2])[0]
    offered = question["choices"]
    values = offered.values() if isinstance(offered, dict) else offered
    names = (choice["value"] if isinstance(choice, dict) else choice for choice in values)
    return ", ".join(f"`{name}`" for name in names)


def condition(name: str) -> str:
    """Describe when a question is asked."""
    conditions = [
        f"`{question}` is {' or '.join(f'`{answer}`' for answer in accepted)}"
        for question, accepted in ASKED_WHEN.get(name, {}).items()
    ]
    return f"if {', and '.join(conditions)}" if conditions else "always"


def section(name: str, question: dict[str, Any]) -> str:
    """Write the section of one question."""
    default = yaml.safe_dump(question["default"]).splitlines()[0]
    lines = [
        f"### {name}\n",
        f"{question['help'].strip()}\n",
        f"- Answer: {choices(name, question)}",
        f"- Default: `{default}`" if question["default"] != "" else "- Default: empty",
        f"- Asked: {condition(name)}",
    ]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Write the whole page; the headings are the comments in copier.yml."""
    text = (ROOT / "copier.yml").read_text(encoding="utf-8")
    questions = yaml.safe_load(text)
    parts = [INTRODUCTION]
    for heading, name in re.findall(r"^# ---- (.+) ----$|^([a-z]\w+):", text, re.MULTILINE):
        if heading and heading != "Settings":
            parts.append(f"## {heading}\n")
        if name:
            parts.append(section(name, questions[name]))
    return "\n".join(parts)
