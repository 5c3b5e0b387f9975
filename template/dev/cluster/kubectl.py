"""kubectl in one context and one namespace, whichever others are current meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


def output(*command: str, stdin: str = "") -> str:
    """Run a command and return its output, or exit with its error."""
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip() or f"{command[0]} failed")
    return done.stdout


@dataclass(frozen=True)
class Kubectl:
    """The context, which is the current one if it is empty, and the namespace."""

    context: str
    namespace: str

    @property
    def command(self) -> list[str]:
        """Return the start of each command."""
        return ["kubectl", "--context", self.context, "--namespace", self.namespace]

    def output(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return its output, or exit with its error."""
        return output(*self.command, *arguments, stdin=stdin)

    def get(self, *arguments: str) -> list[Object]:
        """Return a list of objects, or exit with the error."""
        items: list[Object] = json.loads(self.output("get", "--output=json", *arguments))["items"]
        return items

    def try_output(self, *arguments: str) -> str:
        """Run kubectl and return its output, which is empty if it fails."""
        command = [*self.command, *arguments]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        return "" if done.returncode else done.stdout

    def try_get(self, *arguments: str) -> list[Object]:
        """Return a list of objects, which is empty if kubectl fails."""
        listed = self.try_output("get", "--output=json", *arguments)
        items: list[Object] = json.loads(listed)["items"] if listed else []
        return items
