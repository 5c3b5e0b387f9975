"""Render the template of the work tree, uncommitted changes included.

A variant is a file of answers in tests/answers/valid/. `python -m tools.rendering FOLDER` renders
all of VARIANTS, for the linters.
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
# Together, these variants have every make target and every server of the development stack.
VARIANTS = ("default", "keystone-password", "mysql-autoscale-ingress")


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
    for name in VARIANTS:
        render(name, Path(sys.argv[1]))
