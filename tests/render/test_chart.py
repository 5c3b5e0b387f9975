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


def pod(repo: Repo) -> dict[str, Any]:
    """The pods of the Deployment."""
    [deployment] = [it for it in manifests(repo) if it["kind"] == "Deployment"]
    return dict(deployment["spec"]["template"]["spec"])


def environment(repo: Repo) -> dict[str, str]:
    """The variables of the one container, each there once and with its value in the open."""
    [container] = pod(repo)["containers"]
    assert len(container["env"]) == len({it["name"] for it in container["env"]})
    return {it["name"]: it["value"] for it in container["env"]}


def settings(repo: Repo) -> dict[str, str]:
    """What every way of running this deployment sets."""
    return repo.deployment.settings | {
        "PORT": "8778",
        "DB_SYNC": "True",
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
    }


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
    """As the answers say; each secret is a file that names a key of a Secret."""
    files = {f"{name}_FILE": f"/etc/placement/secrets/{name}" for name in repo.deployment.secrets}
    assert environment(repo) == settings(repo) | files
    mounted = [it["projected"] for it in pod(repo)["volumes"] if it["name"] == "secrets"]
    sources = [source["secret"] for it in mounted for source in it["sources"]]
    assert {
        item["path"]: (source["name"], item["key"])
        for source in sources
        for item in source["items"]
    } == repo.deployment.secrets


@every_variant
def test_the_image_is_the_one_that_make_builds(repo: Repo) -> None:
    """The same name in the chart, in compose and in the Makefile."""
    image = repo.deployment.image
    compose = load(repo.path / "compose.yaml")["services"]["placement"]["image"]
    makefile = (repo.path / "Makefile").read_text()
    assert [it["image"] for it in pod(repo)["containers"]] == [image]
    assert compose == f"${{IMAGE:-{image}}}"
    assert f"IMAGE ?= {image}\n" in makefile
