"""What these tests share: Copier in this process, and a template without git."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from copier._cli import CopierApp

from tests.support.template import RunCopier


@pytest.fixture(scope="package", autouse=True)
def _clones_in_memory(in_memory: None) -> None:
    """Copier clones the template into memory, which is faster than a disk."""


@pytest.fixture(scope="session")
def plain_template(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without git, which Copier need not clone. An update from it is impossible."""
    folder = tmp_path_factory.mktemp("plain") / "template"
    shutil.copytree(copier_template, folder, ignore=shutil.ignore_patterns(".git"))
    return folder


@pytest.fixture
def run_copier(capfd: pytest.CaptureFixture[str]) -> RunCopier:
    """Run Copier's command line without a terminal; return its exit code and standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        _, code = CopierApp.run(["copier", *map(str, arguments)], exit=False)
        return code, capfd.readouterr().err.replace("\x1b[39m", "")

    return run
