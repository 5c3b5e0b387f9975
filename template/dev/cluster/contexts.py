"""The contexts that this repository was deployed to, which git ignores."""

from __future__ import annotations

import sys
from pathlib import Path

USED = Path(__file__).with_name(".contexts")


def confirm(context: str) -> None:
    """Ask before the first deploy to a context, if there is a terminal; exit without a `yes`."""
    used = USED.read_text(encoding="utf-8").splitlines() if USED.exists() else []
    if context in used:
        return
    if sys.stdin.isatty():
        print(f"This repository was never deployed to the context {context}.")
        print("Type yes to deploy to it: ", end="", flush=True)
        if sys.stdin.readline().strip() != "yes":
            sys.exit("Nothing was deployed.")
    USED.write_text("".join(f"{name}\n" for name in [*used, context]), encoding="utf-8")
