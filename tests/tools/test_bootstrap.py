"""tools/bootstrap uses what is there, brings what is missing, and says what it cannot bring."""

from __future__ import annotations

import operator
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tests.support.template import ROOT, load
from tests.tools.conftest import MachineWithout, bootstrap

NOBODY = 65534


def test_what_is_missing_where_there_is_no_apt_is_told_at_once(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """Each missing part is named, with where to get it."""
    env = machine_without("apt-get", "uv", "python3", "docker", "podman")
    env.pop("ENGINE", None)
    done = bootstrap(checkout, "uv", "engine", env=env)
    assert done.returncode != 0
    assert "Python is missing: install python3, 3.11 or newer" in done.stdout
    assert "a container engine is missing" in done.stdout
    assert "get it yourself: docker with its compose plugin, or podman" in done.stdout


def test_somebody_who_may_not_install_is_told_what_root_has_to(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """Neither root nor sudo: the command for root is given."""
    env = machine_without("sudo", "docker", "podman")
    env.pop("ENGINE", None)
    user = None
    if os.getuid() == 0:
        user = NOBODY
        os.chown(checkout, user, user)
        for directory in checkout.parents[:-2]:
            directory.chmod(directory.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)
    done = bootstrap(checkout, "engine", env=env, user=user)
    assert done.returncode != 0
    assert "run as root 'apt-get install podman " in done.stdout


def test_an_engine_that_was_asked_for_and_is_not_there_is_not_replaced(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """ENGINE decides, even where another engine would do."""
    env = {**machine_without("docker"), "ENGINE": "docker"}
    done = bootstrap(checkout, "engine", env=env)
    assert done.returncode != 0
    assert "ENGINE is docker, but 'docker info'" in done.stdout
    assert not (checkout / ".cache/engine").exists()


def test_an_unknown_part_is_refused(checkout: Path) -> None:
    """A slip in the Makefile does not pass for success."""
    done = bootstrap(checkout, "helmet")
    assert done.returncode != 0
    assert "there is no part 'helmet': uv, engine, base, lint or charts" in done.stdout


def test_uv_that_is_there_is_used(checkout: Path) -> None:
    """Nothing is installed, and nothing said."""
    done = bootstrap(checkout, "uv")
    assert (done.returncode, done.stdout) == (0, "")
    assert not (checkout / ".cache/uv").exists()


def test_uv_is_brought_once_though_two_ask_at_once_and_then_costs_nothing(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """The second of two waits for the first and finds its work done."""
    env = machine_without("uv")
    command = [str(checkout / "tools/bootstrap"), "uv"]
    both = [subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    said = "".join(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said.count("installing uv into .cache/uv") == 1
    assert pinned_version() in found_uv(checkout, env)

    start = time.monotonic()
    again = bootstrap(checkout, "uv", env=env)
    assert (again.returncode, again.stdout) == (0, "")
    assert time.monotonic() - start < 2


def test_uv_is_brought_after_an_interruption(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """What an interruption leaves behind does not pass for uv."""
    env = machine_without("uv")
    with subprocess.Popen(
        [checkout / "tools/bootstrap", "uv"],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as first:
        assert first.stdout is not None
        assert any("installing uv" in line for line in first.stdout)
        appearance = Retrying(
            retry=retry_if_result(operator.not_), wait=wait_fixed(0.02), stop=stop_after_delay(30)
        )
        appearance((checkout / ".cache/uv/pyvenv.cfg").exists)
        os.killpg(first.pid, signal.SIGKILL)
    assert not (checkout / ".cache/bin/uv").exists()
    assert bootstrap(checkout, "uv", env=env).returncode == 0
    assert pinned_version() in found_uv(checkout, env)


def test_a_uv_other_than_the_pinned_one_is_refused(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """The hashes of tools/uv.txt are looked at."""
    pins = checkout / "tools/uv.txt"
    pins.write_text(pins.read_text(encoding="utf-8").replace("sha256:", "sha256:0"), "utf-8")
    done = bootstrap(checkout, "uv", env=machine_without("uv"))
    assert done.returncode != 0
    assert not (checkout / ".cache/bin/uv").exists()


def test_an_engine_is_tried_again_only_where_the_machine_has_changed(checkout: Path) -> None:
    """A trial builds and runs; the next call believes it on the same ground."""
    first = bootstrap(checkout, "engine")
    assert first.returncode == 0, first.stdout
    assert "with a tiny image" in first.stdout

    start = time.monotonic()
    second = bootstrap(checkout, "engine")
    assert (second.returncode, second.stdout) == (0, "")
    assert time.monotonic() - start < 2

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1
    limited = ["prlimit", f"--nofile={files}", str(checkout / "tools/bootstrap"), "engine"]
    third = subprocess.run(limited, text=True, capture_output=True, check=True)
    assert "with a tiny image" in third.stdout


def test_what_was_found_reaches_the_shell_that_sources_it(checkout: Path) -> None:
    """The engine answers there, and our tools come first in its PATH."""
    bootstrap(checkout, "engine")
    shell = [shutil.which("sh") or "sh", "-euc", '. .cache/env; "$ENGINE" version; echo "$PATH"']
    done = subprocess.run(shell, cwd=checkout, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1].startswith(f"{checkout}/.cache/bin:")


def test_the_base_image_looked_for_is_the_default_one() -> None:
    """tools/bootstrap has no YAML reader: its copy of the default is held to copier.yml here."""
    script = (ROOT / "tools/bootstrap").read_text(encoding="utf-8")
    assert f"\nbase_image={load(ROOT / 'copier.yml')['base_image']['default']}\n" in script


def pinned_version() -> str:
    """Return the version of uv that tools/uv.txt pins."""
    pins = (ROOT / "tools/uv.txt").read_text(encoding="utf-8")
    return next(line for line in pins.splitlines() if line.startswith("uv==")).split()[0][4:]


def found_uv(checkout: Path, env: dict[str, str]) -> str:
    """Return what uv says of itself to a shell that sources .cache/env."""
    shell = ["sh", "-euc", ". .cache/env; uv --version"]
    return subprocess.run(
        shell, cwd=checkout, env=env, text=True, capture_output=True, check=True
    ).stdout
