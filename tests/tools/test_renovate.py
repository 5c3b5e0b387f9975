"""The patterns in both renovate.json find files, and versions in these files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.template import ROOT

FOLDERS = {"template": ROOT, "rendered": ROOT / "template"}


def read(folder: Path) -> dict[str, Any]:
    """Read renovate.json."""
    config: dict[str, Any] = json.loads((folder / "renovate.json").read_text(encoding="utf-8"))
    return config


def managers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the managers with file patterns: custom ones, and others that search more files."""
    others = [value for value in config.values() if isinstance(value, dict)]
    found = [*config.get("customManagers", ()), *others]
    return [manager for manager in found if "managerFilePatterns" in manager]


def files(folder: Path, patterns: list[str]) -> list[Path]:
    """Return the files that match a pattern: a regular expression between slashes."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=folder, text=True).splitlines()
    assert all(re.fullmatch("/.+/", pattern) for pattern in patterns)
    return [
        folder / name
        for name in names
        if any(re.search(pattern[1:-1], name) for pattern in patterns)
    ]


def versions(expression: str, path: Path) -> list[str]:
    """Return the versions that a regular expression of Renovate finds in a file."""
    python = re.sub(r"\(\?<(?=\w)", "(?P<", expression)
    text = path.read_text(encoding="utf-8")
    return [found["currentValue"] for found in re.finditer(python, text)]


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_every_pattern_finds_files_and_every_expression_a_version(folder: Path) -> None:
    """The rendered configuration has no patterns yet."""
    for manager in managers(read(folder)):
        for pattern in manager["managerFilePatterns"]:
            assert files(folder, [pattern]), pattern
        found = files(folder, manager["managerFilePatterns"])
        for expression in manager.get("matchStrings", ()):
            assert any(versions(expression, path) for path in found), expression


def test_every_version_below_a_renovate_comment_is_found() -> None:
    """A comment that the expression does not match has no effect."""
    [manager] = read(ROOT)["customManagers"]
    [expression] = manager["matchStrings"]
    searched = files(ROOT, manager["managerFilePatterns"])
    for path in files(ROOT, ["/^tools//"]):
        comments = path.read_text(encoding="utf-8").count("# renovate: ")
        found = versions(expression, path) if path in searched else []
        assert len(found) == comments, path
        assert all(re.fullmatch(r"v?\d+(\.\d+)+", version) for version in found), found
