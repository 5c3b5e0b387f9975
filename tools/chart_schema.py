"""Write the comments of the chart's values.yaml into values.schema.json as descriptions.

The comments are the only place where a value is described: editors show the descriptions of the
schema, and tools/reference.py lists them in the documentation. `make docs` runs this program.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent.parent / "template/placement-chart"
SCHEMA = CHART / "values.schema.json"

Schema = dict[str, Any]


def comment_above(lines: list[str], line: int, column: int) -> str:
    """Join the comment lines directly above a line, which begin in the same column."""
    first = line
    while first and lines[first - 1].startswith(f"{' ' * column}# "):
        first -= 1
    return " ".join(text[column + 2 :].strip() for text in lines[first:line])


def describe(schema: Schema, node: yaml.MappingNode, lines: list[str]) -> Iterator[str]:
    """Set the descriptions of the values in a mapping, and name the values without a comment."""
    for key, value in node.value:
        inner = schema["properties"].get(key.value)
        if inner is None:  # a name that the user chooses
            continue
        mark = key.start_mark
        comment = comment_above(lines, mark.line, mark.column)
        if not comment:
            yield f"line {mark.line + 1}: {key.value} has no comment"
        described = {"description": ""} | inner | {"description": comment}
        schema["properties"][key.value] = described
        if isinstance(value, yaml.MappingNode) and "properties" in described:
            yield from describe(described, value, lines)


def main() -> None:
    """Write the schema, or with --check exit with an error if it is not current."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    before = SCHEMA.read_text(encoding="utf-8")
    schema: Schema = json.loads(before)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    if problems := list(describe(schema, node, text.splitlines())):
        sys.exit("\n".join(["placement-chart/values.yaml:", *problems]))
    after = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if before == after:
        return
    if "--check" in sys.argv:
        sys.exit("placement-chart/values.schema.json is not current: run `make docs`")
    SCHEMA.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
