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
        name, minimum = (
            autoscaler["spec"]["scaleTargetRef"]["name"],
            autoscaler["spec"]["minReplicas"],
        )
        for item in kubectl.get("deployments", "--selector", selector):
            if 0 < item["spec"]["replicas"] < minimum:
                kubectl.output("scale", f"deployment/{name}", f"--replicas={minimum}")
        return [*kubectl.command, "rollout", "status", f"deployment/{name}", "--timeout=10m"]
    return []


def restore(kubectl: Kubectl, objects: list[Object]) -> None:
    """Set the number of replicas again that Helm has set.

    Helm deletes an autoscaler last. Until then, it may have set another number.
    """
    for item in objects:
        if item["kind"] == "Deployment" and (replicas := item["spec"].get("replicas")) is not None:
            name = item["metadata"]["name"]
            kubectl.output("scale", f"deployment/{name}", f"--replicas={replicas}")
