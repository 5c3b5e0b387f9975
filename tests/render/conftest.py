"""A variant as the tests of this tier get it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from extensions.deployment import Deployment
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


@pytest.fixture
def render_default(render: Render) -> Repo:
    """Render the default answers."""
    return Repo(render({}), Deployment())


@pytest.fixture
def repo(request: pytest.FixtureRequest, render: Render) -> Repo:
    """Render the variant of this name."""
    answers = VARIANTS[request.param]
    return Repo(render(answers), Deployment(**answers))
