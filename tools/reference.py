"""Write the generated pages of docs/reference/: `make docs` runs it.

The chart's values come from its schema and defaults, the commands from `make help` in rendered
repositories.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.rendering import ROOT, render

PAGES = ROOT / "docs/reference"
# Together, these variants have every make target.
VARIANTS = ("default", "keystone-password", "mysql-autoscale-ingress")

CHART_VALUES = """\
<!-- `make docs` writes this page from the chart's values.schema.json and values.yaml. -->

# Chart values

The chart refuses unknown values and values of the wrong type. Set your own values in
`values.local.yaml`, which overrides the answers in `values.yaml` and the defaults on this page.

| Value | Default | Description |
| --- | --- | --- |
"""
COMMANDS = """\
<!-- `make docs` writes this page from `make help` in rendered repositories. -->

# Make targets

Run `make` in a rendered repository to list its targets. A repository has only the targets that its
answers need.

| Target | Action | Available |
| --- | --- | --- |
"""


def described(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """List the values of a schema with their descriptions, the outer ones before the inner ones."""
    for name, value in schema["properties"].items():
        yield f"{prefix}{name}", value["description"]
        if "properties" in value:
            yield from described(value, f"{prefix}{name}.")


def default(values: Mapping[str, Any], path: str) -> str:
    """Format the default of a value for a table; nothing for a value with inner values."""
    value: Any = values
    for name in path.split("."):
        if name not in value:
            return ""
        value = value[name]
    return "" if isinstance(value, dict) and value else f"`{json.dumps(value)}`"


def cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return text.replace("|", r"\|").replace("<", r"\<").replace("*", r"\*")


def chart_values(repository: Path) -> str:
    """Return the page of the chart's values."""
    chart = repository / "placement-chart"
    schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    lines = [
        f"| `{path}` | {default(values, path)} | {cell(description)} |\n"
        for path, description in described(schema)
    ]
    return CHART_VALUES + "".join(lines)


def targets(repository: Path) -> dict[str, str]:
    """Return the targets that `make help` lists in a rendered repository."""
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=repository,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(re.findall(r"^  (?:make )?([a-z0-9-]+) +(\S.*)$", done.stdout, re.MULTILINE))


def commands(repositories: list[Path]) -> str:
    """Return the page of the make targets."""
    found = [targets(repository) for repository in repositories]
    everywhere = found[0].keys()
    actions: dict[str, str] = {}
    for listed in found:
        for name, action in listed.items():
            actions.setdefault(name, action)
    lines = []
    for name, action in sorted(actions.items()):
        available = "always" if name in everywhere else "depends on the answers"
        lines.append(f"| `{name}` | {cell(action)} | {available} |\n")
    return COMMANDS + "".join(lines)


def pages() -> dict[str, str]:
    """Return the text of each generated page."""
    with tempfile.TemporaryDirectory() as folder:
        repositories = [render(variant, Path(folder)) for variant in VARIANTS]
        return {
            "chart-values.md": chart_values(repositories[0]),
            "commands.md": commands(repositories),
        }


def main() -> None:
    """Write the pages, or with --check exit with an error if one is not current."""
    outdated = []
    for name, text in pages().items():
        path = PAGES / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        outdated.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and outdated:
        sys.exit(f"docs/reference: {', '.join(outdated)} not current: run `make docs`")


if __name__ == "__main__":
    main()
