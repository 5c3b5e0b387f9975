"""The Secrets in the cluster of kubectl's current context."""

import json
import subprocess
from collections.abc import Iterator

from .findings import Finding

UNREACHABLE = "kubectl cannot read the Secrets"


def missing_secrets(namespace: str, secrets: list[str]) -> Iterator[Finding]:
    """Find missing Secrets and keys; each Secret is given as `name:key,key`."""
    for secret in secrets:
        name, keys = secret.split(":")[:2]
        command = ["kubectl", "--namespace", namespace, "get", "secret", name, "--output=json"]
        try:
            done = subprocess.run(command, text=True, capture_output=True, check=False)
        except FileNotFoundError:
            return  # a finding of its own
        if done.returncode and "(NotFound)" not in done.stderr:
            yield Finding("cluster", f"{UNREACHABLE}: {done.stderr.strip()}")
            return
        try:
            present = json.loads(done.stdout or "{}").get("data") or {}
        except ValueError:
            yield Finding("cluster", f"{UNREACHABLE}: {done.stdout.strip()}")
            return
        missing = [key for key in keys.split(",") if key not in present]
        if missing:
            problem = f"the Secret {name} in {namespace} lacks {' and '.join(missing)}"
            yield Finding("cluster", problem, "make secrets")
