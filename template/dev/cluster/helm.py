"""A Helm release, in one context and one namespace."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass

from kubectl import Kubectl, output


@dataclass(frozen=True)
class Release:
    """A Helm release, which may not be installed yet."""

    kubectl: Kubectl
    name: str

    @property
    def command(self) -> list[str]:
        """Return the start of each command."""
        context, namespace = self.kubectl.context, self.kubectl.namespace
        return ["helm", "--kube-context", context, "--namespace", namespace]

    def upgrade(self, *arguments: str) -> list[str]:
        """Return the command that installs or upgrades the release."""
        return [*self.command, "upgrade", self.name, *arguments]

    def render(self, *arguments: str) -> tuple[str, str]:
        """Return the manifests that an upgrade would apply, and its hooks, or exit."""
        # On the client side, the chart would not see the Secrets.
        command = self.upgrade(*arguments, "--dry-run=server", "--output=json")
        rendered = json.loads(output(*command))
        hooks = "\n---\n".join(hook["manifest"] for hook in rendered.get("hooks") or [])
        return rendered["manifest"], hooks

    def deployed(self) -> str:
        """Return the manifests of the last revision, if there is one."""
        command = [*self.command, "get", "manifest", self.name]
        return subprocess.run(command, text=True, capture_output=True, check=False).stdout

    def revision(self) -> str:
        """Describe the last revision, or exit if it is unfinished."""
        command = [*self.command, "history", self.name, "--max=1", "--output=json"]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if "release: not found" in done.stderr:
            return "not installed yet"
        if done.returncode:
            sys.exit(done.stderr.strip())
        [last] = json.loads(done.stdout)
        number, status = last["revision"], last["status"]
        if status.startswith("pending-"):
            kubectl, record = shlex.join(self.kubectl.command), f"{self.name}.v{number}"
            sys.exit(
                f"Revision {number} of the Helm release {self.name} is {status} since "
                f"{last['updated']}: another deploy runs, or was interrupted.\n"
                "If none runs (docs/kubernetes.md, Recovery), delete the record of this revision, "
                "and deploy again:\n"
                f"  {kubectl} delete secret sh.helm.release.v1.{record}"
            )
        return f"revision {number}, {status}"
