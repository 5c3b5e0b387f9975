"""The documentation points at what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.template import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link that is no URL is a file of this repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_targets_that_are_named_can_be_made() -> None:
    """What README and CONTRIBUTING tell to make, `make help` lists here or in a rendering."""
    listed = set()
    for folder in (ROOT, ROOT / "examples/default"):
        command = ["make", "-C", str(folder), "help"]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        listed |= set(re.findall(r"^  (?:make )?([a-z0-9-]+) ", done.stdout, re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named
        assert named <= listed
