"""Tier 3: `make up` and `make clean` in a repository that has run before."""

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


def resources(stack: Stack, *kinds: str) -> list[str]:
    """Return the names of this repository's containers, volumes or networks."""
    lists = {"containers": ["ps", "--all", "--format={{.Names}}"]}
    lists |= {kind: [kind, "ls", "--format={{.Name}}"] for kind in ("volume", "network")}
    return [
        name
        for kind in kinds
        for name in subprocess.check_output([stack.engine, *lists[kind]], text=True).split()
        if name.startswith(stack.repository.name)
    ]


def test_up_replaces_the_container_when_the_image_changes(
    new_stack: NewStack, image: Callable[[str], str]
) -> None:
    """A build with a newer template changes the image. Without a change the container stays."""
    with new_stack({}) as built:
        stack = replace(built, image=f"localhost/{built.repository.name}:test")
        for release, is_new in ((RELEASES[-2], True), (NEWEST, True), (NEWEST, False)):
            before = resources(stack, "containers") and container_id(stack)
            subprocess.run([stack.engine, "tag", image(release), stack.image], check=True)
            stack.make("up")
            assert (container_id(stack) != before) == is_new
        subprocess.run([stack.engine, "rmi", stack.image], capture_output=True, check=True)


def container_id(stack: Stack) -> str:
    """Return the id of the container of Placement."""
    (name,) = resources(stack, "containers")
    return subprocess.check_output([stack.engine, "inspect", "--format={{.Id}}", name], text=True)


def test_clean_removes_servers_of_earlier_answers(new_stack: NewStack, render: Render) -> None:
    """The earlier database server is removed with its data, which `make up` has created."""
    with new_stack({"database": "postgresql"}) as stack:
        assert "created the database placement with ENCODING 'UTF8'\n" in stack.make("up")
        assert len(resources(stack, "containers")) == 2
        answers = {"project_name": stack.repository.name}
        shutil.copytree(render(answers), stack.repository, dirs_exist_ok=True)
        stack.make("clean", answer="y\n")
        assert resources(stack, "containers", "volume") == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("MINE=kept", ["MINE=kept"]),
        ("ONE=one\nMINE=kept\n", ["ONE=one", "MINE=kept"]),
        ("export ONE=one\n", ["export ONE=one"]),
    ],
)
def test_passwords_are_added_to_an_existing_file(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    """The user's lines stay, also without a line end, and only the user can read the file."""
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
