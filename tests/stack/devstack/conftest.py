"""A rendered repository to work in, and `make devstack-env` there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.batch import Case
from tests.support.containers import Output
from tests.support.template import Render

SAMPLES = Path(__file__).parent / "samples"
# The address of the devstack in the samples.
ADDRESS = "192.168.1.76"

DevstackEnv = Callable[..., Output]


class Files(NamedTuple):
    """The files and the address that devstack-env reads."""

    placement_conf: str | bytes
    local_conf: str | bytes
    host_ip: str = ""

    @property
    def case(self) -> Case:
        """The command for them."""
        names = ("placement.conf", "local.conf")
        paths = [f"{{folder}}/{name}" for name in names]
        files = dict(zip(names, (self.placement_conf, self.local_conf), strict=True))
        return Case(("devstack-env", *paths, self.host_ip), files=files)


def variables_in(env_file: str) -> dict[str, str]:
    """Read an env-file as docker does."""
    lines = [line for line in env_file.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def repository(render: Render, tmp_path: Path) -> Path:
    """Return a rendered repository that a test may change."""
    return shutil.copytree(render({}), tmp_path / "repository", symlinks=True)


@pytest.fixture(scope="session")
def devstack_env(engine: str, newest: str) -> DevstackEnv:
    """Run `make devstack-env` with variables."""

    def devstack_env(
        repository: Path, env: Mapping[str, str] | None = None, **given: object
    ) -> Output:
        settings = {"ENGINE": engine, "IMAGE": newest, "HOST_IP": "", **given}
        command = ["make", "devstack-env", *(f"{name}={value}" for name, value in settings.items())]
        return subprocess.run(
            command, cwd=repository, env=env, text=True, capture_output=True, check=False
        )

    return devstack_env
