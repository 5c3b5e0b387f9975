"""The rendered files look as if a careful person had written them for this deployment."""

from __future__ import annotations

import re
import subprocess

from tests.render.conftest import Repo
from tests.support.sharing import IsNew
from tests.support.template import ROOT
from tests.support.variants import every_variant

# Files whose own language has double braces.
BRACES = (
    "placement-chart/templates/",
    "placement-chart/tests/metadata_test.yaml",
    ".github/workflows/",
    "gitops/argocd/applicationset.yaml",
    "dev/stack/image-tag.sh",
)
# Python, and patches of it.
PYTHON = (".py", ".patch")


@every_variant
def test_files_have_no_traces_of_the_template(repo: Repo, is_new: IsNew) -> None:
    """Neither Jinja, nor a word that only Python or Jinja writes, except in an answer."""
    answers = " ".join(repo.deployment.answers.values())
    for name, text in repo.new_files("traces", is_new):
        if not name.startswith(BRACES) and not name.endswith(PYTHON):
            traces = re.findall(r"(?:\{\{|\{%|\{#|\bNone\b).{0,4}", text)
            assert [trace for trace in traces if trace not in answers] == [], name


@every_variant
def test_files_are_tidy(repo: Repo, is_new: IsNew) -> None:
    """No file is empty or has trailing space, two blank lines in a row, or a wrong line end."""
    for name, text in repo.new_files("tidy", is_new):
        assert text.strip(), f"{name} is empty"
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), f"{name} has trailing space"
        assert text.endswith("\n"), f"{name} has no line end"
        assert not text.endswith("\n\n"), f"{name} ends in a blank line"
        assert not text.startswith("\n"), f"{name} begins with a blank line"
        if not name.endswith(PYTHON):
            assert "\n\n\n" not in text, f"{name} has two blank lines in a row"


@every_variant
def test_yaml_files_pass_the_rendered_yamllint(repo: Repo, is_new: IsNew) -> None:
    new = [
        name for name, _ in repo.new_files("yamllint", is_new) if name.endswith((".yml", ".yaml"))
    ]
    if new:
        done = subprocess.run(
            ["yamllint", "--strict", *new],
            cwd=repo.path,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@every_variant
def test_the_users_own_files_are_the_same_in_every_variant(repo: Repo) -> None:
    """Copier renders them only once, so they must not depend on an answer that changes later."""
    for name in ("values.local.yaml", "gabbits/local/README.md"):
        assert (repo.path / name).read_bytes() == (ROOT / "template" / name).read_bytes()


@every_variant
def test_requirements_are_those_of_the_release(repo: Repo) -> None:
    """Each package has a hash, and Placement has the version that the README names."""
    text = (repo.path / "placement-requirements.txt").read_text()
    requirements = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE)
    hashed = re.findall(r"^[A-Za-z0-9_.-]+==\S+[^\n]*\\\n\s+--hash=sha256:", text, re.MULTILINE)
    assert ("openstack-placement", repo.deployment.placement_version) in requirements
    assert len(hashed) == len(requirements)
