"""Write docs/reference/questions.md from copier.yml: `make docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from extensions.deployment import field_problem  # noqa: E402

sys.path.insert(0, str(ROOT))


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
        return re.split(r",? such as", field_problem(name, "!").partition("answer ")[2])[0]
    offered = question["choices"]
    values = offered.values() if isinstance(offered, dict) else offered
    return ", ".join(f"`{it['value'] if isinstance(it, dict) else it}`" for it in values)


def condition(question: dict[str, Any]) -> str:
    """Say when it is asked, in the words of copier.yml without its braces."""
    return f"`{question['when'].strip('{} ')}`" if "when" in question else "always"


def section(name: str, question: dict[str, Any]) -> str:
    """Write the section of one question."""
    default = yaml.safe_dump(question["default"]).splitlines()[0]
    lines = [
        f"### {name}\n",
        f"{question['help'].strip()}\n",
        f"- Answer: {choices(name, question)}",
        f"- Default: `{default}`" if question["default"] != "" else "- Default: empty",
        f"- Asked: {condition(question)}",
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
