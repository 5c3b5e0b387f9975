"""A variant as the tests of this tier get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from extensions.deployment import Deployment
from tests.support.sharing import IsNew
from tests.support.template import Render
from tests.support.variants import VARIANTS


@dataclass(frozen=True)
class Repo:
    """A rendered repository, and the deployment it is for."""

    path: Path
    deployment: Deployment

    def files(self) -> list[Path]:
        """List all its files."""
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    def new_files(self, check: str, is_new: IsNew) -> Iterator[tuple[str, str]]:
        """Yield the name and the text of each file that no other variant has like this."""
        for path in self.files():
            name, content = path.relative_to(self.path).as_posix(), path.read_bytes()
            if is_new(check, name.encode() + b"\0" + content):
                yield name, content.decode()


@pytest.fixture
def render_default(render: Render) -> Repo:
    """Render the default answers."""
    return Repo(render({}), Deployment())


@pytest.fixture
def repo(request: pytest.FixtureRequest, render: Render) -> Repo:
    """Render the variant of this name."""
    answers = VARIANTS[request.param]
    return Repo(render(answers), Deployment(**answers))
