"""Tier 2: what is rendered reads as if a careful person had written it for this deployment."""

from __future__ import annotations

import re
import subprocess

from tests.render.conftest import Repo
from tests.support.template import ROOT
from tests.support.variants import every_variant

# Files whose own language has double braces.
BRACES = (
    "placement-chart/templates/",
    "placement-chart/tests/metadata_test.yaml",
    ".github/workflows/",
)


@every_variant
def test_nothing_of_the_template_is_left(repo: Repo) -> None:
    """No Jinja, and no word that only Python or Jinja writes."""
    for file in repo.files():
        name = file.relative_to(repo.path).as_posix()
        if not name.startswith(BRACES) and file.suffix != ".py":
            left = re.findall(r"\{\{|\{%|\{#|\bNone\b", file.read_text())
            assert not left, name


@every_variant
def test_files_are_tidy(repo: Repo) -> None:
    """No trailing space, no two blank lines in a row, one line end at the end, none empty."""
    for file in repo.files():
        text, name = file.read_text(), file.relative_to(repo.path).as_posix()
        assert text.strip(), f"{name} is empty"
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), f"{name} has trailing space"
        assert text.endswith("\n"), f"{name} has no line end"
        assert not text.endswith("\n\n"), f"{name} ends in a blank line"
        assert not text.startswith("\n"), f"{name} begins with a blank line"
        if file.suffix != ".py":
            assert "\n\n\n" not in text, f"{name} has two blank lines in a row"


@every_variant
def test_yaml_is_tidy(repo: Repo) -> None:
    """By the rendered repository's own yamllint settings."""
    done = subprocess.run(
        ["yamllint", "--strict", "."], cwd=repo.path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


@every_variant
def test_only_the_chosen_ci_is_there(repo: Repo) -> None:
    """The other one's files would only puzzle."""
    assert (repo.path / ".github/workflows/ci.yml").exists() == (repo.deployment.ci == "github")
    assert (repo.path / ".gitlab-ci.yml").exists() == (repo.deployment.ci == "gitlab")


@every_variant
def test_the_users_own_files_are_the_same_in_every_variant(repo: Repo) -> None:
    """They are rendered once, so they must not depend on an answer that changes later."""
    for name in ("values.local.yaml", "gabbits/local/README.md"):
        assert (repo.path / name).read_bytes() == (ROOT / "template" / name).read_bytes()


@every_variant
def test_requirements_are_those_of_the_release(repo: Repo) -> None:
    """Locked with hashes, and placement among them in the version that the README names."""
    text = (repo.path / "placement-requirements.txt").read_text()
    requirements = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE)
    hashed = re.findall(r"^[A-Za-z0-9_.-]+==\S+[^\n]*\\\n\s+--hash=sha256:", text, re.MULTILINE)
    assert ("openstack-placement", repo.deployment.placement_version) in requirements
    assert len(hashed) == len(requirements)
