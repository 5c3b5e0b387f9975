"""Run `helm upgrade` after checks that Helm lacks: `deploy.py NAMESPACE RELEASE SELECTOR helm ...`.

It shows where the release goes, refuses to interfere with an unfinished one, and has Helm remove
what others have set in the cluster.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import foreign_fields

# The image in the chart's Deployment, in the manifests that Helm renders.
IMAGE = re.compile(r'/templates/deployment\.yaml\n.*?\n +image: "([^"]*)"', re.DOTALL)


def output(*command: str) -> str:
    """Run a command and return its output, or exit with its error."""
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip() or f"{command[0]} failed")
    return done.stdout


def image(command: list[str]) -> str:
    """Return the image that a `helm upgrade` would deploy; invalid values end here."""
    manifest = json.loads(output(*command, "--dry-run=client", "--output=json"))["manifest"]
    found = IMAGE.search(manifest)
    return found[1] if found else "none"


def revision(namespace: str, release: str) -> str:
    """Describe the last revision of the Helm release, or exit if it is unfinished."""
    command = ["helm", "--namespace", namespace, "history", release, "--max=1", "--output=json"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if "release: not found" in done.stderr:
        return "not installed yet"
    if done.returncode:
        sys.exit(done.stderr.strip())
    [last] = json.loads(done.stdout)
    number, status = last["revision"], last["status"]
    if status.startswith("pending-"):
        record = f"sh.helm.release.v1.{release}.v{number}"
        sys.exit(
            f"Revision {number} of the Helm release {release} is {status} since {last['updated']}: "
            "another deploy runs, or was killed.\n"
            "If none runs, delete the record of this revision, and deploy again:\n"
            f"  kubectl --namespace {namespace} delete secret {record}"
        )
    return f"revision {number}, {status}"


def remove_foreign_fields(namespace: str, selector: str) -> None:
    """Have Helm remove what others have set, and name it."""
    for item in foreign_fields.get_objects(namespace, selector):
        names = list(foreign_fields.names(item))
        for name in names:
            print(f"Removed, because this repository does not contain it: {name}.")
        if names:
            foreign_fields.hand_over(namespace, item)


def main(namespace: str, release: str, selector: str, *command: str) -> int:
    """Show the target, check it, and upgrade."""
    print(f"Context:      {output('kubectl', 'config', 'current-context').strip()}")
    print(f"Namespace:    {namespace}")
    print(f"Helm release: {release}, {revision(namespace, release)}")
    print(f"Image:        {image([*command])}")
    remove_foreign_fields(namespace, selector)
    print(shlex.join(command), flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
