"""The chart with the answers of every variant: accepted by Helm and Kubernetes, and secure."""

from __future__ import annotations

import json
import subprocess
from configparser import ConfigParser
from filecmp import cmpfiles
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import latest_version, validate

from extensions.deployment import Deployment
from tests.render.conftest import Repo
from tests.support.chart import (
    CHART,
    VALUES,
    WITH_A_PLAIN_JOB,
    WITH_ROTATION,
    close,
    component,
    labels,
    manifests,
    of_kind,
    parse,
    pods,
    template,
    try_helm,
    try_template,
    with_all,
)
from tests.support.template import Render, load
from tests.support.variants import every_variant

# The oldest version that Chart.yaml allows, and the newest one with a schema.
KUBERNETES = ("1.30", latest_version())
HTTPROUTE = Path(__file__).with_name("httproute-v1.3.0.json")

two_variants = pytest.mark.parametrize(
    "repo",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(name))
        for name in ("default", "mysql-autoscale-ingress")
    ],
    indirect=True,
)


@two_variants
def test_make_chart_test_passes(repo: Repo) -> None:
    """It lints and renders the chart, and runs its suites. The suites use no answers."""
    done = subprocess.run(
        ["make", "chart-test"], cwd=repo.path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    suites = sum(path.read_text().count("suite: ") for path in CHART.glob("tests/*_test.yaml"))
    assert f"Test Suites: {suites} passed, {suites} total" in done.stdout


@every_variant
def test_the_chart_is_the_same_in_every_variant(repo: Repo) -> None:
    names = [str(path.relative_to(CHART)) for path in CHART.rglob("*") if path.is_file()]
    same, _, _ = cmpfiles(CHART, repo.path / "placement-chart", names, shallow=False)
    assert same == names
    rendered = [path for path in (repo.path / "placement-chart").rglob("*") if path.is_file()]
    assert len(rendered) == len(names)


@every_variant
def test_helm_lint_accepts_the_values(repo: Repo) -> None:
    code, output, errors = try_helm(repo.path, "lint", "--strict", "placement-chart", *VALUES)
    assert code == 0, output + errors


# ---- Kubernetes ----


@every_variant
def test_kubernetes_accepts_the_manifests(repo: Repo) -> None:
    """A field that Kubernetes or the Gateway API does not know is an error."""
    plain_jobs = of_kind("Job", manifests(repo.path, *WITH_A_PLAIN_JOB))
    for manifest in (*manifests(repo.path, *with_all(repo.deployment)), *plain_jobs):
        check(json.dumps(manifest))


@cache
def check(text: str) -> None:
    """Validate a manifest. Many are the same in several variants."""
    manifest = json.loads(text)
    if manifest["kind"] == "HTTPRoute":
        schema = close(json.loads(HTTPROUTE.read_text(encoding="utf-8")))
        Draft202012Validator(schema).validate(manifest)
    else:
        for version in KUBERNETES:
            validate(manifest, version, strict=True)


@every_variant
def test_the_same_values_render_the_same_bytes(repo: Repo) -> None:
    """Nothing is generated or looked up."""
    assert template(repo.path) == template(repo.path)


@every_variant
def test_every_object_has_the_standard_labels_and_the_common_ones(repo: Repo) -> None:
    chart = load(CHART / "Chart.yaml")
    for manifest in manifests(
        repo.path, *with_all(repo.deployment), "--set=commonLabels.team=cloud"
    ):
        assert labels(manifest) == {
            "app.kubernetes.io/name": "placement",
            "app.kubernetes.io/instance": "null",
            "app.kubernetes.io/component": component(manifest),
            "app.kubernetes.io/version": repo.deployment.release,
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": f"placement-{chart['version']}",
            "team": "cloud",
        }


@every_variant
def test_a_hook_runs_after_the_hooks_that_it_needs(repo: Repo) -> None:
    """Helm orders hooks of the same weight by name, so every hook has a weight."""
    found = hooks(repo)
    jobs = [(events, weight) for events, weight, kind in found if kind == "Job"]
    expected = [("pre-install,pre-upgrade", one) for one in repo.deployment.first_jobs.values()]
    # online-data-migrations. With SQLite, the pod itself changes the schema.
    expected += [] if repo.deployment.sqlite else [("post-upgrade", 0)]
    assert sorted(jobs) == sorted(expected)
    assert len(set(jobs)) == len(jobs)
    assert [kind for events, _, kind in found if events == "test"] == ["Pod"]
    needed = [hook for hook in found if hook[2] not in ("Job", "Pod")]
    assert bool(needed) == bool(repo.deployment.network_policy and jobs)
    assert all(
        weight < job
        for events, weight, _ in needed
        for job_events, job in jobs
        if events == job_events
    )


def hooks(repo: Repo) -> list[tuple[str, int, str]]:
    """The events, the weight and the kind of each hook."""
    found = []
    for manifest in manifests(repo.path, *with_all(repo.deployment)):
        annotations = manifest["metadata"].get("annotations", {})
        if events := annotations.get("helm.sh/hook"):
            found.append((events, int(annotations["helm.sh/hook-weight"]), manifest["kind"]))
    return found


def test_rotation_needs_an_application_credential(render_default: Repo) -> None:
    code, _, errors = try_template(render_default.path, WITH_ROTATION)
    assert code
    assert "credentialRotation.ownerSecret needs an application credential" in errors


@pytest.mark.parametrize("name", ["lab", "a" * 33 + "-" + "b" * 6])
def test_cron_jobs_have_the_names_of_the_documentation(name: str, render: Render) -> None:
    """The chart shortens a name with more than 52 characters."""
    answers = {"auth_strategy": "keystone", "keystone_auth_type": "v3applicationcredential"}
    repository = render({**answers, "project_name": name})
    jobs = (WITH_ROTATION, "--set=zones.configMap=zones")
    code, output, errors = try_helm(repository, "template", name, "placement-chart", *VALUES, *jobs)
    assert code == 0, errors
    deployment = Deployment(project_name=name)
    found = {job["metadata"]["name"] for job in of_kind("CronJob", parse(output))}
    assert found == {deployment.rotation_cron_job, deployment.zones_cron_job}


# ---- Security ----


@every_variant
def test_every_pod_conforms_to_the_restricted_standard(repo: Repo) -> None:
    """Only the rotation of the application credential has a token for the Kubernetes API."""
    for pod in pods(manifests(repo.path, *with_all(repo.deployment))):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is (component(pod) == "rotate-credential")
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        assert kinds <= allowed


@every_variant
def test_every_container_writes_only_to_its_own_volumes(repo: Repo) -> None:
    for pod in pods(manifests(repo.path, *with_all(repo.deployment))):
        [container] = pod["spec"]["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = container["volumeMounts"]
        writable = {mount["name"] for mount in mounts if not mount.get("readOnly")}
        assert writable <= {"tmp", "data"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


# ---- Facts that other parts of the repository repeat ----


@two_variants
def test_a_pod_has_time_to_finish_its_requests(repo: Repo) -> None:
    """The chart, compose and uWSGI agree on the seconds that open requests get."""
    uwsgi = ConfigParser(strict=False, interpolation=None)
    uwsgi.read(repo.path / "shared/placement-uwsgi.ini")
    drain = uwsgi.getint("uwsgi", "worker-reload-mercy")
    compose = load(repo.path / "compose.yaml")["services"]["placement"]
    assert int(compose["stop_grace_period"].removesuffix("s")) > drain
    [deployment] = of_kind("Deployment", manifests(repo.path))
    spec = deployment["spec"]["template"]["spec"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep + drain <= spec["terminationGracePeriodSeconds"]
    grace = "--set=terminationGracePeriodSeconds="
    assert try_template(repo.path, f"{grace}{sleep + drain}")[0] == 0
    assert try_template(repo.path, f"{grace}{sleep + drain - 1}")[0] != 0
    comment = f"at least preStopSleepSeconds plus {drain} for open requests"
    assert comment in (CHART / "values.yaml").read_text(encoding="utf-8")


def test_the_chart_runs_the_default_release(render_default: Repo) -> None:
    """The appVersion, which is the tag without answers, is the release of the default answer."""
    assert load(CHART / "Chart.yaml")["appVersion"] == render_default.deployment.release
