"""The commands on hosts that lack something: one line names it, or the commands do without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.render.conftest import Repo
from tests.support.repositories import make
from tests.support.template import ROOT, Render, commit_all

# An interpreter that reports an older version of Python to uv.
OLD_PYTHON = """#!{python}
import platform, sys
fields = ("major", "minor", "micro", "releaselevel", "serial")
values = (3, 10, 12, "final", 0)
sys.version_info = type("version_info", (tuple,), dict(zip(fields, values)))(values)
platform.python_version = lambda: "3.10.12"
platform.python_version_tuple = lambda: ("3", "10", "12")
exec(sys.argv[sys.argv.index("-c") + 1])
"""


@pytest.fixture
def repository(render: Render, tmp_path: Path) -> Path:
    """Return a repository that a test may change."""
    repository = shutil.copytree(render({}), tmp_path / "repository", symlinks=True)
    commit_all(repository)
    return repository


def with_crlf(repository: Path) -> None:
    """Convert all files, as an archive from Windows has them."""
    for path in repository.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def without_execute_bits(repository: Path) -> None:
    """Remove them, as a zip archive does."""
    for path in repository.rglob("*"):
        if path.is_file():
            path.chmod(0o644)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_crlf, r"dev/\S+ has CRLF line ends\. Convert all files: (.*)\.  Stop\."),
        (without_execute_bits, r"The scripts are not executable\. Run: (chmod \+x .*)\.  Stop\."),
    ],
)
def test_unusable_scripts_are_reported_with_the_command_that_repairs_them(
    repository: Path, spoil: Callable[[Path], None], message: str
) -> None:
    """Whatever the target; without this line, the shell reports that a script does not exist."""
    spoil(repository)
    for target in ("doctor", "up"):
        done = make(repository, target)
        assert done.returncode != 0
        [line] = done.stderr.splitlines()
    found = re.search(message, line)
    assert found, line
    subprocess.run(["sh", "-euc", found[1]], cwd=repository, check=True)
    assert make(repository, "doctor", "ARGS=--help").returncode == 0
    diff = ["git", "diff", "--exit-code", "--stat"]
    subprocess.run(diff, cwd=repository, check=True)


def test_tools_are_installed_with_a_newer_python_than_the_first_one(
    repository: Path, tmp_path: Path
) -> None:
    """The first one would end in a message of the resolver, so uv finds or fetches another."""
    first = tmp_path / "bin/python3"
    first.parent.mkdir()
    first.write_text(OLD_PYTHON.format(python=Path(sys.executable).resolve()))
    first.chmod(0o755)
    path = f"{first.parent}:{os.environ['PATH']}"
    # Not the virtual environment of the tests.
    done = make(repository, "dev/stack/.venv/bin", PATH=path, VIRTUAL_ENV="")
    assert done.returncode == 0, done.stderr
    config = (repository / "dev/stack/.venv/pyvenv.cfg").read_text()
    [minor] = re.findall(r"^version_info = 3\.(\d+)", config, re.MULTILINE)
    assert int(minor) >= 11


def test_copier_on_an_older_python_is_refused_with_the_command_for_a_newer_one() -> None:
    hook = ROOT / "extensions/context.py"
    code = f"import runpy, sys; sys.version_info = (3, 10, 12); runpy.run_path({str(hook)!r})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    message = done.stderr.splitlines()[-1]
    assert "this template needs Python 3.11 or newer. Run it as: uvx --python" in message


def test_dry_run_runs_no_command(render_default: Repo, tmp_path: Path) -> None:
    """`make --dry-run` does run each line that contains $(MAKE)."""
    for name in ("cut", "grep", "make", "od", "sed", "sh", "tr"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for target in ("e2e", "upgrade", "load", "clean"):
        command = ("--dry-run", target, "ENGINE=podman")
        done = make(render_default.path, *command, PATH=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, ""), target


def test_help_groups_the_targets_by_where_they_act(render: Render, tmp_path: Path) -> None:
    """Also those of the included files, and the user's own."""
    repository = shutil.copytree(render({"database": "mysql"}), tmp_path / "repository")
    (repository / "Makefile.local").write_text("mine: ## Ours\n\t@echo mine\n")
    groups = {
        group.splitlines()[0]: re.findall(r"^  ([a-z0-9-]+) ", group, re.MULTILINE)
        for group in make(repository).stdout.split("\n\n")
    }
    assert {"build", "up", "import-sqlite"} <= set(groups["This host:"])
    assert {"deploy", "cluster-test", "e2e", "secrets"} <= set(groups["Cluster:"])
    assert {"set", "update", "doctor"} <= set(groups["Maintenance:"])
    assert groups["Your own:"] == ["mine"]
