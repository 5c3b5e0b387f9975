"""The page of the chart's values, from their descriptions and defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tools.rendering import ROOT

CHART = ROOT / "template/placement-chart"
HEADER = """\
<!-- `make docs` writes this page from the chart's values.yaml and values.schema.json. -->

# Chart values

The chart refuses unknown values and values of the wrong type. Set your own values in
`values.local.yaml`, which overrides the answers in `values.yaml` and the defaults on this page.

| Value | Default | Description |
| --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    lines = [
        f"| `{path}` | {default(values, path)} | {cell(description)} |\n"
        for path, description in described(schema)
    ]
    return HEADER + "".join(lines)


def described(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """List the values of a schema with their descriptions, the outer ones before the inner ones."""
    for name, value in schema["properties"].items():
        yield f"{prefix}{name}", value["description"]
        if "properties" in value:
            yield from described(value, f"{prefix}{name}.")


def default(values: Mapping[str, Any], path: str) -> str:
    """Format the default of a value; nothing for a value that contains others."""
    value: Any = values
    for name in path.split("."):
        if name not in value:
            return ""
        value = value[name]
    return "" if isinstance(value, dict) and value else f"`{json.dumps(value)}`"


def cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    for character in "|<*":
        text = text.replace(character, f"\\{character}")
    return text
