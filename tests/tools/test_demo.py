"""`make demo`, the README's first command, with another port and name."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.template import ROOT, commit_all, git
from tests.support.tools import run_command

pytestmark = pytest.mark.xdist_group("demo")

NAME = f"demo-test-{os.getpid()}"


@pytest.fixture(scope="module")
def port() -> str:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@pytest.fixture(scope="module")
def environment(port: str) -> dict[str, str]:
    """Separate this demo from a developer's own demo on this machine."""
    return {**os.environ, "PORT": port, "DEMO": NAME}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Path]:
    """Clone this repository with uncommitted files, and stop the clone's demo afterwards."""
    clone = tmp_path_factory.mktemp("demo") / "clone"
    files = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name, follow_symlinks=False)
    commit_all(clone)
    yield clone
    make(clone, "demo-down", environment)


def make(clone: Path, target: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run make in the clone."""
    return run_command(["make", target], cwd=clone, env=env)


@pytest.fixture(scope="module")
def interrupted(clone: Path, environment: dict[str, str]) -> int:
    """Interrupt a demo while its HTTP tests run, and return its exit code.

    As in a terminal, all processes get the signal.
    """
    with subprocess.Popen(
        ["make", "demo"],
        cwd=clone,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        assert any("running the gabbits" in line for line in demo.stdout)
        os.killpg(demo.pid, signal.SIGINT)
        demo.stdout.read()
    return demo.returncode


def test_interrupted_demo_stops(interrupted: int, port: str) -> None:
    assert interrupted != 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")


@pytest.mark.usefixtures("interrupted")
def test_demo_answers_the_printed_request_until_it_is_stopped(
    clone: Path, environment: dict[str, str]
) -> None:
    """An interrupted demo does not disturb the next one, which deletes what its tests create."""
    done = make(clone, "demo", environment)
    assert done.returncode == 0, done.stdout
    printed = re.search(r'curl -H "([a-z-]+): (\w+)" (http:\S+)\n', done.stdout)
    assert printed, done.stdout
    header, token, url = printed.groups()
    answer = httpx.get(url, headers={header: token})
    assert answer.status_code == 200
    run = re.search(r"test run (\d+)", done.stdout)
    assert run, done.stdout
    # The interrupted demo may have left providers, whose names contain another number.
    names = [provider["name"] for provider in answer.json()["resource_providers"]]
    assert [name for name in names if run[1] in name] == []

    stopped = make(clone, "demo-down", environment)
    assert stopped.returncode == 0, stopped.stdout
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


@pytest.mark.usefixtures("interrupted")
def test_misspelt_answer_is_refused(clone: Path, environment: dict[str, str]) -> None:
    """The message names the nearest valid name, and an earlier demo stays unchanged."""
    before = git(clone, "status", "--porcelain", "--ignored")
    done = make(clone, "demo", {**environment, "ANSWERS": "databse=mysql"})
    assert done.returncode != 0
    assert "'databse': no such question; did you mean database?" in done.stdout
    assert git(clone, "status", "--porcelain", "--ignored") == before


def test_demo_reports_a_used_port_and_keeps_the_users_changes(
    clone: Path, environment: dict[str, str]
) -> None:
    """The demo is rendered before its port is checked, so the second half can use it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = make(clone, "demo", {**environment, "PORT": port})
    assert done.returncode != 0
    assert f"port {port} is in use. Choose another one: make demo PORT=" in done.stdout

    mine = clone / "demo/mine"
    mine.write_text("mine\n", encoding="utf-8")
    for committed in (False, True):
        if committed:
            commit_all(clone / "demo")
        done = make(clone, "demo", environment)
        assert done.returncode != 0
        assert "demo/ contains changes. Move or remove it" in done.stdout
        assert mine.read_text(encoding="utf-8") == "mine\n"
