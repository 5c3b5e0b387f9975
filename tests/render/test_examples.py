"""The examples show what the template renders now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.template import ROOT


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files below a folder, except its own README.md."""
    return {
        name: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and (name := path.relative_to(folder).as_posix()) != "README.md"
    }


def test_the_examples_are_current(tmp_path: Path) -> None:
    """Also after a change to nothing but the chart's templates, or to the list of files."""
    subprocess.run([sys.executable, "-m", "tools.examples", tmp_path], cwd=ROOT, check=True)
    rendered, committed = contents(tmp_path), contents(ROOT / "examples")
    differ = {name for name in rendered | committed if rendered.get(name) != committed.get(name)}
    assert not differ, f"run `make examples` to update: {sorted(differ)}"
