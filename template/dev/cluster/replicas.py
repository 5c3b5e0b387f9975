"""The number of replicas, which Helm does not set when there is an autoscaler."""

from __future__ import annotations

import json

from kubectl import Kubectl, Object

MANAGER = "before-autoscaling"


def keep(kubectl: Kubectl, selector: str) -> None:
    """Keep the number of replicas while an autoscaler takes over, or replicaCount becomes null.

    Then Helm stops owning the number. Kubernetes resets a number without an owner to 1, which would
    remove all pods except one. So another field manager becomes the owner of the current number.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    """
    if kubectl.get("horizontalpodautoscalers", "--selector", selector):
        return
    for item in kubectl.get("deployments", "--selector", selector):
        # An autoscaler does not scale a Deployment that has 0 replicas.
        if replicas := item["spec"]["replicas"]:
            owned = {
                "apiVersion": item["apiVersion"],
                "kind": item["kind"],
                "metadata": {"name": item["metadata"]["name"]},
                "spec": {"replicas": replicas},
            }
            command = ("apply", "--server-side", f"--field-manager={MANAGER}", "--filename=-")
            kubectl.output(*command, stdin=json.dumps(owned))


def start_minimum(kubectl: Kubectl, selector: str) -> list[str]:
    """Start the lowest number of pods that an autoscaler allows; return the command that waits.

    Helm waits for the replicas that the Deployment has before the autoscaler acts, which is one.
    """
    for autoscaler in kubectl.get("horizontalpodautoscalers", "--selector", selector):
        minimum = autoscaler["spec"]["minReplicas"]
        for item in kubectl.get("deployments", "--selector", selector):
            if 0 < item["spec"]["replicas"] < minimum:
                scale(kubectl, item, minimum)
            return wait(kubectl, item)
    return []


def restore(kubectl: Kubectl, selector: str, objects: list[Object]) -> list[str]:
    """Set the number of replicas again that Helm has set; return the command that waits.

    Helm deletes an autoscaler last. Until then, the autoscaler may change the number.
    """
    numbers = {
        item["metadata"]["name"]: item["spec"].get("replicas")
        for item in objects
        if item["kind"] == "Deployment"
    }
    for item in kubectl.get("deployments", "--selector", selector):
        number = numbers.get(item["metadata"]["name"])
        if number not in (None, item["spec"]["replicas"]):
            scale(kubectl, item, number)
            return wait(kubectl, item)
    return []


def scale(kubectl: Kubectl, deployment: Object, number: int) -> None:
    """Set the number of replicas."""
    kubectl.output("scale", f"deployment/{deployment['metadata']['name']}", f"--replicas={number}")


def wait(kubectl: Kubectl, deployment: Object) -> list[str]:
    """Return the command that waits until all replicas are ready."""
    name = f"deployment/{deployment['metadata']['name']}"
    return [*kubectl.command, "rollout", "status", name, "--timeout=10m"]
