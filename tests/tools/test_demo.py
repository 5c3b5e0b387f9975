"""`make demo`, the README's first command, word for word but for its port and its name."""

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
from tests.tools.conftest import said

pytestmark = pytest.mark.xdist_group("demo")

NAME = f"demo-test-{os.getpid()}"


@pytest.fixture(scope="module")
def port() -> str:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@pytest.fixture(scope="module")
def environment(port: str) -> dict[str, str]:
    """Keep the demo apart from one that is looked at on this machine."""
    return {**os.environ, "PORT": port, "DEMO": NAME}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Path]:
    """Clone this repository as it stands, uncommitted files included; stop its demo afterwards."""
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
    """Make it there."""
    return said(["make", target], cwd=clone, env=env)


def test_the_demo_answers_as_it_says_until_it_is_stopped(
    clone: Path, environment: dict[str, str]
) -> None:
    """What it says to ask is asked here, before and after it is stopped."""
    done = make(clone, "demo", environment)
    assert done.returncode == 0, done.stdout
    said = re.search(r"curl -H '([a-z-]+): (\w+)' (http:\S+)\n", done.stdout)
    assert said, done.stdout
    header, token, url = said.groups()
    answer = httpx.get(url, headers={header: token})
    assert (answer.status_code, answer.json()) == (200, {"resource_providers": []})

    stopped = make(clone, "demo-down", environment)
    assert stopped.returncode == 0, stopped.stdout
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_misspelt_answer_is_no_demo(clone: Path, environment: dict[str, str]) -> None:
    """It is refused with the nearest right name, and an earlier demo stays as it is."""
    before = git(clone, "status", "--porcelain", "--ignored")
    done = make(clone, "demo", {**environment, "ANSWERS": "databse=mysql"})
    assert done.returncode != 0
    assert "'databse': no such question; did you mean database?" in done.stdout
    assert git(clone, "status", "--porcelain", "--ignored") == before


def test_an_interrupted_demo_stops_and_the_next_one_does_not_trip_over_it(
    clone: Path, environment: dict[str, str], port: str
) -> None:
    """As a terminal interrupts: all that runs gets the signal, while Placement serves."""
    with subprocess.Popen(
        ["make", "demo"],
        cwd=clone,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as interrupted:
        assert interrupted.stdout is not None
        assert any("running the gabbits" in line for line in interrupted.stdout)
        os.killpg(interrupted.pid, signal.SIGINT)
        interrupted.stdout.read()
    assert interrupted.returncode != 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")
    again = make(clone, "demo", environment)
    assert again.returncode == 0, again.stdout


def test_a_demo_without_a_port_says_so_and_one_that_was_written_into_is_kept(
    clone: Path, environment: dict[str, str]
) -> None:
    """What is rendered when the port turns out to be taken is a demo like any other."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = make(clone, "demo", {**environment, "PORT": port})
    assert done.returncode != 0
    assert f"port {port} is taken by something else: choose another, as in" in done.stdout

    mine = clone / "demo/mine"
    mine.write_text("mine\n", encoding="utf-8")
    for committed in (False, True):
        if committed:
            commit_all(clone / "demo")
        done = make(clone, "demo", environment)
        assert done.returncode != 0
        assert "demo/ has changes of yours: move it away, or remove it" in done.stdout
        assert mine.read_text(encoding="utf-8") == "mine\n"
