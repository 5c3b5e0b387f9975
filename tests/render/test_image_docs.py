"""Every page that describes the image lists the same commands, arguments and variables."""

from __future__ import annotations

import re

import pytest

from entrypoint.__main__ import COMMANDS
from tests.support.template import ROOT

GUIDE = "template/docs/placedock.md.jinja"
REFERENCE = "docs/reference/environment.md"
ROW = r"^\| `([^`]+)` \|"

# For each file, the section with the commands, and the expression that finds one.
COPIES = {
    "template/shared/startup.sh": ("", r"^#   (\S.*?) {3,}\S"),
    GUIDE: ("## Commands\n", ROW),
    "docs/reference/commands.md": ("## Image commands\n", ROW),
}


def found(name: str, heading: str, expression: str) -> list[str]:
    """Return what an expression finds in a section of a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert heading in text
    section = text.partition(heading)[2].partition("\n## ")[0] if heading else text
    return [match[1] for match in re.finditer(expression, section, re.MULTILINE)]


@pytest.mark.parametrize("name", COPIES)
def test_commands_and_arguments_are_those_of_the_image(name: str) -> None:
    accepted = [f"{command} {COMMANDS[command].arguments}".strip() for command in COMMANDS]
    assert found(name, *COPIES[name]) == accepted


def test_both_tables_of_variables_list_the_same_names() -> None:
    guide = found(GUIDE, "## Variables\n", ROW)
    assert len(guide) >= 8
    assert sorted(guide) == sorted(found(REFERENCE, "## Environment variables\n", ROW))
