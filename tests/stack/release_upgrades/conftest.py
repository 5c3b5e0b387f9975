"""A rendered repository under git, and an operator's commands in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from copier import run_copy

from tests.support.containers import new_name
from tests.support.repositories import update
from tests.support.stack import InstallTools, Stack, TagImages
from tests.support.template import commit_all

Image = Callable[[str], str]


@dataclass(frozen=True)
class Repository(Stack):
    """A rendered repository under git."""

    def make_without_build(self, target: str) -> str:
        """Run a target without its build, with an image that is built already."""
        return self.make("--old-file=build", target)

    def refuse(self, target: str) -> str:
        """Run a target without its build, which has to fail, and return its output."""
        done = self.try_make("--old-file=build", target)
        assert done.returncode != 0, done.stdout[-4000:]
        return done.stdout + done.stderr

    def change_answers(self, **answers: str) -> None:
        """Change answers, and commit."""
        update(self.repository, answers)
        commit_all(self.repository)

    @property
    def serving_image(self) -> str:
        """Return the image of the container that serves."""
        form = ["--format", "{{.Ports}} {{.Image}}"]
        running = subprocess.check_output([self.engine, "ps", *form], text=True).splitlines()
        [found] = [line for line in running if f":{self.port}->" in line]
        return found.rpartition(" ")[2]


@pytest.fixture
def repository(
    copier_template: Path,
    engine: str,
    tmp_path: Path,
    tag_images: TagImages,
    install_tools: InstallTools,
    name_server: None,
) -> Iterator[Callable[[str, str], Repository]]:
    """Render a repository, and delete everything that it has started after the test."""
    with ExitStack() as made:

        def repository(release: str, database: str) -> Repository:
            answers = {"project_name": new_name(), "release": release, "database": database}
            repo = Repository(tmp_path / "repo", engine, tag_images(answers))
            run_copy(
                str(copier_template),
                repo.repository,
                data=answers,
                defaults=True,
                unsafe=True,
                quiet=True,
            )
            commit_all(repo.repository)
            install_tools(repo.repository)
            made.callback(repo.clean)
            return repo

        yield repository
