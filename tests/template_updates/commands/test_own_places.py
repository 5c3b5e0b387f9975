"""The user's own places: each is named, and each part reads them where they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.repositories import make
from tests.support.template import VALID, Render, load
from tests.support.work import OWN_PLACES, use_own_places, worked

VARIANTS = [load(file) for file in VALID]
# One for each CI service, and each database.
FEW = [
    {},
    {"database": "postgresql", "ci": "gitlab"},
    {"database": "mysql", "auth_strategy": "keystone", "ci": "none"},
]
# How README.md calls those places of which there may be several files.
CALLED = {
    "gabbits/local/mine.yaml": "gabbits/local/",
    ".github/workflows/mine.yml": ".github/workflows/",
    "placement-chart/templates/local-mine.yaml": "placement-chart/templates/local-*.yaml",
}


@pytest.fixture(params=FEW, ids=str)
def repository(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Path:
    """A repository with something in each of these places."""
    return worked(render(request.param), tmp_path / "repo", use_own_places)


@pytest.mark.parametrize("answers", VARIANTS, ids=[file.stem for file in VALID])
def test_the_readme_names_each_place_that_something_reads(answers: object, render: Render) -> None:
    """And the other CI service's is not for this repository."""
    repository = render(answers)  # type: ignore[arg-type]
    _, _, own = (repository / "README.md").read_text().partition("never touched by an update:\n")
    service = load(repository / ".copier-answers.yml")["ci"]
    idle = {
        "github": [".gitlab-ci.local.yml"],
        "gitlab": [".github/workflows/mine.yml"],
        "none": [".gitlab-ci.local.yml", ".github/workflows/mine.yml"],
    }[service]
    for place in OWN_PLACES:
        assert (f"`{CALLED.get(place, place)}`" in own) == (place not in idle), place


def test_make_has_the_users_targets(repository: Path) -> None:
    """Among its own, and listed with them."""
    assert "  mine           Ours\n" in make(repository).stdout
    assert make(repository, "mine").stdout == "mine\n"


def test_make_test_runs_the_users_gabbits(repository: Path) -> None:
    """After those of the template."""
    done = make(repository, "--dry-run", "test", "--assume-old=dev/stack/.venv/bin")
    assert re.search(r"gabbits/usages\.yaml .*gabbits/local/mine\.yaml", done.stdout)


def test_the_chart_takes_the_users_values_and_templates(repository: Path) -> None:
    """As `make chart-test` and `make deploy` give them to Helm."""
    command = ["helm", "template", "x", "placement-chart", "--values", "values.yaml"]
    command += ["--values", "values.local.yaml"]
    done = subprocess.run(command, cwd=repository, text=True, capture_output=True, check=True)
    rendered = [it for it in yaml.safe_load_all(done.stdout) if it]
    [mine] = [it for it in rendered if it["metadata"]["name"] == "mine"]
    assert mine["data"] == {"threads": "3"}
    makefile = (repository / "Makefile").read_text()
    assert "VALUES = --values values.yaml --values values.local.yaml\n" in makefile
    # helm lint, helm template and helm upgrade
    assert makefile.count("$(VALUES)") == 3


def test_compose_takes_the_users_changes(repository: Path) -> None:
    """Compose finds the file by its name; nothing tells it of another."""
    done = subprocess.run(
        ["podman-compose", "config"],
        cwd=repository,
        env={**os.environ, **dict.fromkeys(["IMAGE", "IMAGE_ID", "PORT", "KEYSTONE_PORT"], "1")},
        text=True,
        capture_output=True,
        check=True,
    )
    assert yaml.safe_load(done.stdout)["services"]["placement"]["mem_limit"] == "1g"
    assert "--file" not in (repository / "Makefile").read_text()


def test_gitlab_takes_the_users_jobs(repository: Path) -> None:
    """GitLab's own words for: where it is there."""
    file = repository / ".gitlab-ci.yml"
    if load(repository / ".copier-answers.yml")["ci"] != "gitlab":
        assert not file.exists()
        return
    included = load(file)["include"]
    own = ".gitlab-ci.local.yml"
    assert {"local": own, "rules": [{"exists": [own]}]} in included, json.dumps(included)
