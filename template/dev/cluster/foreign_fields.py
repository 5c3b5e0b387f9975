"""Print fields that others have set: `foreign_fields.py CONTEXT NAMESPACE SELECTOR`.

Kubernetes keeps the fields that another field manager has added, such as a variable from
`kubectl set env`. An upgrade with Helm does not remove them, and they override the settings.
https://kubernetes.io/docs/reference/using-api/server-side-apply
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from kubectl import Kubectl

# Fields as Kubernetes records them: nested, with {} for a field without parts of its own.
Fields = dict[str, Any]

HELM = "helm"
# Those that deploy this repository: Helm, Argo CD and Flux.
DEPLOYERS = (HELM, "argocd-controller", "helm-controller")
# Where the settings of the pods are.
PLACES = {
    "Deployment": ("f:spec", "f:template", "f:spec"),
    "ConfigMap": ("f:data",),
}


def get_objects(kubectl: Kubectl, selector: str) -> list[dict[str, Any]]:
    """Return the Deployment and the ConfigMaps with these labels."""
    labels = ("--selector", selector)
    return kubectl.get("deployments,configmaps", *labels, "--show-managed-fields")


def name_of(item: dict[str, Any]) -> str:
    """Return the name of an object, as in `deployment/placement`."""
    return f"{item['kind'].lower()}/{item['metadata']['name']}"


def managers(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries for each field manager, without those of subresources such as status."""
    entries = item["metadata"].get("managedFields", [])
    return [entry for entry in entries if not entry.get("subresource")]


def foreign_fields(
    item: dict[str, Any], deployers: tuple[str, ...] = (HELM,)
) -> list[tuple[dict[str, Any], Fields]]:
    """Return each other manager's entry, with the fields that only others than these have set."""
    found = []
    place = PLACES[item["kind"]]
    ours = [
        at(entry["fieldsV1"], place) for entry in managers(item) if entry["manager"] in deployers
    ]
    for entry in managers(item):
        fields = at(entry["fieldsV1"], place)
        for own in ours:
            fields = subtract(fields, own)
        if entry["manager"] not in deployers and fields:
            found.append((entry, fields))
    return found


def at(fields: Fields, place: tuple[str, ...]) -> Fields:
    """Return the fields in a place."""
    for key in place:
        fields = fields.get(key, {})
    return fields


def subtract(fields: Fields, others: Fields) -> Fields:
    """Return the fields that are not among others."""
    left: Fields = {}
    for key, inner in fields.items():
        if key not in others:
            left[key] = inner
        # "." is the item itself, which exists anyway.
        elif rest := subtract({name: inner[name] for name in inner if name != "."}, others[key]):
            left[key] = rest
    return left


def merge(fields: Fields, others: Fields) -> Fields:
    """Return the fields of both."""
    both = {key: merge(inner, others.get(key, {})) for key, inner in fields.items()}
    return {**others, **both}


def describe(fields: Fields, path: str) -> Iterator[str]:
    """Name fields as in `containers[placement].env[OS_API__AUTH_STRATEGY]`, without values."""
    for key, inner in fields.items():
        kind, _, text = key.partition(":")
        if kind == "k":
            here = f"{path}[{', '.join(map(str, json.loads(text).values()))}]"
        else:
            here = f"{path}.{text}" if path else text
        if not inner or "." in inner:
            yield here
        else:
            yield from describe(inner, here)


def names(item: dict[str, Any], deployers: tuple[str, ...] = (HELM,)) -> Iterator[str]:
    """Describe each foreign field of an object, and who has set it."""
    for entry, fields in foreign_fields(item, deployers):
        for field in describe(fields, ""):
            yield f"{field} of {name_of(item)} was set by {entry['manager']}"


def adopt(item: dict[str, Any]) -> list[str]:
    """Make Helm the manager of what Argo CD or Flux has set; return the names of both.

    Otherwise, Helm could not remove these fields later. Kubernetes still has them after a return to
    `make deploy`, and after a change to Flux that stopped before Flux deployed.
    """
    taken = [
        entry
        for entry in managers(item)
        if entry["manager"] in DEPLOYERS and entry["manager"] != HELM
    ]
    names = sorted({entry["manager"] for entry in taken})
    for entry in taken:
        own = next(filter(is_applied_by_helm, managers(item)), None)
        if own:
            own["fieldsV1"] = merge(own["fieldsV1"], entry["fieldsV1"])
            item["metadata"]["managedFields"].remove(entry)
        else:
            entry["manager"], entry["operation"] = HELM, "Apply"
    return names


def hand_over(kubectl: Kubectl, item: dict[str, Any]) -> None:
    """Make Helm the manager of the foreign fields, so that its next upgrade removes them."""
    applied = [entry for entry in managers(item) if is_applied_by_helm(entry)]
    if not applied:
        sys.exit(
            "Helm cannot remove these fields, because it did not apply this release on the server "
            f"side. Remove them: {shlex.join(kubectl.command)} edit {name_of(item)}"
        )
    for entry, fields in foreign_fields(item):
        for key in reversed(PLACES[item["kind"]]):
            fields = {key: fields}
        entry["fieldsV1"] = subtract(entry["fieldsV1"], fields)
        applied[0]["fieldsV1"] = merge(applied[0]["fieldsV1"], fields)
    store(kubectl, item)


def store(kubectl: Kubectl, item: dict[str, Any]) -> None:
    """Write the managers of the fields."""
    # Status changes at any time, and does not count.
    version = "generation" if "generation" in item["metadata"] else "resourceVersion"
    unchanged = {"path": f"/metadata/{version}", "value": item["metadata"][version]}
    managed = {
        "path": "/metadata/managedFields",
        "value": [entry for entry in item["metadata"]["managedFields"] if entry["fieldsV1"]],
    }
    patch = json.dumps([{"op": "test", **unchanged}, {"op": "replace", **managed}])
    command = ("patch", name_of(item), "--type=json", "--patch-file=/dev/stdin")
    kubectl.output(*command, stdin=patch)


def is_applied_by_helm(entry: dict[str, Any]) -> bool:
    """Whether Helm applies these fields in each upgrade."""
    return bool(entry["manager"] == HELM and entry["operation"] == "Apply")


if __name__ == "__main__":
    context, namespace, selector = sys.argv[1:]
    for item in get_objects(Kubectl(context, namespace), selector):
        for name in names(item, DEPLOYERS):
            print(name)
