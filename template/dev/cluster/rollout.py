"""What Kubernetes reports about a rollout that does not progress."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubectl import Kubectl, Object
from logs import Logs

# Why a container does not start. Kubernetes reports all others in a message of the pod.
STARTING = ("ContainerCreating", "PodInitializing")
# Events that no state of a pod shows: a quota, or a missing volume.
EVENTS = ("FailedCreate", "FailedMount")


class Rollout:
    """The pods of a Helm release, and the events about them."""

    def __init__(self, kubectl: Kubectl, release: str) -> None:
        """Note the events of earlier rollouts."""
        self.kubectl = kubectl
        self.labels = ("--selector", f"app.kubernetes.io/instance={release}")
        self.logs = Logs(kubectl, *self.labels)
        self.reported: set[str] = set()
        self.earlier = {version(event) for event in kubectl.try_get("events")}

    def report(self) -> None:
        """Print the problems that it has not printed yet."""
        for problem in self.news():
            print(problem, flush=True)

    def news(self) -> Iterator[str]:
        """Yield each problem once."""
        objects = self.kubectl.try_get("pods,replicasets,jobs", *self.labels)
        pods = [item for item in objects if item["kind"] == "Pod"]
        self.logs.read(pods)
        names = {item["metadata"]["name"] for item in objects}
        for problem in (*self.in_pods(pods), *self.in_events(names)):
            # A controller tries again with another name of the pod.
            known = re.sub(r'"\S+-[a-z0-9]{5}"', "", problem)
            if known not in self.reported:
                self.reported.add(known)
                yield problem

    def in_pods(self, pods: list[Object]) -> Iterator[str]:
        """Yield the problems that the state of a pod shows."""
        for pod in pods:
            name, status = pod["metadata"]["name"], pod["status"]
            for condition in status.get("conditions", []):
                if condition.get("reason") == "Unschedulable":
                    yield f"{name}: Unschedulable: {condition['message']}"
            for container in status.get("containerStatuses", []):
                cause = self.logs.cause(name, container["name"])
                waiting = container["state"].get("waiting", {"reason": STARTING[0]})
                if waiting["reason"] == "CrashLoopBackOff":
                    yield f"{name}: CrashLoopBackOff. The last line of its log: {cause}"
                elif waiting["reason"] not in STARTING:
                    yield f"{name}: {waiting['reason']}: {waiting.get('message', '')}"
                elif cause and pod["spec"]["restartPolicy"] == "Never":
                    yield f"{name}: {container['name']} failed: {cause}"

    def in_events(self, names: set[str]) -> Iterator[str]:
        """Yield the problems that only an event reports."""
        for event in self.kubectl.try_get("events"):
            name, reason = event["involvedObject"]["name"], event["reason"]
            if name in names and reason in EVENTS and version(event) not in self.earlier:
                message = event["message"].removeprefix("(combined from similar events): ")
                yield f"{name}: {reason}: {message}"


def version(event: Object) -> tuple[str, str]:
    """Return what identifies an event, and changes when it is repeated."""
    return event["metadata"]["uid"], event["metadata"]["resourceVersion"]
