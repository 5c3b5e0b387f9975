"""`make` alone helps, and .ci/run runs what the README says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    """The targets are what make itself knows them to be."""
    known = subprocess.run(
        ["make", "--print-data-base", "--question", "help"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", known, re.MULTILINE)
    assert phony
    listed = subprocess.run(["make"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", listed, re.MULTILINE)).keys() == set(
        phony[1].split()
    )


def test_ci_runs_make_test_from_anywhere_without_input_and_fails_with_it(tmp_path: Path) -> None:
    """5 is what pytest says where it finds no tests: that is a failure too."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    makefile = tmp_path / "Makefile"
    makefile.write_text("default:\n\ntest:\n\tcat\n\texit 5\n", encoding="utf-8")
    run = [tmp_path / ".ci/run"]
    failed = subprocess.run(
        run, cwd="/", text=True, input="input\n", capture_output=True, check=False
    )
    assert failed.stdout == "cat\nexit 5\n"
    assert failed.returncode != 0

    makefile.write_text("test:\n", encoding="utf-8")
    assert subprocess.run(run, cwd="/", capture_output=True, check=False).returncode == 0
