"""Run `helm upgrade` after checks that Helm lacks.

    deploy.py CONTEXT NAMESPACE RELEASE SELECTOR ARGUMENT...   # the arguments of `helm upgrade`

It shows where the release goes, refuses to interfere with an unfinished one, and has Helm remove
what others have set in the cluster. While Helm waits, it prints why pods do not start.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import subprocess
import sys

import contexts
import foreign_fields
import image_release
import replicas
from kubectl import Kubectl, output
from rollout import Rollout

# Between two looks at the pods.
SECONDS = 3

# The image in the chart's Deployment, in the manifests that Helm renders.
IMAGE = re.compile(r'/templates/deployment\.yaml\n.*?\n +image: "([^"]*)"', re.DOTALL)

# The mark of each controller on what it deploys.
CONTROLLERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "helm.toolkit.fluxcd.io/name": "Flux",
}


def refuse_gitops(kubectl: Kubectl, selector: str) -> None:
    """Exit if a controller deploys Placement here: it would revert this deployment."""
    for item in kubectl.get("deployments", "--selector", selector):
        metadata = item["metadata"]
        for mark in {**metadata.get("labels", {}), **metadata.get("annotations", {})}:
            if controller := CONTROLLERS.get(mark):
                name = foreign_fields.name_of(item)
                sys.exit(
                    f"{controller} deploys {name} from git. Commit and push your change instead "
                    "(docs/gitops.md)."
                )


def render(command: list[str]) -> str:
    """Return the manifests that a `helm upgrade` would apply; invalid values end here."""
    # On the client side, the chart would not see the Secrets.
    rendered = json.loads(output(*command, "--dry-run=server", "--output=json"))
    return str(rendered["manifest"])


def image(manifests: str) -> str:
    """Return the image of the Deployment."""
    found = IMAGE.search(manifests)
    return found[1] if found else "none"


def print_difference(before: str, after: str) -> None:
    """Print how manifests change, if there were some before."""
    if before:
        texts = (lines(before), lines(after))
        print(*difflib.unified_diff(*texts, "deployed", "new", lineterm=""), sep="\n")


def lines(manifests: str) -> list[str]:
    """Return the lines of all manifests except Secrets."""
    parts = re.split(r"^---$", manifests, flags=re.MULTILINE)
    shown = [part for part in parts if "\nkind: Secret\n" not in part]
    return [line for part in shown for line in part.strip().splitlines()]


def revision(kubectl: Kubectl, helm: list[str], release: str) -> str:
    """Describe the last revision of the Helm release, or exit if it is unfinished."""
    command = [*helm, "history", release, "--max=1", "--output=json"]
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
            f"  {shlex.join(kubectl.command)} delete secret {record}"
        )
    return f"revision {number}, {status}"


def deployed(helm: list[str], release: str) -> str:
    """Return the manifests of the last revision of the Helm release, if there is one."""
    command = [*helm, "get", "manifest", release]
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout


def remove_foreign_fields(kubectl: Kubectl, selector: str) -> None:
    """Have Helm remove what others have set, and name it."""
    for item in foreign_fields.get_objects(kubectl, selector):
        names = list(foreign_fields.names(item))
        for name in names:
            print(f"Removed, because this repository does not contain it: {name}.")
        if names:
            foreign_fields.hand_over(kubectl, item)


def main(context: str, namespace: str, release: str, selector: str, *arguments: str) -> int:
    """Show the target, check it, and upgrade."""
    context = context or output("kubectl", "config", "current-context").strip()
    kubectl = Kubectl(context, namespace)
    helm = ["helm", "--kube-context", context, "--namespace", namespace]
    upgrade = [*helm, "upgrade", release, *arguments]
    print(f"Context:      {context}")
    print(f"Namespace:    {namespace}")
    refuse_gitops(kubectl, selector)
    print(f"Helm release: {release}, {revision(kubectl, helm, release)}")
    manifests = render(upgrade)
    print(f"Image:        {image(manifests)}")
    image_release.check(image(manifests))
    print_difference(deployed(helm, release), manifests)
    contexts.confirm(context)
    remove_foreign_fields(kubectl, selector)
    replicas.keep(kubectl, selector)
    upgrade += ["--description", image_release.description(manifests)]
    print(shlex.join(upgrade), flush=True)
    return run(upgrade, Rollout(kubectl, release))


def run(command: list[str], rollout: Rollout) -> int:
    """Run a command, and print meanwhile why pods do not start."""
    with subprocess.Popen(command) as helm:
        while True:
            try:
                return helm.wait(SECONDS)
            except subprocess.TimeoutExpired:
                for problem in rollout.news():
                    print(problem, flush=True)
            except KeyboardInterrupt:  # Helm has it, too, and restores the last release
                return helm.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
