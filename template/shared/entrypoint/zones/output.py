"""What the commands print: text as Terraform's, or JSON."""

import json

from entrypoint.zones.difference import Difference

ACTIONS = {"+": "create", "~": "update", "-": "delete"}


def text(difference: Difference) -> str:
    """Return the changes and their number."""
    if not difference.changes:
        return "No changes." if difference.warnings else "No changes: Placement matches the file."
    lines = []
    for change in difference.changes:
        lines.append(f"{change.sign} {change.kind} {change.name}")
        lines += [f"    {detail}" for detail in change.details]
    return "\n".join([*lines, "", f"Plan: {numbers(difference)}."])


def numbers(difference: Difference) -> str:
    """Return how much a difference adds, changes and removes."""
    signs = [change.sign for change in difference.changes]
    count = signs.count
    return f"{count('+')} to add, {count('~')} to change, {count('-')} to remove"


def as_json(difference: Difference, nova: list[str]) -> str:
    """Return the changes, the warnings, and the commands for Nova."""
    changes = [
        {
            "action": ACTIONS[change.sign],
            "kind": change.kind,
            "name": change.name,
            "details": change.details,
        }
        for change in difference.changes
    ]
    return json.dumps({"changes": changes, "warnings": difference.warnings, "nova": nova}, indent=2)
