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
from tenacity import Retrying, stop_after_delay, wait_fixed

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
def interrupted(clone: Path, environment: dict[str, str], port: str) -> int:
    """Interrupt a demo when Placement first answers, and return its exit code.

    As in a terminal, all processes get the signal. The gabbits have not created anything yet.
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
        assert any("starting it on port" in line for line in demo.stdout)
        for attempt in Retrying(wait=wait_fixed(0.05), stop=stop_after_delay(300)):
            with attempt:
                httpx.get(f"http://127.0.0.1:{port}/").raise_for_status()
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
    """An earlier demo that was interrupted does not disturb this one."""
    done = make(clone, "demo", environment)
    assert done.returncode == 0, done.stdout
    printed = re.search(r"curl -H '([a-z-]+): (\w+)' (http:\S+)\n", done.stdout)
    assert printed, done.stdout
    header, token, url = printed.groups()
    answer = httpx.get(url, headers={header: token})
    assert (answer.status_code, answer.json()) == (200, {"resource_providers": []})

    stopped = make(clone, "demo-down", environment)
    assert stopped.returncode == 0, stopped.stdout
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


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
