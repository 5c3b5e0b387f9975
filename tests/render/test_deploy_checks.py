"""What `make deploy` prints and checks before it needs a cluster. tests/cluster/ deploys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import deploy
import manifests
from kubectl import Kubectl
from tests.support.chart import CHART

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


@pytest.fixture(autouse=True)
def without_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("names", [(), ("placement", "placement")])
def test_a_chart_without_exactly_one_placement_is_refused(names: tuple[str, ...]) -> None:
    containers = [{"name": name, "image": "placement:1"} for name in names]
    spec = {"template": {"spec": {"containers": containers}}}
    with pytest.raises(SystemExit, match=f"^The chart renders {len(names)} containers .* Check "):
        manifests.image([{"kind": "Deployment", "spec": spec}])


def test_no_context_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """A pod with a service account has none. Here, Helm then finds no cluster."""
    with pytest.raises(SystemExit, match="cluster unreachable"):
        deploy.main("diff", "", "cloud", "placement", "a=b", str(CHART))
    assert capsys.readouterr().out == "Context:      none\nNamespace:    cloud\n"


@pytest.mark.parametrize(("name", "arguments"), [("", ""), ("staging", " ENV=staging")])
def test_the_advice_on_secrets_names_the_environment(
    name: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENV", name)
    assert deploy.how_to_create_secrets().startswith(f"`make secrets{arguments}` prints")


@pytest.mark.parametrize(("name", "file"), [("", "deploy.log"), ("staging", "deploy-staging.log")])
def test_each_environment_has_a_log_of_its_own(name: str, file: str) -> None:
    command = [sys.executable, "-c", "import logs; print(logs.FILE)"]
    folder = Path(deploy.__file__).parent
    done = subprocess.run(command, cwd=folder, env={"ENV": name}, text=True, capture_output=True)
    assert done.stdout == f"{file}\n"
