"""Write the generated pages of docs/reference/; with --check, only report outdated ones."""

from __future__ import annotations

import sys

from tools import chart_values, commands, questions
from tools.rendering import ROOT

PAGES = {
    "chart-values.md": chart_values.page,
    "commands.md": commands.page,
    "questions.md": questions.page,
}


def main() -> None:
    """Write or check each page."""
    outdated = []
    for name, page in PAGES.items():
        path = ROOT / "docs/reference" / name
        text = page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        outdated.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and outdated:
        sys.exit(f"docs/reference: run `make docs` to update {', '.join(outdated)}")


if __name__ == "__main__":
    main()
