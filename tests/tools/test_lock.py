"""tools/lock.py: constraints, overrides, and packages that are not the newest version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.containers import NEWEST
from tests.support.template import ROOT


@pytest.fixture
def lock(checkout: Path) -> Path:
    """Return a copy of the repository that locks a release with old constraints of two packages."""
    shutil.copytree(ROOT / "releases", checkout / "releases")
    locked = dict(
        re.findall(r"(?m)^([\w-]+)==(\S+)", (ROOT / f"releases/{NEWEST}.txt").read_text())
    )
    constraints = {**locked, "idna": "3.7", "pyparsing": "3.2.0"}
    lines = [f"{name}==={version}\n" for name, version in constraints.items() if name != "uwsgi"]
    (checkout / f"{NEWEST}.txt").write_text("".join(["# Constraints\n", *lines]))
    return checkout


def run(lock: Path, overrides: str) -> subprocess.CompletedProcess[str]:
    """Lock the newest release with these overrides."""
    (lock / f"releases/{NEWEST}.overrides").write_text(overrides)
    command = [sys.executable, "-m", "tools.lock", NEWEST]
    env = {**os.environ, "CONSTRAINTS": str(lock)}
    return subprocess.run(command, cwd=lock, env=env, text=True, capture_output=True, check=False)


def test_override_replaces_a_constraint(lock: Path) -> None:
    done = run(lock, "# A fix\nidna==3.8\n")
    assert done.returncode == 0, done.stderr
    locked = (lock / f"releases/{NEWEST}.txt").read_text()
    assert re.search(r"^idna==3\.8 \\\n +--hash=sha256:", locked, re.M)
    assert "\npyparsing==3.2.0 " in locked
    outdated = dict(re.findall(r"(?m)^  (\S+ \S+), newest \S+: (.*)$", done.stdout))
    assert outdated["idna 3.8"] == f"releases/{NEWEST}.overrides"
    assert outdated["pyparsing 3.2.0"] == "OpenStack's constraint"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("idna>=3.8\n", "idna>=3.8 is no exact version; write idna==VERSION"),
        ("idna==3.*\n", "idna==3.* is no exact version"),
        ("idna\n", "idna is no exact version"),
        ("idnaa==3.8\n", "no constraint names idnaa"),
        ("idna==3.6\n", "the constraint of idna is 3.7; remove idna==3.6"),
        ("idna=3.8\n", "idna=3.8"),
    ],
)
def test_wrong_override_is_refused(overrides: str, message: str, lock: Path) -> None:
    before = (lock / f"releases/{NEWEST}.txt").read_text()
    done = run(lock, overrides)
    assert done.returncode == 1
    assert f"{NEWEST}.overrides: " in done.stderr
    assert message in done.stderr
    assert (lock / f"releases/{NEWEST}.txt").read_text() == before


def test_constraints_that_cannot_be_read_are_named(lock: Path) -> None:
    (lock / f"{NEWEST}.txt").unlink()
    done = run(lock, "")
    assert done.returncode == 1
    assert f"{lock / NEWEST}.txt cannot be read" in done.stderr
    assert "set CONSTRAINTS" in done.stderr
