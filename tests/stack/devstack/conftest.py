"""A rendered repository to work in, and devstack-env run in the image for many files at once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.containers import Output
from tests.support.template import Render

SAMPLES = Path(__file__).parent / "samples"
# Where the samples' devstack is.
ADDRESS = "192.168.1.76"

# The command for each case in a process of its own; these imports, which take longest, happen once.
RUNNER = """
import os, runpy, sys
from pathlib import Path
import entrypoint.devstack_env, keystonemiddleware.opts, keystoneauth1.loading
for case in Path("/cases").iterdir():
    if not (child := os.fork()):
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(case / name, os.O_CREAT | os.O_WRONLY), number)
        files = [f"{case}/placement.conf", f"{case}/local.conf"]
        sys.argv = ["entrypoint", "devstack-env", *files, (case / "ip").read_text()]
        runpy.run_module("entrypoint", run_name="__main__")
        sys.exit()
    (case / "code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""


class Files(NamedTuple):
    """The arguments of devstack-env."""

    placement_conf: str | bytes
    local_conf: str | bytes
    host_ip: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    code: int
    stdout: str
    stderr: str

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables that were printed."""
        return variables_in(self.stdout)


RunAll = Callable[[Mapping[str, Files]], dict[str, Outcome]]


def variables_in(env_file: str) -> dict[str, str]:
    """Read an env-file as docker does."""
    lines = [line for line in env_file.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def run_all(engine: str, newest: str, tmp_path_factory: pytest.TempPathFactory) -> RunAll:
    """Run devstack-env for each of many files."""

    def run_all(cases: Mapping[str, Files]) -> dict[str, Outcome]:
        folder = tmp_path_factory.mktemp("cases")
        for name, files in cases.items():
            (folder / name).mkdir()
            for file, content in zip(("placement.conf", "local.conf", "ip"), files, strict=True):
                data = content if isinstance(content, bytes) else content.encode()
                (folder / name / file).write_bytes(data)
        command = [engine, "run", "--rm", "--network=none", "--user=0", f"--volume={folder}:/cases"]
        command += ["--entrypoint=/opt/placement/bin/python3", newest, "-I", "-c", RUNNER]
        subprocess.run(command, check=True)
        return {name: outcome(folder / name) for name in cases}

    return run_all


def outcome(folder: Path) -> Outcome:
    """Read what a case has left."""
    code, stdout, stderr = ((folder / name).read_text() for name in ("code", "stdout", "stderr"))
    return Outcome(int(code), stdout, stderr)


@pytest.fixture
def repository(render: Render, tmp_path: Path) -> Path:
    """Return a rendered repository that a test may write into."""
    return shutil.copytree(render({}), tmp_path / "repository", symlinks=True)


DevstackEnv = Callable[..., Output]


@pytest.fixture(scope="session")
def devstack_env(engine: str, newest: str) -> DevstackEnv:
    """Return `make devstack-env`."""

    def devstack_env(
        repository: Path, env: Mapping[str, str] | None = None, **given: object
    ) -> Output:
        settings = {"ENGINE": engine, "IMAGE": newest, "HOST_IP": "", **given}
        command = ["make", "devstack-env", *(f"{name}={value}" for name, value in settings.items())]
        return subprocess.run(
            command, cwd=repository, env=env, text=True, capture_output=True, check=False
        )

    return devstack_env
