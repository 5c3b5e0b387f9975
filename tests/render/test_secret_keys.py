"""The Secrets that `make deploy` looks for, from the manifests that Helm renders."""

from __future__ import annotations

import secret_keys
from extensions.deployment import Deployment
from tests.render.conftest import Repo
from tests.support.chart import manifests
from tests.support.template import Render
from tests.support.variants import every_variant

OPTIONAL = {"name": "x", "key": "x", "optional": True}


def of_answers(deployment: Deployment) -> dict[str, set[str]]:
    """Return the Secrets that `make secrets` creates."""
    secrets = (secret.split(":") for secret in deployment.cluster_secrets)
    return {name: set(keys.split(",")) for name, keys, *_ in secrets}


@every_variant
def test_they_are_those_that_make_secrets_creates(repo: Repo) -> None:
    objects = [*manifests(repo.path)]
    found = secret_keys.of_pods(objects) | secret_keys.of_ingresses(objects)
    assert found == of_answers(repo.deployment)


def test_those_of_cron_jobs_are_needed(render: Render) -> None:
    """Otherwise, only the log of a Job names them, which starts much later."""
    repository = render(
        {
            "database": "postgresql",
            "auth_strategy": "keystone",
            "keystone_auth_type": "v3applicationcredential",
        }
    )
    without = [*manifests(repository)]
    objects = [
        *manifests(
            repository, "--set=credentialRotation.ownerSecret=owner,zones.configMap=placement-zones"
        )
    ]
    needed = secret_keys.of_pods(without) | {"owner": {"clouds.yaml"}}
    assert secret_keys.of_pods(objects) == needed
    assert secret_keys.config_maps(without) == set()
    assert secret_keys.config_maps(objects) == {"placement-zones"}


def test_optional_ones_are_not_needed() -> None:
    container = {
        "env": [
            {"name": "X", "valueFrom": {"secretKeyRef": OPTIONAL}},
            {"name": "Y", "valueFrom": {"configMapKeyRef": OPTIONAL}},
        ],
        "envFrom": [{"secretRef": OPTIONAL}, {"configMapRef": OPTIONAL}],
    }
    volumes = [
        {"name": "v", "secret": {"secretName": "x", "optional": True}},
        {"name": "w", "configMap": OPTIONAL},
    ]
    pod = {"containers": [container], "volumes": volumes}
    item = {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    assert secret_keys.of_pods([item]) == {}
    assert secret_keys.config_maps([item]) == set()


def test_other_objects_may_have_any_template() -> None:
    """A custom resource may have a text there, and a list that is empty may be null."""
    pod = {"containers": [{"env": None, "envFrom": None, "volumeMounts": None}], "volumes": None}
    custom = {"kind": "Thing", "spec": {"template": "text"}}
    job = {"kind": "Job", "spec": {"template": {"spec": pod}}}
    ingress = {"kind": "Ingress", "spec": {"tls": None}}
    assert secret_keys.of_pods([custom, job]) == {}
    assert secret_keys.of_ingresses([ingress]) == {}
