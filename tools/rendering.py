"""Render the template of the work tree, uncommitted changes included.

`python -m tools.rendering FOLDER VARIANT...` renders variants of tests/answers/valid/.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import yaml
from copier import run_copy
from copier.errors import DirtyLocalWarning, MissingSettingsWarning

ROOT = Path(__file__).parent.parent


def render(variant: str, folder: Path) -> Path:
    """Render the answers of a variant to a subfolder of that name, and return it."""
    answers = ROOT / f"tests/answers/valid/{variant}.yml"
    os.environ["COPIER_SETTINGS_PATH"] = os.devnull  # ignores the current user's defaults
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DirtyLocalWarning)
        warnings.simplefilter("ignore", MissingSettingsWarning)
        run_copy(
            str(ROOT),
            folder / variant,
            data=yaml.safe_load(answers.read_text(encoding="utf-8")),
            defaults=True,
            unsafe=True,
            quiet=True,
            vcs_ref="HEAD",
        )
    return folder / variant


if __name__ == "__main__":
    for name in sys.argv[2:]:
        render(name, Path(sys.argv[1]))
