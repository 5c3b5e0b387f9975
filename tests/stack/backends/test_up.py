"""Tier 3: what `make up` and `make clean` do to what was there before."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.containers import NEWEST, RELEASES
from tests.support.stack import NewStack, Stack
from tests.support.template import ROOT, Render


def left(stack: Stack, *kinds: str) -> list[str]:
    """Return what the engine has of this repository."""
    lists = {"containers": ["ps", "--all", "--format={{.Names}}"]}
    lists |= {kind: [kind, "ls", "--format={{.Name}}"] for kind in ("volume", "network")}
    names = [
        subprocess.check_output([stack.engine, *lists[kind]], text=True).split() for kind in kinds
    ]
    return [name for some in names for name in some if name.startswith(stack.repository.name)]


def test_another_image_of_the_same_name_is_started(
    new_stack: NewStack, image: Callable[[str], str]
) -> None:
    """As after a build with a newer template; and the same image is left alone."""
    with new_stack({}) as built:
        stack = replace(built, image=f"localhost/{built.repository.name}:test")
        for release, is_new in ((RELEASES[-2], True), (NEWEST, True), (NEWEST, False)):
            before = left(stack, "containers") and started(stack)
            subprocess.run([stack.engine, "tag", image(release), stack.image], check=True)
            stack.make("up")
            assert (started(stack) != before) == is_new
        subprocess.run([stack.engine, "rmi", stack.image], capture_output=True, check=True)


def started(stack: Stack) -> str:
    """Return the id of the container that serves."""
    (name,) = left(stack, "containers")
    return subprocess.check_output([stack.engine, "inspect", "--format={{.Id}}", name], text=True)


def test_clean_removes_what_another_answer_has_left_as_well(
    new_stack: NewStack, render: Render
) -> None:
    """The server of a database that is no longer used, with its data."""
    with new_stack({"database": "postgresql"}) as stack:
        stack.make("up")
        assert len(left(stack, "containers")) == 2
        answers = {"project_name": stack.repository.name}
        shutil.copytree(render(answers), stack.repository, dirs_exist_ok=True)
        stack.make("clean", answer="y\n")
        assert left(stack, "containers", "volume") == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("MINE=kept", ["MINE=kept"]),
        ("ONE=one\nMINE=kept\n", ["ONE=one", "MINE=kept"]),
        ("export ONE=one\n", ["export ONE=one"]),
    ],
)
def test_passwords_are_added_to_what_is_there(tmp_path: Path, text: str, lines: list[str]) -> None:
    """A line of the user's stays, however it ends, and nobody else may read the file."""
    env = tmp_path / ".env"
    env.write_text(text, encoding="utf-8")
    env.chmod(0o644)
    for _ in range(2):
        command = [f"{ROOT}/template/dev/stack/servers/passwords.sh", "ONE", "TWO"]
        subprocess.run(command, cwd=tmp_path, check=True)
        written = env.read_text(encoding="utf-8").splitlines()
    assert written[: len(lines)] == lines
    names = [line.removeprefix("export ").partition("=")[0] for line in written]
    assert sorted(names) == sorted({*names, "ONE", "TWO"})
    assert env.stat().st_mode & 0o777 == 0o600
