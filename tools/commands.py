"""The page of commands: make targets, commands of the image, the maintenance tool."""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from copier_placement.cli import new_parser
from entrypoint.__main__ import COMMANDS
from tools.chart_values import cell
from tools.rendering import VARIANTS, render

PAGE = """\
<!-- `make docs` writes this page from the commands' own help. -->

# Commands

## Make targets

Run `make` in a rendered repository to list its targets. A repository has only the targets that its
answers need.

| Target | Action | Available |
| --- | --- | --- |
{targets}
## Image commands

Pass a command as the argument of the image. Without a command, the container serves Placement.

| Command | Action |
| --- | --- |
{image}
## Maintenance tool

`dev/maintain COMMAND` runs the template's maintenance tool in a rendered repository. The make
targets `set`, `update`, `doctor` and `load` call it.

| Command | Action |
| --- | --- |
{maintenance}"""


def page() -> str:
    """Return the page."""
    with tempfile.TemporaryDirectory() as folder:
        listed = [targets(render(variant, Path(folder))) for variant in VARIANTS]
    return PAGE.format(
        targets="".join(target_lines(listed)),
        image="".join(image_lines()),
        maintenance="".join(maintenance_lines()),
    )


def targets(repository: Path) -> dict[str, str]:
    """Return the targets that `make help` lists in a rendered repository."""
    command = ["make", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=repository, text=True, stdout=subprocess.PIPE, check=True)
    return dict(re.findall(r"^  (?:make )?([a-z0-9-]+) +(\S.*)$", done.stdout, re.MULTILINE))


def target_lines(listed: list[dict[str, str]]) -> Iterator[str]:
    """Write a line for each target of any variant."""
    actions: Mapping[str, str] = {name: action for some in listed for name, action in some.items()}
    for name, action in sorted(actions.items()):
        everywhere = all(name in some for some in listed)
        available = "always" if everywhere else "depends on the answers"
        yield f"| `{name}` | {cell(action)} | {available} |\n"


def image_lines() -> Iterator[str]:
    """Write a line for each command of the image, from its docstring."""
    for name, command in COMMANDS.items():
        summary = (command.load().__doc__ or "").splitlines()[0]
        yield f"| `{f'{name} {command.arguments}'.strip()}` | {cell(summary)} |\n"


def maintenance_lines() -> Iterator[str]:
    """Write a line for each command of the maintenance tool, from its help."""
    for action in new_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action._choices_actions:
                yield f"| `{command.dest}` | {sentence(command.help or '')} |\n"


def sentence(text: str) -> str:
    """Format the help of an option as a sentence of a table."""
    return cell(text[:1].upper() + text[1:]) + "."
