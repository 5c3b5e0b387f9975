"""Work that all workers of a test run share: the first one does it, the others wait for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from copier import run_copy

from tests.support.template import Answers, Render

Once = Callable[[str, Callable[[], object]], None]
IsNew = Callable[[str, bytes], bool]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all workers of this run."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def once(shared_folder: Path) -> Once:
    """Do something once for all workers."""

    def once(name: str, do: Callable[[], object]) -> None:
        done = shared_folder / f"once-{name}"
        with (shared_folder / f"once-{name}-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                do()
                done.touch()

    return once


@pytest.fixture(scope="session")
def is_new(shared_folder: Path) -> IsNew:
    """Tell whether no worker has checked this content before, so that each is checked once."""

    def is_new(check: str, content: bytes) -> bool:
        folder = shared_folder / f"checked-{check}"
        folder.mkdir(exist_ok=True)
        try:
            (folder / hashlib.sha256(content).hexdigest()).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    return is_new


@pytest.fixture(scope="session")
def render(copier_template: Path, once: Once, shared_folder: Path) -> Render:
    """Render the template with these answers, once for all workers; nobody writes to it."""

    def render(answers: Answers) -> Path:
        key = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16]
        repository = shared_folder / "rendered" / key / "repo"
        once(
            f"render-{key}",
            lambda: run_copy(
                str(copier_template),
                repository,
                data=dict(answers),
                defaults=True,
                unsafe=True,
                quiet=True,
            ),
        )
        return repository

    return render
