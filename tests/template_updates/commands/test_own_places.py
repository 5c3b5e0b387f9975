"""The user's own places: README.md names each, and each part reads them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.repositories import make
from tests.support.template import Render, load
from tests.support.work import OWN_PLACES, copy_and_edit, use_own_places

# One for each CI service, and each database.
FEW = [
    {},
    {"database": "postgresql", "ci": "gitlab"},
    {"database": "mysql", "auth_strategy": "keystone", "ci": "none"},
]
# The names in README.md for places with several files.
NAMES = {
    "environments/staging/values.yaml": "environments/",
    "gabbits/local/mine.yaml": "gabbits/local/",
    ".github/workflows/mine.yml": ".github/workflows/",
    "placement-chart/templates/local-mine.yaml": "placement-chart/templates/local-*.yaml",
}


@pytest.fixture(params=FEW, ids=str)
def repository(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Path:
    """Return a repository with a file in each of these places."""
    return copy_and_edit(render(request.param), tmp_path / "repo", use_own_places)


def test_readme_names_each_place_that_is_read(repository: Path) -> None:
    """The list depends on the CI service alone; the other service's place is unused."""
    _, _, own = (
        (repository / "README.md").read_text().partition("No update touches these places:\n")
    )
    service = load(repository / ".copier-answers.yml")["ci"]
    unused = {
        "github": [".gitlab-ci.local.yml"],
        "gitlab": [".github/workflows/mine.yml"],
        "none": [".gitlab-ci.local.yml", ".github/workflows/mine.yml"],
    }[service]
    for place in OWN_PLACES:
        assert (f"`{NAMES.get(place, place)}`" in own) == (place not in unused), place


def test_make_runs_and_lists_the_users_targets(repository: Path) -> None:
    assert "  mine           Ours\n" in make(repository).stdout
    assert make(repository, "mine").stdout == "mine\n"


def test_make_test_runs_the_users_gabbits_last(repository: Path) -> None:
    done = make(repository, "--dry-run", "test", "--assume-old=dev/stack/.venv/bin")
    assert re.search(r"gabbits/usages\.yaml .*gabbits/local/mine\.yaml", done.stdout)


def test_chart_uses_the_users_values_and_templates(repository: Path) -> None:
    """As `make chart-test` and `make deploy` pass them to Helm."""
    command = ["helm", "template", "x", "placement-chart", "--values", "values.yaml"]
    command += ["--values", "values.image.yaml", "--values", "values.local.yaml"]
    done = subprocess.run(command, cwd=repository, text=True, capture_output=True, check=True)
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    [mine] = [item for item in objects if item["metadata"]["name"] == "mine"]
    assert mine["data"] == {"threads": "3"}
    assert "placement:2026.2-0123456789ab" in done.stdout
    makefile = (repository / "Makefile").read_text()
    linted = make(repository, "--dry-run", "chart-test").stdout
    assert f"helm lint --strict {' '.join(command[3:])}\n" in linted
    # helm lint, helm template with and without an environment, helm upgrade, and `make verify`
    assert makefile.count("$(VALUES)") == 5


def test_environments_add_their_values(repository: Path) -> None:
    """After all others."""
    variables = ("ENV=staging", "--eval=values:; @echo $(VALUES)", "values")
    values = make(repository, *variables).stdout.split()
    assert values[-2:] == ["--values", "environments/staging/values.yaml"]


def test_compose_reads_the_users_override(repository: Path) -> None:
    """Compose finds the file by its name; a `--file` option would hide it."""
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


def test_gitlab_includes_the_users_jobs_if_they_exist(repository: Path) -> None:
    file = repository / ".gitlab-ci.yml"
    if load(repository / ".copier-answers.yml")["ci"] != "gitlab":
        assert not file.exists()
        return
    included = load(file)["include"]
    own = ".gitlab-ci.local.yml"
    assert {"local": own, "rules": [{"exists": [own]}]} in included, json.dumps(included)
