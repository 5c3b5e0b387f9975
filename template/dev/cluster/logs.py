"""The logs of containers that failed during a deploy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kubectl import Kubectl, Object

# Deploys to several environments may run at the same time.
FILE = Path(f"deploy-{name}.log" if (name := os.environ.get("ENV")) else "deploy.log")


class Logs:
    """The last log of each container that failed. Helm deletes the pods of a failed release."""

    def __init__(self, kubectl: Kubectl, *labels: str) -> None:
        """Note the failures of earlier deploys."""
        self.kubectl, self.labels = kubectl, labels
        self.texts: dict[str, str] = {}
        pods = kubectl.try_get("pods", *labels)
        self.pods = {pod["metadata"]["name"] for pod in pods}
        self.known = {ended for pod in pods for _, ended, _ in failures(pod)}
        FILE.unlink(missing_ok=True)

    def read(self, pods: list[Object]) -> None:
        """Read the log of each container that has failed since the last call."""
        for pod in pods:
            for container, ended, which in failures(pod):
                if ended not in self.known:
                    self.known.add(ended)
                    name = pod["metadata"]["name"]
                    command = ("logs", name, f"--container={container}", *which)
                    self.texts[f"{name}/{container}"] = self.kubectl.try_output(*command)

    def cause(self, pod: str, container: str) -> str:
        """Return the last line of a log, or the errors that the checks of a Job have found."""
        lines = self.texts.get(f"{pod}/{container}", "").splitlines()
        return " ".join([line for line in lines if line.startswith("error: ")] or lines[-1:])

    def save(self) -> None:
        """Write the logs to a file, and name it."""
        self.read(self.kubectl.try_get("pods", *self.labels))
        if self.texts:
            parts = [f"== {name} ==\n{text}" for name, text in self.texts.items()]
            FILE.write_text("\n".join(parts), encoding="utf-8")
            print(f"The logs of the containers that failed are in {FILE}.")

    def warnings(self) -> Iterator[str]:
        """Yield the warnings of the checks that ran before this deploy changed anything."""
        for pod in self.kubectl.try_get("pods", *self.labels):
            name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
            if name not in self.pods and "job-name" in labels:
                lines = self.kubectl.try_output("logs", name).splitlines()
                yield from (line for line in lines if line.startswith("warning: "))


def failures(pod: Object) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield each failed container, an id of the failure, and the option that prints its log."""
    for container in pod["status"].get("containerStatuses", []):
        now, before = (container[state].get("terminated") for state in ("state", "lastState"))
        ended = now or before
        if ended and ended["exitCode"] != 0:
            yield container["name"], str(ended.get("containerID")), () if now else ("--previous",)
