"""What needs kubectl, but no pods. Only the cluster's machine is sure to have kubectl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import deploy
import manifests
import push
from kubectl import Kubectl
from tests.support.chart import CHART, VALUES, of_kind, parse, try_helm
from tests.support.template import Answers, Render

KUBECTL = Kubectl("", "cloud")
SECRETS = """apiVersion: v1
kind: Secret # a comment
metadata: {name: one}
stringData: {password: hidden}
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    metadata: {name: two}
    stringData: {password: hidden}
---
"""
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: three}\ndata: {threads: '%s'}\n"
WITH_FLUX: Answers = {"gitops": "flux", "image_repository": "registry.example.com/placement"}


@pytest.fixture
def without_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have kubectl and Helm find no context."""
    monkeypatch.setenv("KUBECONFIG", "/dev/null")


def test_the_difference_has_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """However YAML writes them. The other objects change line by line."""
    before, after = SETTINGS % 1, SECRETS + SETTINGS % 2
    manifests.print_difference(KUBECTL, before, manifests.parse(KUBECTL, after))
    changed = [line for line in capsys.readouterr().out.splitlines() if line[0] in "+-"]
    assert changed == ["--- deployed", "+++ new", '-  threads: "1"', '+  threads: "2"']
    manifests.print_difference(KUBECTL, SETTINGS % 2, manifests.parse(KUBECTL, after))
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("without_context")
def test_no_context_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """A pod with a service account has none. Here, Helm then finds no cluster."""
    with pytest.raises(SystemExit, match="cluster unreachable"):
        deploy.main("diff", "", "cloud", "placement", "a=b", str(CHART))
    assert capsys.readouterr().out == "Context:      none\nNamespace:    cloud\n"


def test_flux_gets_the_chart_that_make_push_has_pinned(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flux refuses a chart whose version is not that of its tag, so only the digest names it."""
    copy = tmp_path / "repository"
    shutil.copytree(render(WITH_FLUX), copy, ignore=shutil.ignore_patterns(".git", ".venv"))
    monkeypatch.chdir(copy)
    image, chart = (f"sha256:{digit * 64}" for digit in "12")
    push.pin("2026.2-1", image, chart)
    code, _, errors = try_helm(
        copy, "template", "placement-chart", *VALUES, "--values=values.image.yaml"
    )
    assert code == 0, errors
    build = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", "gitops/flux"]
    [source] = of_kind("OCIRepository", parse(subprocess.check_output(build, text=True)))
    assert source["spec"]["ref"] == {"digest": chart}
