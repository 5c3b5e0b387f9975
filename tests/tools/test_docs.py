"""The documentation matches the repository. `make check` builds the site and checks its links."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.template import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = "docs|examples|extensions|releases|src|template|tests|tools"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_in_the_documentation_exist(page: Path) -> None:
    """A path in code font that starts with a folder of this repository is a file or a folder."""
    text = page.read_text(encoding="utf-8")
    paths = re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_make_targets_in_the_documentation_exist() -> None:
    """`make help` lists each target of README and CONTRIBUTING, here or in a rendering."""
    listed = set()
    for folder in (ROOT, ROOT / "examples/default"):
        command = ["make", "-C", str(folder), "help"]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        listed |= set(re.findall(r"^  (?:make )?([a-z0-9-]+) ", done.stdout, re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named
        assert named <= listed
