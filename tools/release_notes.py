"""Print the section of CHANGELOG.md of one version: `python -m tools.release_notes 1.1.0`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def release_notes(version: str, changelog: str) -> str:
    """Return the text below the dated heading of a version."""
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)"
    section = re.search(heading, changelog, re.MULTILINE | re.DOTALL)
    if not section:
        sys.exit(
            f"CHANGELOG.md has no dated section for {version}: add '## {version} (YYYY-MM-DD)'"
        )
    return section[1].strip() + "\n"


if __name__ == "__main__":
    print(release_notes(sys.argv[1], CHANGELOG.read_text(encoding="utf-8")), end="")
