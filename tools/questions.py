"""Write docs/reference/questions.md from copier.yml: `make docs`."""

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

# The questions

In the order in which they are asked. Every one has a default, so `--defaults` asks none. Passwords
are never asked: where one is needed, the question is for the name of a Kubernetes Secret.

To give an answer beforehand, use `--data NAME=VALUE`, or `--data-file` with a YAML file. To change
one later, see [Change a setting or update the template](../how-to/change-settings.md).
"""


def choices(name: str, question: dict[str, Any]) -> str:
    """Say what may be answered, as one writes it in a data file: choices, or the rule's words."""
    if "choices" not in question:
        return re.split(r",? such as", find_error(name, "!").partition("use ")[2])[0]
    offered = question["choices"]
    values = offered.values() if isinstance(offered, dict) else offered
    return ", ".join(f"`{it['value'] if isinstance(it, dict) else it}`" for it in values)


def condition(name: str) -> str:
    """Write when a question is asked, in words."""
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


if __name__ == "__main__":
    (ROOT / "docs/reference/questions.md").write_text(page(), encoding="utf-8")
