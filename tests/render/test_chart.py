"""The chart with this deployment's values: linted, rendered, and valid for Kubernetes."""

from __future__ import annotations

import subprocess
from typing import Any

import yaml
from kubernetes_validate.utils import latest_version, validate

from tests.conftest import load
from tests.render.conftest import Repo
from tests.render.variants import every_variant

# The oldest that Chart.yaml allows, and the newest whose schema there is.
KUBERNETES = ("1.30", latest_version())


def helm(repo: Repo, *arguments: str) -> str:
    """Run helm there."""
    done = subprocess.run(
        ["helm", *arguments], cwd=repo.path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def manifests(repo: Repo) -> list[dict[str, Any]]:
    """Render the chart as `helm install` would."""
    output = helm(repo, "template", "null", "placement-chart", "--values", "values.local.yaml")
    return [manifest for manifest in yaml.safe_load_all(output) if manifest]


def container(repo: Repo) -> dict[str, Any]:
    """The one container of the Deployment."""
    [deployment] = [it for it in manifests(repo) if it["kind"] == "Deployment"]
    [only] = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


@every_variant
def test_the_chart_is_linted(repo: Repo) -> None:
    """By the rendered repository's own target."""
    subprocess.run(["make", "chart-test"], cwd=repo.path, check=True, capture_output=True)


@every_variant
def test_the_manifests_are_valid(repo: Repo) -> None:
    """Strictly: a field that Kubernetes does not know is an error."""
    for manifest in manifests(repo):
        for version in KUBERNETES:
            validate(manifest, version, strict=True)


@every_variant
def test_the_container_gets_the_settings_and_the_secrets(repo: Repo) -> None:
    """As the answers say, and no password but by the name of a Secret."""
    env = container(repo)["env"]
    plain = {it["name"]: it["value"] for it in env if "value" in it}
    secrets = {it["name"]: it["valueFrom"]["secretKeyRef"] for it in env if "valueFrom" in it}
    assert len(env) == len({it["name"] for it in env})
    assert plain == repo.deployment.settings | {
        "PORT": "8778",
        "DB_SYNC": "True",
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
    }
    assert {name: (it["name"], it["key"]) for name, it in secrets.items()} == (
        repo.deployment.secrets
    )


@every_variant
def test_the_image_is_the_one_that_make_builds(repo: Repo) -> None:
    """The same name in the chart, in compose and in the Makefile."""
    image = repo.deployment.image
    compose = load(repo.path / "compose.yaml")["services"]["placement"]["image"]
    makefile = (repo.path / "Makefile").read_text()
    assert container(repo)["image"] == image
    assert compose == f"${{IMAGE:-{image}}}"
    assert f"IMAGE ?= {image}\n" in makefile


@every_variant
def test_compose_gives_the_same_settings(repo: Repo) -> None:
    """Only secrets differ: they come from the environment, and their absence stops it."""
    environment = load(repo.path / "compose.yaml")["services"]["placement"]["environment"]
    for name in repo.deployment.secrets:
        assert environment.pop(name) == f"${{{name}:?unset}}"
    assert environment == repo.deployment.settings | {
        "PORT": "8778",
        "DB_SYNC": "True",
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
    }
