"""The deployed Placement in a cluster."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .findings import Finding

FOREIGN_FIELDS = "dev/cluster/foreign_fields.py"


class UnreadableError(Exception):
    """Objects that kubectl cannot read."""


@dataclass(frozen=True)
class Cluster:
    """What is checked in the cluster."""

    context: str
    """The context of kubectl; the current one if it is empty."""
    namespace: str
    selector: str
    """The labels of the Deployment."""
    secrets: list[str] | None
    """The Secrets that the pods need, each as `name:key,key`. None if Helm cannot render them."""
    environment: str = ""

    @property
    def variable(self) -> str:
        """The variable that make needs for this environment, after a space."""
        return f" ENV={self.environment}" if self.environment else ""

    def findings(self, root: Path) -> Iterator[Finding]:
        """Run the checks, and name the environment in each finding."""
        for finding in self.problems(root):
            prefix = f"{self.environment}: " if self.environment else ""
            yield replace(finding, problem=f"{prefix}{finding.problem}")

    def problems(self, root: Path) -> Iterator[Finding]:
        """Run the checks; if kubectl cannot read the cluster, this is the last finding."""
        try:
            yield from self.missing_secrets()
            yield from self.foreign_fields(root)
            yield from self.warnings_of_registration()
        except UnreadableError as error:
            yield Finding("cluster", f"kubectl cannot read the {error}")
        except FileNotFoundError:
            return  # the missing kubectl is a finding of its own

    def missing_secrets(self) -> Iterator[Finding]:
        """Find missing Secrets and keys."""
        if self.secrets is None:
            yield Finding("cluster", "Helm cannot render the chart", "make chart-test")
        for secret in self.secrets or ():
            name, keys = secret.split(":")[:2]
            command = ["kubectl", "--context", self.context, "--namespace", self.namespace]
            command += ["get", "secret", name, "--output=json"]
            done = subprocess.run(command, text=True, capture_output=True, check=False)
            if done.returncode and "(NotFound)" not in done.stderr:
                raise UnreadableError(f"Secrets: {done.stderr.strip()}")
            try:
                present = json.loads(done.stdout or "{}").get("data") or {}
            except ValueError:
                raise UnreadableError(f"Secrets: {done.stdout.strip()}") from None
            missing = [key for key in keys.split(",") if key and key not in present]
            if missing or done.returncode:
                lacks = f"lacks {' and '.join(missing)}" if missing else "is missing"
                problem = f"the Secret {name} in {self.namespace} {lacks}"
                yield Finding("cluster", problem, f"make secrets{self.variable}")

    def foreign_fields(self, root: Path) -> Iterator[Finding]:
        """Find what others than Helm have set; the script is the one that `make deploy` uses."""
        script = str(root / FOREIGN_FIELDS)
        command = [sys.executable, script, self.context, self.namespace, self.selector]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if done.returncode:
            raise UnreadableError(f"Deployment: {(done.stderr.strip().splitlines() or [''])[-1]}")
        for line in done.stdout.splitlines():
            fix = f"make deploy{self.variable} removes it; set it in values.local.yaml"
            yield Finding("cluster", line, fix)

    def warnings_of_registration(self) -> Iterator[Finding]:
        """Find what the last registration in Keystone has warned about."""
        labels = self.selector.replace("component=api", "component=register")
        sort = "--sort-by=.metadata.creationTimestamp"
        pods = self.registration("get", "pods", "--selector", labels, sort, "--output=name")
        # A plain Job of other values, or one that has tried again, leaves older pods.
        for line in self.registration("logs", pods[-1]) if pods else ():
            if line.startswith("warning: "):
                yield Finding("cluster", line.removeprefix("warning: "), "see docs/keystone.md")

    def registration(self, *arguments: str) -> list[str]:
        """Return the lines that kubectl prints about the Job of the registration."""
        command = ["kubectl", "--context", self.context, "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if done.returncode:
            raise UnreadableError(f"log of the registration: {done.stderr.strip()}")
        return done.stdout.splitlines()
