"""The chart with this deployment's values: tested, valid for Kubernetes, and safe by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import latest_version, validate

from tests.render.conftest import Repo
from tests.support.chart import (
    WITH_A_PLAIN_JOB,
    WITH_ALL,
    Manifest,
    Objects,
    component,
    manifests,
    of_kind,
    parsed,
    pods,
    rendered,
    tried,
)
from tests.support.template import load
from tests.support.variants import every_variant

# The oldest that Chart.yaml allows, and the newest whose schema there is.
KUBERNETES = ("1.30", latest_version())
HTTPROUTE = Path(__file__).with_name("httproute-v1.3.0.json")
SELECTORS = {
    "Deployment": ("selector", "matchLabels"),
    "PodDisruptionBudget": ("selector", "matchLabels"),
    "Service": ("selector",),
}


@every_variant
def test_the_chart_passes_its_own_tests(repo: Repo) -> None:
    """By the rendered repository's own target."""
    done = subprocess.run(
        ["make", "chart-test"], cwd=repo.path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# ---- What Kubernetes takes ----


def closed(schema: Any) -> Any:
    """Refuse the fields that a schema does not name, as an API server does when asked strictly."""
    if isinstance(schema, list):
        return [closed(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: closed(value) for key, value in schema.items()}
    named = inside.get("type") == "object" and "properties" in inside
    return {"additionalProperties": False} | inside if named else inside


@every_variant
def test_the_manifests_are_valid(repo: Repo) -> None:
    """Strictly: a field that Kubernetes or the Gateway API does not know is an error."""
    gateway_api = Draft202012Validator(closed(json.loads(HTTPROUTE.read_text(encoding="utf-8"))))
    plain_jobs = of_kind("Job", manifests(repo, *WITH_A_PLAIN_JOB))
    for manifest in (*manifests(repo, *WITH_ALL), *plain_jobs):
        if manifest["kind"] == "HTTPRoute":
            gateway_api.validate(manifest)
        else:
            for version in KUBERNETES:
                validate(manifest, version, strict=True)


# ---- What the answers say ----


def environment(pod: Manifest) -> dict[str, str]:
    """The variables of a pod's one container, each there once and with its value in the open."""
    [container] = pod["spec"]["containers"]
    assert len(container["env"]) == len({it["name"] for it in container["env"]})
    return {it["name"]: it["value"] for it in container["env"]}


def files(repo: Repo) -> dict[str, str]:
    """The variables that say where the secrets are, and the authority to trust."""
    authority = {"OS_KEYSTONE_AUTHTOKEN__CAFILE": repo.deployment.keystone_ca_file}
    return secret_files(repo) | (authority if repo.deployment.keystone_ca_secret else {})


def secret_files(repo: Repo) -> dict[str, str]:
    """The variables that say where the secrets are."""
    return {
        f"{name}_FILE": f"/etc/placement/secrets/{secret}/{key}"
        for name, (secret, key) in repo.deployment.secrets.items()
    }


def serving(repo: Repo) -> dict[str, str]:
    """The variables that say how to serve."""
    sync = {"DB_SYNC": "True"} if repo.deployment.sqlite else {}
    return sync | {
        "PORT": "8778",
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
    }


@every_variant
def test_the_pods_get_the_settings(repo: Repo) -> None:
    """Those of the API from the ConfigMap, the others before there is one."""
    [config] = of_kind("ConfigMap", manifests(repo))
    settings = repo.deployment.chart_settings
    assert config["data"] == settings
    assert settings | files(repo) == repo.deployment.settings | secret_files(repo)
    for pod in pods(manifests(repo)):
        [container] = pod["spec"]["containers"]
        if component(pod) == "api":
            assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
            assert environment(pod) == serving(repo) | files(repo)
        else:
            assert "envFrom" not in container
            assert environment(pod) == settings | files(repo)


@every_variant
def test_the_pods_find_the_secrets_where_their_settings_say(repo: Repo) -> None:
    """Each secret is a file that names a key of a Secret; the pods of the API wait for it."""
    for pod in pods(manifests(repo)):
        mounted = [it["projected"] for it in pod["spec"]["volumes"] if it["name"] == "secrets"]
        sources = [source["secret"] for it in mounted for source in it["sources"]]
        found = {
            f"/etc/placement/secrets/{item['path']}": (source["name"], item["key"])
            for source in sources
            for item in source["items"]
        }
        wanted = dict(
            zip(secret_files(repo).values(), repo.deployment.secrets.values(), strict=True)
        )
        assert found == wanted
        assert all(it.get("optional", False) == (component(pod) != "api") for it in sources)


@every_variant
def test_no_secret_is_in_the_manifests(repo: Repo) -> None:
    """Neither as an object nor as a variable; a Secret is only ever named."""
    objects = manifests(repo, *WITH_ALL)
    assert not of_kind("Secret", objects)
    settings = [name for config in of_kind("ConfigMap", objects) for name in config["data"]]
    for pod in pods(objects):
        assert not repo.deployment.secrets.keys() & {*settings, *environment(pod)}


@every_variant
def test_the_image_is_the_one_that_make_builds(repo: Repo) -> None:
    """The same name in every pod of the chart, in compose and in the Makefile."""
    image = repo.deployment.image
    compose = load(repo.path / "compose.yaml")["services"]["placement"]["image"]
    makefile = (repo.path / "Makefile").read_text()
    images = [it["image"] for pod in pods(manifests(repo)) for it in pod["spec"]["containers"]]
    assert set(images) == {image}
    assert compose == f"${{IMAGE:-{image}}}"
    assert f"IMAGE ?= {image}\n" in makefile


# ---- What is safe by itself ----


@every_variant
def test_every_pod_is_restricted(repo: Repo) -> None:
    """As Pod Security's "restricted" asks, and without a way to talk to Kubernetes."""
    for pod in pods(manifests(repo, *WITH_ALL)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        assert kinds <= allowed


@every_variant
def test_every_container_is_restricted(repo: Repo) -> None:
    """It writes nowhere but into its volumes, and what comes from outside it only reads."""
    for pod in pods(manifests(repo, *WITH_ALL)):
        [container] = pod["spec"]["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        written = {it["name"] for it in container["volumeMounts"] if not it.get("readOnly")}
        assert written <= {"tmp", "data"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@every_variant
def test_a_pod_has_time_to_finish_its_requests(repo: Repo) -> None:
    """The sleep before SIGTERM and uWSGI's own patience fit into Kubernetes', and no less does."""
    uwsgi = ConfigParser(strict=False, interpolation=None)
    uwsgi.read(repo.path / "shared/placement-uwsgi.ini")
    mercy = uwsgi.getint("uwsgi", "worker-reload-mercy")
    [deployment] = of_kind("Deployment", manifests(repo))
    spec = deployment["spec"]["template"]["spec"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep + mercy <= spec["terminationGracePeriodSeconds"]
    grace = "--set=terminationGracePeriodSeconds="
    assert tried(repo.path, f"{grace}{sleep + mercy}")[0] == 0
    assert tried(repo.path, f"{grace}{sleep + mercy - 1}")[0] != 0


# ---- What stays as it is ----


def labels(manifest: Manifest) -> dict[str, str]:
    """The labels of an object or a pod."""
    return dict(manifest["metadata"]["labels"])


def selectors(objects: Objects) -> dict[str, dict[str, str]]:
    """What selects pods, by its kind."""
    found = {}
    for manifest in objects:
        if path := SELECTORS.get(manifest["kind"]):
            selector = manifest["spec"]
            for key in path:
                selector = selector[key]
            found[manifest["kind"]] = selector
    return found


@pytest.fixture
def newer_chart(repo: Repo, tmp_path: Path) -> str:
    """Make a copy of the chart that differs in its versions alone."""
    chart = shutil.copytree(repo.path / "placement-chart", tmp_path / "placement-chart")
    description = load(chart / "Chart.yaml") | {"version": "99.0.0", "appVersion": "99.0.0"}
    (chart / "Chart.yaml").write_text(json.dumps(description), encoding="utf-8")
    return str(chart)


@every_variant
def test_selectors_pick_the_pods_of_the_api_alone(repo: Repo) -> None:
    """Neither a Job's pod nor the test's gets requests, or is counted as one that serves."""
    objects = manifests(repo)
    found = selectors(objects)
    assert found.keys() == SELECTORS.keys()
    for selector in found.values():
        picked = [pod for pod in pods(objects) if selector.items() <= labels(pod).items()]
        assert [component(pod) for pod in picked] == ["api"]
    assert len({json.dumps(it) for it in found.values()}) == 1


@every_variant
def test_selectors_never_change(repo: Repo, newer_chart: str) -> None:
    """Kubernetes refuses a change of a Deployment's selector."""
    newer = rendered(
        repo.path,
        "--set=commonLabels.a=b",
        "--set=podLabels.c=d",
        "--set=image.tag=e",
        chart=newer_chart,
    )
    assert selectors(parsed(newer)) == selectors(manifests(repo))


@every_variant
def test_a_new_version_of_the_chart_restarts_nothing(repo: Repo, newer_chart: str) -> None:
    """Pods, and the name of a plain Job, which cannot be changed, say nothing of the chart."""
    newer = parsed(rendered(repo.path, *WITH_ALL, *WITH_A_PLAIN_JOB, chart=newer_chart))
    older = manifests(repo, *WITH_ALL, *WITH_A_PLAIN_JOB)
    for kind in ("Deployment", "Job"):
        assert list(pods(of_kind(kind, newer))) == list(pods(of_kind(kind, older)))
    assert [it["metadata"]["name"] for it in newer] == [it["metadata"]["name"] for it in older]


@every_variant
def test_a_plain_job_has_a_new_name_with_a_new_image(repo: Repo) -> None:
    """A Job cannot be changed."""

    def names(*arguments: str) -> set[str]:
        jobs = of_kind("Job", manifests(repo, *WITH_A_PLAIN_JOB, *arguments))
        return {it["metadata"]["name"] for it in jobs if component(it) == "db-sync"}

    assert len(names()) == (0 if repo.deployment.sqlite else 1)
    assert not names() & names("--set=image.tag=newer")


@every_variant
def test_the_same_values_are_rendered_as_the_same_bytes(repo: Repo) -> None:
    """Nothing is made up or looked up."""
    assert rendered(repo.path) == rendered(repo.path)


# ---- What every object has ----


@every_variant
def test_every_object_has_the_standard_labels(repo: Repo) -> None:
    """And those that the user wants on all."""
    chart = load(repo.path / "placement-chart/Chart.yaml")
    for manifest in manifests(repo, *WITH_ALL, "--set=commonLabels.team=cloud"):
        assert labels(manifest) == {
            "app.kubernetes.io/name": "placement",
            "app.kubernetes.io/instance": "null",
            "app.kubernetes.io/component": component(manifest),
            "app.kubernetes.io/version": chart["appVersion"],
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": f"placement-{chart['version']}",
            "team": "cloud",
        }


def hooks(repo: Repo) -> list[tuple[str, int, str]]:
    """The events, the weight and the kind of each hook."""
    found = []
    for manifest in manifests(repo, *WITH_ALL):
        annotations = manifest["metadata"].get("annotations", {})
        if events := annotations.get("helm.sh/hook"):
            found.append((events, int(annotations["helm.sh/hook-weight"]), manifest["kind"]))
    return found


@every_variant
def test_what_a_job_needs_comes_before_it(repo: Repo) -> None:
    """Hooks of one weight are ordered by their names, so each says its weight."""
    found = hooks(repo)
    assert len([kind for _, _, kind in found if kind == "Job"]) == (
        0 if repo.deployment.sqlite else 2
    )
    assert [kind for events, _, kind in found if events == "test"] == ["Pod"]
    jobs = {events: weight for events, weight, kind in found if kind == "Job"}
    needed = [it for it in found if it[2] not in ("Job", "Pod")]
    assert bool(needed) == (repo.deployment.network_policy and not repo.deployment.sqlite)
    assert all(weight < jobs[events] for events, weight, _ in needed)
