"""What Kubernetes reports about a rollout that does not progress."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubectl import Kubectl

# Why a container does not start. Kubernetes reports all others in a message of the pod.
STARTING = ("ContainerCreating", "PodInitializing")
# Events that no state of a pod shows: a quota, or a missing Secret.
EVENTS = ("FailedCreate", "FailedMount")
MISSING_SECRET = r'secret ".*" not found|non-existent secret key'


class Rollout:
    """The pods of a Helm release, and the events about them."""

    def __init__(self, kubectl: Kubectl, release: str) -> None:
        """Note the events of earlier rollouts."""
        self.kubectl, self.release = kubectl, release
        self.reported: set[str] = set()
        self.earlier = {version(event) for event in kubectl.try_get("events")}

    def news(self) -> Iterator[str]:
        """Yield each problem once."""
        labels = ("--selector", f"app.kubernetes.io/instance={self.release}")
        objects = self.kubectl.try_get("pods,replicasets,jobs", *labels)
        pods = [item for item in objects if item["kind"] == "Pod"]
        names = {item["metadata"]["name"] for item in objects}
        for problem in (*self.in_pods(pods), *self.in_events(names)):
            # A controller tries again with another name of the pod.
            known = re.sub(r'"\S+-[a-z0-9]{5}"', "", problem)
            if known not in self.reported:
                self.reported.add(known)
                yield problem

    def in_pods(self, pods: list[dict[str, Any]]) -> Iterator[str]:
        """Yield the problems that the state of a pod shows."""
        for pod in pods:
            name, status = pod["metadata"]["name"], pod["status"]
            for condition in status.get("conditions", []):
                if condition.get("reason") == "Unschedulable":
                    yield f"{name}: Unschedulable: {condition['message']}"
            for container in status.get("containerStatuses", []):
                waiting = container["state"].get("waiting", {"reason": STARTING[0]})
                if waiting["reason"] == "CrashLoopBackOff":
                    log = self.kubectl.try_output("logs", "--previous", "--tail=1", name).strip()
                    yield f"{name}: CrashLoopBackOff. The last line of its log: {log}"
                elif waiting["reason"] not in STARTING:
                    yield f"{name}: {waiting['reason']}: {waiting.get('message', '')}"

    def in_events(self, names: set[str]) -> Iterator[str]:
        """Yield the problems that only an event reports."""
        for event in self.kubectl.try_get("events"):
            name, reason = event["involvedObject"]["name"], event["reason"]
            if name in names and reason in EVENTS and version(event) not in self.earlier:
                message = event["message"].removeprefix("(combined from similar events): ")
                advice = ". Run `make secrets`" if re.search(MISSING_SECRET, message) else ""
                yield f"{name}: {reason}: {message}{advice}"


def version(event: dict[str, Any]) -> tuple[str, str]:
    """Return what identifies an event, and changes when it is repeated."""
    return event["metadata"]["uid"], event["metadata"]["resourceVersion"]
