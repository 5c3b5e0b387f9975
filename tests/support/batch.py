"""Many commands of the image in one container, each with its own environment and files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Each case is a process of its own. What takes long to import is imported once, before the fork.
RUNNER = """
import json, os, runpy, sys, time
from pathlib import Path
import entrypoint.database.schema, entrypoint.devstack_env, entrypoint.server
import keystoneauth1.loading, keystonemiddleware.opts

AT_ONCE = 4
waiting = sorted(Path("/cases").iterdir(), reverse=True)
running = {}

def start(case, given):
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(case / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644), number)
    os.environ.update(given["env"])
    sys.argv = ["entrypoint", *given["arguments"]]
    runpy.run_module("entrypoint", run_name="__main__")
    sys.exit()

while waiting or running:
    while waiting and len(running) < AT_ONCE:
        case = waiting.pop()
        given = json.loads((case / "case.json").read_text())
        if not (child := os.fork()):
            start(case, given)
        running[child] = case, time.monotonic()
    child, status = os.wait()
    case, started = running.pop(child)
    result = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - started}
    (case / "result.json").write_text(json.dumps(result))
"""


@dataclass(frozen=True)
class Case:
    """A command: its arguments, its environment, and the files of its folder.

    {folder} stands for that folder in the container: in arguments, values and files of text.
    """

    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)

    def write(self, folder: Path, port: int) -> None:
        """Write the case into a folder that the container sees as /cases/<name>."""
        folder.mkdir()
        inside = f"/cases/{folder.name}"
        for name, content in self.files.items():
            text = content if isinstance(content, bytes) else content.replace("{folder}", inside)
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        env = {"PORT": str(port), **self.env}
        given = {
            "arguments": [word.replace("{folder}", inside) for word in self.arguments],
            "env": {name: value.replace("{folder}", inside) for name, value in env.items()},
        }
        (folder / "case.json").write_text(json.dumps(given), encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """How a case ended, and what its folder contains then."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    files: tuple[str, ...]


RunBatch = Callable[..., dict[str, Outcome]]


@pytest.fixture(scope="session")
def run_batch(engine: str, newest: str, tmp_path_factory: pytest.TempPathFactory) -> RunBatch:
    """Run many cases, several at a time, and return how each ended."""

    def run_batch(cases: Mapping[str, Case], *options: str) -> dict[str, Outcome]:
        folder = tmp_path_factory.mktemp("cases")
        folder.chmod(0o777)
        folders = {name: folder / f"{number:03}" for number, name in enumerate(cases)}
        for port, (name, case) in enumerate(cases.items(), 9000):
            case.write(folders[name], port)
            folders[name].chmod(0o777)
        command = [engine, "run", "--rm", f"--volume={folder}:/cases", *options]
        command += ["--entrypoint=/opt/placement/bin/python3", newest, "-I", "-c", RUNNER]
        subprocess.run(command, check=True)
        return {name: outcome(path) for name, path in folders.items()}

    return run_batch


def outcome(folder: Path) -> Outcome:
    """Read how a case ended."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    stdout, stderr = ((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    files = sorted(path.name for path in folder.iterdir())
    return Outcome(result["code"], stdout, stderr, result["seconds"], tuple(files))
