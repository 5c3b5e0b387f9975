"""Tier 3: the rendered repository's own commands start and test each cell."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.cells import CELLS, Cell
from tests.support.containers import NEWEST
from tests.support.stack import NewStack, Stack

UUID = "7a5e5d2e-0000-4000-8000-000000000000"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the cells of `make test`, or every cell with --all."""
    if "cell" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all")
        metafunc.parametrize(
            "cell", [cell for cell in CELLS if every or cell.is_always_run], ids=str
        )


def test_cell(
    cell: Cell, new_stack: NewStack, record_property: Callable[[str, object], None]
) -> None:
    """`make up` and `make test` work.

    For the newest release also `make build`, the other commands of README.md, and a restart.
    """
    with new_stack(cell.answers) as stack:
        if cell.release == NEWEST:
            stack.make("build")
        up, output = timed(stack, "up")
        curl_command = re.search(r"^  (curl .*)$", output, re.MULTILINE)
        assert curl_command
        before = run_shell(stack, f"{curl_command[1]} --silent --fail")
        assert before == '{"resource_providers": []}'
        gabbits, _ = timed(stack, "test")
        record_property("figures", f"make up {up:.1f} s, make test {gabbits:.1f} s")
        if cell.release != NEWEST:
            return
        stack.make("quick-test")
        if cell.auth != "noauth2":
            assert_openstack_client_works(stack)
        assert_data_is_kept(stack)


def timed(stack: Stack, target: str) -> tuple[float, str]:
    """Run make; return the seconds that it took, and its output."""
    begin = time.monotonic()
    output = stack.make(target)
    return time.monotonic() - begin, output


def run_shell(stack: Stack, command: str) -> str:
    """Run a shell command in the repository."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=stack.repository,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_openstack_client_works(stack: Stack) -> None:
    """Run the OpenStack client with the command of docs/keystone.md."""
    page = (stack.repository / "docs/keystone.md").read_text(encoding="utf-8")
    command = re.search(r"^dev/stack/keystone/openstack .*$", page, re.MULTILINE)
    assert command
    create = command[0].replace("provider list", f"provider create --uuid {UUID} from-osc")
    # Variables of another cloud have no effect.
    run_shell(stack, f"OS_AUTH_URL=http://127.0.0.1:1 OS_USERNAME=other {create}")
    assert UUID in run_shell(stack, f"{command[0]} --format value")
    run_shell(stack, command[0].replace("provider list", f"provider delete {UUID}"))


def assert_data_is_kept(stack: Stack) -> None:
    """`make down` and `make up` keep data and passwords, and `make clean` asks first."""
    secrets = stack.repository / ".env"
    written = secrets.read_text(encoding="utf-8") if secrets.exists() else ""
    with new_client(stack) as client:
        client.put("/traits/CUSTOM_KEPT").raise_for_status()
    stack.make("down")
    with pytest.raises(httpx.TransportError):
        httpx.get(stack.url)
    assert stack.try_make("clean", answer="n\n").returncode != 0
    stack.make("up")
    with new_client(stack) as client:
        client.get("/traits/CUSTOM_KEPT").raise_for_status()
    assert (secrets.read_text(encoding="utf-8") if secrets.exists() else "") == written


def new_client(stack: Stack) -> httpx.Client:
    """Return a client with a valid token."""
    keystone = Path(stack.repository, "dev/stack/keystone").exists()
    return stack.client(stack.make("--silent", "token").strip() if keystone else "admin")
