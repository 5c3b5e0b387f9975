"""What `make deploy` prints and checks before it needs a cluster. tests/cluster/ deploys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import deploy
import manifests


@pytest.mark.parametrize("names", [(), ("placement", "placement")])
def test_a_chart_without_exactly_one_placement_is_refused(names: tuple[str, ...]) -> None:
    containers = [{"name": name, "image": "placement:1"} for name in names]
    spec = {"template": {"spec": {"containers": containers}}}
    with pytest.raises(SystemExit, match=f"^The chart renders {len(names)} containers .* Check "):
        manifests.image([{"kind": "Deployment", "spec": spec}])


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
