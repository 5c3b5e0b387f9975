"""The objects for Argo CD and Flux: what the CRDs accept, and what both make of the chart."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

import environments
from copier_placement.doctor.gitops import PLACEHOLDERS, unready_gitops
from tests.render.conftest import Repo
from tests.support.chart import VALUES, close, component, of_kind, parse, try_helm
from tests.support.template import load
from tests.support.variants import VARIANTS, every_variant

CRDS = Path(__file__).with_name("gitops-crds.json")
FOLDERS = {
    "argocd": {"application.yaml", "applicationset.yaml"},
    "flux": {"kustomization.yaml", "release.yaml", "sync.yaml"},
}
# Two environments, one of them in another cluster and from another branch.
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "staging": {"environment": {"namespace": "placement-staging"}, "threads": 2},
    "north": {
        "environment": {"namespace": "placement", "context": "admin@north", "revision": "north"}
    },
}
PHASE = {"argocd.argoproj.io/hook": "Sync"}


def variants_of(controller: str) -> pytest.MarkDecorator:
    """Return the variants that this controller deploys."""
    names = [name for name, answers in VARIANTS.items() if answers.get("gitops") == controller]
    groups = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]
    return pytest.mark.parametrize("repo", groups, indirect=True)


with_argocd = variants_of("argocd")
with_flux = variants_of("flux")


def objects(repo: Repo) -> Iterator[dict[str, Any]]:
    """Return the objects for the controller."""
    for path in sorted((repo.path / "gitops").rglob("*.yaml")):
        yield from parse(path.read_text(encoding="utf-8"))


@cache
def schemas() -> dict[str, Any]:
    """Return the schema of each kind. An Application has one source, or several like it."""
    found = dict(json.loads(CRDS.read_text(encoding="utf-8")))
    spec = found["argoproj.io/v1alpha1 Application"]["properties"]["spec"]["properties"]
    spec["sources"] = {"type": "array", "items": spec["source"]}
    return found


def check(manifest: dict[str, Any]) -> None:
    """Validate an object. A field that its CRD does not know is an error."""
    schema = schemas()[f"{manifest['apiVersion']} {manifest['kind']}"]
    Draft202012Validator(close(schema)).validate(manifest)


@every_variant
def test_each_variant_has_the_files_of_its_controller_alone(repo: Repo) -> None:
    found = {path.parent.name: path for path in (repo.path / "gitops").rglob("*.yaml")}
    controller = repo.deployment.gitops
    assert set(found) == {controller} - {"none"}
    if controller != "none":
        names = {path.name for path in (repo.path / "gitops" / controller).iterdir()}
        assert names == FOLDERS[controller]


@every_variant
def test_doctor_reports_what_the_controller_still_lacks(repo: Repo, tmp_path: Path) -> None:
    """Until each placeholder is replaced, and the files exist."""
    copy = tmp_path / "repository"
    shutil.copytree(repo.path, copy, ignore=shutil.ignore_patterns(".git", ".venv"))
    deployment, flux = repo.deployment, repo.deployment.gitops == "flux"
    fixes = {finding.fix for finding in unready_gitops(copy)}
    url, owner, registry = PLACEHOLDERS.values()
    assert (url in fixes) == (deployment.gitops != "none")
    assert (owner in fixes) == (flux and deployment.ci == "github")
    assert (registry in fixes) == (flux and deployment.image_repository.startswith("localhost/"))
    assert ("make push" in fixes) == flux
    for path in (copy / "gitops").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for placeholder in PLACEHOLDERS:
            text = text.replace(placeholder, "oci://registry.example.com/")
        path.write_text(text, encoding="utf-8")
    (copy / "cosign.pub").touch()
    (copy / "values.image.yaml").write_text('chartDigest: "sha256:0"\n', encoding="utf-8")
    assert list(unready_gitops(copy)) == []


@with_argocd
def test_argocd_accepts_the_objects(repo: Repo) -> None:
    for manifest in objects(repo):
        check(manifest)


@with_flux
def test_flux_accepts_the_objects(repo: Repo) -> None:
    """`kubectl kustomize` checks its own Kustomization in tests/cluster."""
    for manifest in objects(repo):
        if not manifest["apiVersion"].startswith("kustomize.config.k8s.io/"):
            check(manifest)


# ---- Argo CD ----


def application(repo: Repo) -> Any:
    """Return the Application."""
    return load(repo.path / "gitops/argocd/application.yaml")


def render_source(repo: Repo, source: dict[str, Any], folder: Path) -> Any:
    """Render the chart as Argo CD does, from the paths and values in an Application."""
    helm = source["helm"]
    files = [repo.path / source["path"] / name for name in helm["valueFiles"]]
    own = folder / "values.json"
    own.write_text(json.dumps(helm.get("valuesObject", {})), encoding="utf-8")
    values = [f"--values={path}" for path in [*filter(Path.exists, files), own]]
    code, output, errors = try_helm(
        repo.path, "template", helm["releaseName"], source["path"], *values
    )
    assert code == 0, errors
    return parse(output)


@with_argocd
def test_argocd_renders_what_make_deploy_installs(repo: Repo, tmp_path: Path) -> None:
    """Only the phase of the first Jobs differs."""
    spec = application(repo)["spec"]
    name = repo.deployment.project_name
    assert spec["destination"]["namespace"] == name
    assert spec["source"]["helm"]["valueFiles"] == [f"../{file}" for file in environments.COMMON]
    found = render_source(repo, spec["source"], tmp_path)
    code, output, errors = try_helm(repo.path, "template", name, "placement-chart", *VALUES)
    assert code == 0, errors
    expected = parse(output)
    for job in of_kind("Job", expected):
        if "pre-install" in job["metadata"]["annotations"]["helm.sh/hook"]:
            job["metadata"]["annotations"] |= PHASE
    assert found == expected


@every_variant
def test_the_first_jobs_run_in_the_documented_order(repo: Repo) -> None:
    """Argo CD reads the weight of a hook as its wave. One Job reads the administrator's Secret."""
    code, output, errors = try_helm(repo.path, "template", "x", "placement-chart", *VALUES)
    assert code == 0, errors
    jobs = of_kind("Job", parse(output))
    weights = {
        component(job): int(job["metadata"]["annotations"]["helm.sh/hook-weight"])
        for job in jobs
        if "pre-install" in job["metadata"]["annotations"]["helm.sh/hook"]
    }
    assert weights == repo.deployment.first_jobs
    page = repo.path / "docs/gitops.md"
    if repo.deployment.gitops == "argocd" and weights:
        rows = re.findall(
            r"^\| Sync \| (-\d+) \| the Job `(.*)` \|$", page.read_text(), re.MULTILINE
        )
        assert rows == [(str(wave), job) for job, wave in repo.deployment.first_jobs.items()]
    if "create-database" in weights:
        secret = f'"{repo.deployment.database_admin_secret}"'
        mounting = [item for item in parse(output) if secret in json.dumps(item)]
        assert [component(item) for item in mounting] == ["create-database"]


@with_argocd
def test_argocd_ignores_replicas_only_under_an_autoscaler(repo: Repo) -> None:
    """It never replaces objects, which would delete a running Job or Deployment."""
    spec = application(repo)["spec"]
    ignored = [item["jsonPointers"] for item in spec.get("ignoreDifferences", [])]
    options = {"CreateNamespace=true"}
    if repo.deployment.autoscaled:
        options.add("RespectIgnoreDifferences=true")
    assert ignored == ([["/spec/replicas"]] if repo.deployment.autoscaled else [])
    assert set(spec["syncPolicy"]["syncOptions"]) == options


@with_argocd
def test_each_environment_has_the_application_of_the_deployment(repo: Repo, tmp_path: Path) -> None:
    """Its place and its values are those of its folder; Helm evaluates the templates."""
    found = load(repo.path / "gitops/argocd/applicationset.yaml")["spec"]
    [generator] = found["generators"]
    [pattern] = (item["path"] for item in generator["git"]["files"])
    [url] = {source["repoURL"] for source in found["template"]["spec"]["sources"]}
    assert generator["git"]["repoURL"] == url
    for name, values in ENVIRONMENTS.items():
        path = Path("environments") / name
        assert (path / "values.yaml").match(pattern)
        made = evaluate(
            tmp_path, found["template"], {**values, "path": {"path": str(path), "basename": name}}
        )
        assert made["metadata"]["name"] == f"{repo.deployment.project_name}-{name}"
        expected = application(repo)["spec"]
        environment = values["environment"]
        chart = expected.pop("source")
        chart["helm"]["valueFiles"].append(f"../{path}/values.yaml")
        git = {"repoURL": url, "targetRevision": environment.get("revision", "HEAD")}
        secrets = {"path": str(path), "directory": {"include": "external-secrets.yaml"}}
        expected["sources"] = [chart | git, secrets | git]
        expected["destination"] = {
            "name": environment.get("context", "in-cluster"),
            "namespace": environment["namespace"],
        }
        assert made["spec"] == expected
        check({**application(repo), **made})


def evaluate(folder: Path, template: Any, parameters: dict[str, Any]) -> Any:
    """Evaluate Go templates with parameters at their root, as an ApplicationSet does."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: set\nversion: 1.0.0\n")
    text = yaml.safe_dump(template, width=1000)
    (chart / "templates/application.yaml").write_text(f"{{{{ with .Values }}}}{text}{{{{ end }}}}")
    (chart / "values.yaml").write_text(yaml.safe_dump(parameters))
    code, output, errors = try_helm(folder, "template", "set", "chart")
    assert code == 0, errors
    [made] = parse(output)
    return made


# ---- Flux ----


def flux(repo: Repo) -> dict[str, Any]:
    """Return the objects for Flux by kind."""
    return {manifest["kind"]: manifest for manifest in objects(repo) if "spec" in manifest}


@with_flux
def test_the_helm_release_reads_the_values_files_in_their_order(repo: Repo) -> None:
    """The ConfigMap of the environment comes last and is optional."""
    [kustomization] = (manifest for manifest in objects(repo) if "configMapGenerator" in manifest)
    [generated] = kustomization["configMapGenerator"]
    release = flux(repo)["HelmRelease"]["spec"]
    *own, environment = release["valuesFrom"]
    assert [item["valuesKey"] for item in own] == [Path(file).name for file in generated["files"]]
    assert {item["name"] for item in own} == {generated["name"]}
    assert environment["optional"]
    assert generated["files"] == [f"../../{file}" for file in environments.COMMON]


@with_flux
def test_the_helm_release_has_the_name_and_the_namespace_of_make_deploy(repo: Repo) -> None:
    """So Flux upgrades an installed Helm release."""
    found = flux(repo)
    name = repo.deployment.project_name
    assert found["HelmRelease"]["metadata"]["name"] == name
    assert found["HelmRelease"]["spec"].keys().isdisjoint({"releaseName", "targetNamespace"})
    assert found["Kustomization"]["spec"]["targetNamespace"] == name


@with_flux
def test_flux_verifies_the_chart(repo: Repo) -> None:
    """GitHub signs as the workflow, everybody else with the key in this repository."""
    found = flux(repo)
    source, name = found["OCIRepository"]["spec"], found["OCIRepository"]["metadata"]["name"]
    assert found["HelmRelease"]["spec"]["chartRef"] == {"kind": "OCIRepository", "name": name}
    deployment = repo.deployment
    assert source["url"] == f"oci://{deployment.image_repository}/placement"
    assert source.get("secretRef", {}).get("name", "") == deployment.image_pull_secret
    assert source["verify"]["provider"] == "cosign"
    [kustomization] = (manifest for manifest in objects(repo) if "configMapGenerator" in manifest)
    keys = kustomization.get("secretGenerator", [])
    if deployment.ci == "github":
        [signer] = source["verify"]["matchOIDCIdentity"]
        workflow = "https://github.com/OWNER/REPOSITORY/.github/workflows/ci.yml@refs/heads/main"
        assert re.fullmatch(signer["subject"], workflow)
        assert re.fullmatch(signer["issuer"], "https://token.actions.githubusercontent.com")
        assert keys == []
    else:
        [key] = keys
        assert key["files"] == ["../../cosign.pub"]
        assert source["verify"]["secretRef"] == {"name": key["name"]}


@with_flux
def test_flux_corrects_drift_except_the_replicas_under_an_autoscaler(repo: Repo) -> None:
    drift = flux(repo)["HelmRelease"]["spec"]["driftDetection"]
    assert drift["mode"] == "enabled"
    ignored = [item["paths"] for item in drift.get("ignore", [])]
    assert ignored == ([["/spec/replicas"]] if repo.deployment.autoscaled else [])
