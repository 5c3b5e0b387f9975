"""Run a command with URL set to a Service: `forward.py NAMESPACE SELECTOR COMMAND...`.

The way there is `kubectl port-forward`, which leads to one of its pods.
"""

import os
import re
import subprocess
import sys


def main(namespace: str, selector: str, command: list[str]) -> int:
    """Run the command while the way is open, and return its exit code."""
    kubectl = ["kubectl", "--namespace", namespace]
    found = [*kubectl, "get", "service", "--selector", selector, "--output", "name"]
    service = subprocess.check_output(found, text=True).strip()
    if not service:
        sys.exit(f"There is no Service {selector} in the namespace {namespace}: make deploy first.")
    forward = [*kubectl, "port-forward", "--address", "127.0.0.1", service, ":http"]
    with subprocess.Popen(forward, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            # It says so once it listens.
            line = forwarding.stdout.readline() if forwarding.stdout else ""
            address = re.search(r"127\.0\.0\.1:\d+", line)
            if not address:
                return 1
            url = f"http://{address[0]}"
            return subprocess.run(command, env={**os.environ, "URL": url}, check=False).returncode
        finally:
            forwarding.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
