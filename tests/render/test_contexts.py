"""The confirmation of `make deploy` before the first deploy to a context."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.support.template import ROOT

COMMAND = ("-c", "import contexts; contexts.confirm('lab'); print('deploying')")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that was never deployed from."""
    shutil.copy(ROOT / "template/dev/cluster/contexts.py", tmp_path)
    return tmp_path


def on_a_terminal(folder: Path, *answers: str) -> tuple[str, int]:
    """Give answers on a terminal, and return the last output and the exit code."""
    with pexpect.spawn(sys.executable, [*COMMAND], cwd=folder, encoding="utf-8") as process:
        for answer in answers:
            process.expect_exact("the context lab.")
            process.expect_exact("Type yes")
            process.sendline(answer)
        process.expect(pexpect.EOF)
        process.wait()
        return str(process.before), int(process.exitstatus or 0)


def test_a_new_context_needs_a_yes(folder: Path) -> None:
    for answer in ("no", "", "y", "\x04"):
        output, code = on_a_terminal(folder, answer)
        assert "Nothing was deployed." in output
        assert (code, "deploying" in output) == (1, False)
    assert on_a_terminal(folder, "yes")[1] == 0
    output, code = on_a_terminal(folder)
    assert (code, output.strip()) == (0, "deploying")


def test_without_a_terminal_nobody_is_asked(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, *COMMAND], cwd=folder, input="", text=True, capture_output=True, check=True
    )
    assert done.stdout == "deploying\n"
    assert on_a_terminal(folder)[1] == 0
