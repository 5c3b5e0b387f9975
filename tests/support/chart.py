"""The chart of a rendered repository, as Helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from extensions.deployment import Deployment
from tests.support.template import ROOT

Values = dict[str, Any]
Manifest = dict[str, Any]
Objects = Sequence[Manifest]

CHART = ROOT / "template/placement-chart"
# The answers, and then the user's own values, as the rendered Makefile passes them.
VALUES = ("--values", "values.yaml", "--values", "values.local.yaml")
# Adds most objects and fields that the answers alone do not. A plain Job takes the place of a hook.
WITH_MOST = (
    '--set-json=policy={"placement:traits:list":"role:reader"}',
    "--set=tls.podSecret=pod-tls,zones.configMap=zones",
    "--set=runtimeClassName=gvisor,resources.limits.cpu=2",
    '--set-json=hostAliases=[{"ip":"192.0.2.10","hostnames":["keystone.example.com"]}]',
    '--set-json=dnsConfig={"options":[{"name":"ndots","value":"1"}]}',
    '--set-json=ingress.extraHosts=[{"host":"placement.example.com","tlsSecret":"example"}]',
    "--set-json=service={"
    '"nodePort":30778,"loadBalancerIP":"192.0.2.11","loadBalancerClass":"example.com/internal",'
    '"internalTrafficPolicy":"Local","ipFamilyPolicy":"PreferDualStack"}',
)
WITH_ROTATION = "--set=credentialRotation.ownerSecret=owner"
WITH_A_PLAIN_JOB = ("--set", "migrations.mode=job")


def with_all(deployment: Deployment) -> tuple[str, ...]:
    """Return the arguments that add every object and field that is valid for a deployment."""
    rotates = "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_ID" in deployment.secrets
    return (*WITH_MOST, WITH_ROTATION) if rotates else WITH_MOST


def try_helm(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run Helm in a folder, and return the exit code, the output and the errors."""
    done = subprocess.run(
        ["helm", *arguments], cwd=folder, text=True, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def try_template(
    repository: Path, *arguments: str, chart: str = "placement-chart"
) -> tuple[int, str, str]:
    """Render the chart with the values of a repository, as `make deploy` does."""
    return try_helm(repository, "template", "null", chart, *VALUES, *arguments)


def template(repository: Path, *arguments: str, chart: str = "placement-chart") -> str:
    """Render the chart with the values of a repository; it has to succeed."""
    code, output, errors = try_template(repository, *arguments, chart=chart)
    assert code == 0, errors
    return output


@cache
def manifests(repository: Path, *arguments: str) -> Objects:
    """Render the objects of the chart. They are rendered once, so do not change them."""
    return parse(template(repository, *arguments))


def parse(output: str) -> Objects:
    """Read the objects in the output of Helm."""
    return tuple(filter(None, yaml.load_all(output, Loader=yaml.CSafeLoader)))


def of_kind(kind: str, objects: Objects) -> list[Manifest]:
    """Return the objects of a kind."""
    return [manifest for manifest in objects if manifest["kind"] == kind]


def pods(objects: Objects) -> Iterator[Manifest]:
    """Find the pods of the Deployment, all Jobs and the test, each with its metadata and spec."""
    for manifest in objects:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]
        elif manifest["kind"] == "CronJob":
            yield manifest["spec"]["jobTemplate"]["spec"]["template"]
        elif manifest["kind"] == "Pod":
            yield manifest


def labels(manifest: Manifest) -> dict[str, str]:
    """Return the labels of an object or a pod."""
    return dict(manifest["metadata"]["labels"])


def component(manifest: Manifest) -> str:
    """Return the component that an object or a pod belongs to."""
    return labels(manifest)["app.kubernetes.io/component"]


def environment(pod: Manifest) -> dict[str, str]:
    """Return the variables of a pod's only container, as Kubernetes reads their `$$`."""
    [container] = pod["spec"]["containers"]
    variables = {
        variable["name"]: variable["value"].replace("$$", "$") for variable in container["env"]
    }
    assert len(container["env"]) == len(variables)
    return variables


def close(schema: Any) -> Any:
    """Refuse fields that a schema does not name, as an API server does in strict mode."""
    if isinstance(schema, list):
        return [close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: close(value) for key, value in schema.items()}
    named = inner.get("type") == "object" and "properties" in inner
    return {"additionalProperties": False} | inner if named else inner
