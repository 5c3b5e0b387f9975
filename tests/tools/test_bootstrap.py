"""tools/bootstrap uses installed tools, installs missing ones, and reports impossible ones."""

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
from tests.support.tools import MachineWithout, bootstrap

NOBODY = 65534


def test_without_apt_all_missing_parts_are_reported(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """Each message names a source of the part."""
    env = machine_without("apt-get", "uv", "python3", "docker", "podman")
    env.pop("ENGINE", None)
    done = bootstrap(checkout, "uv", "engine", env=env)
    assert done.returncode != 0
    assert "Python is missing: install python3, 3.11 or newer" in done.stdout
    assert "a container engine is missing" in done.stdout
    assert "Install it yourself: docker with its compose plugin, or podman" in done.stdout


def test_without_root_and_sudo_the_command_for_root_is_printed(
    checkout: Path, machine_without: MachineWithout
) -> None:
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
    assert "Run as root 'apt-get install podman " in done.stdout


def test_missing_engine_that_was_selected_is_not_replaced(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """ENGINE decides, even if another engine works."""
    env = {**machine_without("docker"), "ENGINE": "docker"}
    done = bootstrap(checkout, "engine", env=env)
    assert done.returncode != 0
    assert "ENGINE is docker, but 'docker info'" in done.stdout
    assert not (checkout / ".cache/engine").exists()


def test_unknown_part_is_refused(checkout: Path) -> None:
    """A misspelt part in the Makefile fails."""
    done = bootstrap(checkout, "helmet")
    assert done.returncode != 0
    assert (
        "unknown part 'helmet': use uv, engine, base, lint, charts, skopeo, maven or bench"
        in done.stdout
    )


def test_installed_uv_is_used(checkout: Path) -> None:
    """Nothing is installed, and nothing is printed."""
    done = bootstrap(checkout, "uv")
    assert (done.returncode, done.stdout) == (0, "")
    assert not (checkout / ".cache/uv").exists()


def test_two_concurrent_runs_install_uv_once(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """The second run waits for the first. A third run does nothing."""
    env = machine_without("uv")
    command = [str(checkout / "tools/bootstrap"), "uv"]
    both = [subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    output = "".join(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert output.count("installing uv into .cache/uv") == 1
    assert pinned_version() in found_uv(checkout, env)

    start = time.monotonic()
    again = bootstrap(checkout, "uv", env=env)
    assert (again.returncode, again.stdout) == (0, "")
    assert time.monotonic() - start < 2


def test_uv_is_installed_after_an_interruption(
    checkout: Path, machine_without: MachineWithout
) -> None:
    """An incomplete installation does not count as uv."""
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


def test_uv_with_another_hash_is_refused(checkout: Path, machine_without: MachineWithout) -> None:
    """The installation checks the hashes in tools/uv.txt."""
    pins = checkout / "tools/uv.txt"
    pins.write_text(pins.read_text(encoding="utf-8").replace("sha256:", "sha256:0"), "utf-8")
    done = bootstrap(checkout, "uv", env=machine_without("uv"))
    assert done.returncode != 0
    assert not (checkout / ".cache/bin/uv").exists()


def test_engine_is_tested_again_only_if_the_machine_changed(checkout: Path) -> None:
    """The test builds and runs an image. Later calls rely on its result."""
    first = bootstrap(checkout, "engine")
    assert first.returncode == 0, first.stdout
    assert "with a small image" in first.stdout

    start = time.monotonic()
    second = bootstrap(checkout, "engine")
    assert (second.returncode, second.stdout) == (0, "")
    assert time.monotonic() - start < 2

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1
    limited = ["prlimit", f"--nofile={files}", str(checkout / "tools/bootstrap"), "engine"]
    third = subprocess.run(limited, text=True, capture_output=True, check=True)
    assert "with a small image" in third.stdout


def test_environment_file_sets_the_engine_and_the_path(checkout: Path) -> None:
    """In a shell that sources .cache/env, the engine works and .cache/bin is first in PATH."""
    bootstrap(checkout, "engine")
    shell = [shutil.which("sh") or "sh", "-euc", '. .cache/env; "$ENGINE" version; echo "$PATH"']
    done = subprocess.run(shell, cwd=checkout, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1].startswith(f"{checkout}/.cache/bin:")


def test_base_image_is_the_default_of_copier_yml() -> None:
    """tools/bootstrap cannot read YAML and has a copy of the default."""
    script = (ROOT / "tools/bootstrap").read_text(encoding="utf-8")
    assert f"\nbase_image={load(ROOT / 'copier.yml')['base_image']['default']}\n" in script


def pinned_version() -> str:
    """Return the version of uv that tools/uv.txt pins."""
    pins = (ROOT / "tools/uv.txt").read_text(encoding="utf-8")
    return next(line for line in pins.splitlines() if line.startswith("uv==")).split()[0][4:]


def found_uv(checkout: Path, env: dict[str, str]) -> str:
    """Return the version that uv prints in a shell that sources .cache/env."""
    shell = ["sh", "-euc", ". .cache/env; uv --version"]
    return subprocess.run(
        shell, cwd=checkout, env=env, text=True, capture_output=True, check=True
    ).stdout
