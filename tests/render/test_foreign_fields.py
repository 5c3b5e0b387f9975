"""Which fields of a deployment others than Helm have set. tests/cluster/ removes them for real."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import foreign_fields

ENV: dict[str, Any] = {".": {}, "f:name": {}, "f:value": {}}


def container(**fields: Any) -> dict[str, Any]:
    """Return fields of the container as Kubernetes records them."""
    fields = {f"f:{name}": inner for name, inner in fields.items()}
    inner = {"f:containers": {'k:{"name":"placement"}': fields}}
    return {"f:spec": {"f:template": {"f:spec": inner}}}


def entry(manager: str, fields: dict[str, Any], operation: str = "Update") -> dict[str, Any]:
    """Return the record of a field manager."""
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


HELM = entry(
    "helm",
    container(env={'k:{"name":"PORT"}': ENV}, image={}, envFrom={}),
    "Apply",
)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"env": {'k:{"name":"OS_A"}': ENV}}, ["containers[placement].env[OS_A]"]),
        ({"env": {".": {}, 'k:{"name":"PORT"}': ENV}}, []),
        (
            {"env": {'k:{"name":"PORT"}': {"f:valueFrom": {}}}},
            ["containers[placement].env[PORT].valueFrom"],
        ),
        ({"command": {}, "image": {}}, ["containers[placement].command"]),
        (
            {"ports": {'k:{"containerPort":1,"protocol":"UDP"}': {".": {}, "f:containerPort": {}}}},
            ["containers[placement].ports[1, UDP]"],
        ),
    ],
)
def test_only_what_helm_has_not_set_is_foreign(fields: dict[str, Any], names: list[str]) -> None:
    """Also in a list whose other items are Helm's."""
    managed = [copy.deepcopy(HELM), entry("kubectl-set", container(**fields))]
    item = {"kind": "Deployment", "metadata": {"name": "p", "managedFields": managed}}
    expected = [f"{name} of deployment/p was set by kubectl-set" for name in names]
    assert list(foreign_fields.names(item)) == expected


def test_replicas_and_status_are_not_foreign() -> None:
    """An autoscaler sets the one, and controllers the other."""
    scaled = entry("kube-controller-manager", {"f:spec": {"f:replicas": {}}})
    status = {**entry("x", container(command={})), "subresource": "status"}
    restarted = entry("kubectl-rollout", {"f:spec": {"f:template": {"f:metadata": {"f:x": {}}}}})
    managed = [copy.deepcopy(HELM), scaled, status, restarted]
    item = {"kind": "Deployment", "metadata": {"name": "p", "managedFields": managed}}
    assert list(foreign_fields.names(item)) == []


def test_fields_are_handed_over_completely() -> None:
    """Nothing remains of what Helm is to remove, and everything else does."""
    other = container(env={'k:{"name":"OS_A"}': ENV}, image={})
    moved = container(env={'k:{"name":"OS_A"}': ENV})
    left = foreign_fields.subtract(other, moved)
    assert left == container(image={})
    both = foreign_fields.merge(HELM["fieldsV1"], moved)
    expected = {'k:{"name":"PORT"}': ENV, 'k:{"name":"OS_A"}': ENV}
    assert both == container(env=expected, image={}, envFrom={})


@pytest.mark.parametrize("controller", ["argocd-controller", "helm-controller"])
def test_controllers_are_foreign_to_make_deploy_alone(controller: str) -> None:
    """`make doctor` reports only what nobody deploys."""
    edited = entry("kubectl-edit", container(command={}))
    managed = [entry(controller, container(image={})), edited]
    item = {"kind": "Deployment", "metadata": {"name": "p", "managedFields": managed}}
    command, image = (
        f"containers[placement].{name} of deployment/p" for name in ("command", "image")
    )
    found = [f"{command} was set by kubectl-edit"]
    assert list(foreign_fields.names(item, foreign_fields.DEPLOYERS)) == found
    assert list(foreign_fields.names(item)) == [f"{image} was set by {controller}", *found]


@pytest.mark.parametrize("controller", ["argocd-controller", "helm-controller"])
@pytest.mark.parametrize("before", [[], [HELM]], ids=["alone", "with-helm"])
def test_helm_takes_over_all_fields_of_a_controller(
    controller: str, before: list[dict[str, Any]]
) -> None:
    """And `make deploy` can then remove what others have set, as without the controller."""
    edited = entry("kubectl-edit", container(command={}))
    managed = [*copy.deepcopy(before), entry(controller, container(args={})), edited]
    item = {"kind": "Deployment", "metadata": {"name": "p", "managedFields": managed}}
    assert foreign_fields.adopt(item) == [controller]
    [helm, other] = foreign_fields.managers(item)
    fields = [entry["fieldsV1"] for entry in before]
    assert helm["fieldsV1"] == foreign_fields.merge(container(args={}), *fields or [{}])
    assert foreign_fields.is_applied_by_helm(helm)
    assert other == edited
    command = "containers[placement].command of deployment/p was set by kubectl-edit"
    assert list(foreign_fields.names(item)) == [command]
    assert foreign_fields.adopt(item) == []
