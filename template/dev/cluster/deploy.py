"""Run `helm upgrade` after checks that Helm lacks, or only print what it would change.

    deploy.py deploy|diff CONTEXT NAMESPACE RELEASE SELECTOR ARGUMENT...

The last arguments are those of `helm upgrade`. This program shows where the release goes, refuses
to interfere with an unfinished one, names missing Secrets, and has Helm remove what others have set
in the cluster. While Helm waits, it prints why pods do not start.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import contexts
import foreign_fields
import image_release
import manifests
import replicas
import secret_keys
from helm import Release
from kubectl import Kubectl, Object
from rollout import Rollout

# The time between two checks of the pods.
SECONDS = 3
# What `make secrets` runs, if the answers name Secrets.
MAKE_SECRETS = Path(__file__).with_name("secrets.sh")
CREATE = "`make secrets{}` prints the commands that create the Secrets of the answers."

# The label or annotation that each controller adds to the objects that it deploys.
CONTROLLERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "helm.toolkit.fluxcd.io/name": "Flux",
}


def main(
    action: str, context: str, namespace: str, name: str, selector: str, *arguments: str
) -> int:
    """Show the target, check it, and upgrade."""
    context = context or current_context()
    kubectl = Kubectl(context, namespace)
    release = Release(kubectl, name)
    print(f"Context:      {context or 'none'}")
    print(f"Namespace:    {namespace}")
    if action == "deploy":
        refuse_gitops(kubectl, selector)
    print(f"Helm release: {name}, {release.revision()}")
    rendered, hooks = release.render(*arguments)
    objects = manifests.parse(kubectl, rendered)
    image = manifests.image(objects)
    print(f"Image:        {image}")
    image_release.check(image)
    manifests.print_difference(kubectl, release.deployed(), objects)
    if action == "diff":
        print_foreign_fields(kubectl, selector)
        return 0
    require_secrets(kubectl, [*objects, *manifests.parse(kubectl, hooks)])
    if context:
        contexts.confirm(context)
    take_over(kubectl, selector, objects)
    remove_foreign_fields(kubectl, selector)
    replicas.keep(kubectl, selector)
    command = release.upgrade(*arguments, "--description", image_release.description(rendered))
    print(shlex.join(command), flush=True)
    rollout = Rollout(kubectl, name)
    code = run(command, rollout)
    if code == 0 and (
        waiting := replicas.start_minimum(kubectl, selector)
        or replicas.restore(kubectl, selector, objects)
    ):
        code = run(waiting, rollout)
    if code:
        rollout.report()
        rollout.logs.save()
    else:
        for warning in rollout.logs.warnings():
            print(warning)
    return code


def current_context() -> str:
    """Return the current context, which is empty for the service account of a pod."""
    return Kubectl("", "").try_output("config", "current-context").strip()


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


def require_secrets(kubectl: Kubectl, objects: list[Object]) -> None:
    """Name what is missing. Exit if pods need a Secret, unless this deploy creates it."""
    for secret in secret_keys.missing(kubectl, secret_keys.of_ingresses(objects)):
        print(f"The Ingress serves no valid certificate without {secret}.")
    config_maps: secret_keys.Keys = {name: set() for name in secret_keys.config_maps(objects)}
    for config_map in secret_keys.missing(kubectl, config_maps, "ConfigMap"):
        print(f"Pods do not start without {config_map}.")
    needed = secret_keys.of_pods(objects)
    if missing := [f"  {secret}" for secret in secret_keys.missing(kubectl, needed)]:
        print(
            f"The pods need Secrets that the namespace {kubectl.namespace} lacks:", file=sys.stderr
        )
        print(*missing, sep="\n", file=sys.stderr)
        sys.exit(f"Nothing was deployed. {how_to_create_secrets()}".strip())


def how_to_create_secrets() -> str:
    """Name the command, if this repository has it."""
    environment = f" ENV={name}" if (name := os.environ.get("ENV")) else ""
    return CREATE.format(environment) if MAKE_SECRETS.exists() else ""


def take_over(kubectl: Kubectl, selector: str, objects: list[Object]) -> None:
    """Have Helm manage what Argo CD or Flux has set, and name the controller."""
    kinds = ",".join(sorted({item["kind"].lower() for item in objects}))
    for item in kubectl.try_get(kinds, "--selector", selector, "--show-managed-fields"):
        if controllers := foreign_fields.adopt(item):
            name = foreign_fields.name_of(item)
            print(f"Helm takes {name} over from {' and '.join(controllers)} (docs/gitops.md).")
            foreign_fields.store(kubectl, item)


def print_foreign_fields(kubectl: Kubectl, selector: str) -> None:
    """Name what others have set, which a deploy removes."""
    for item in foreign_fields.get_objects(kubectl, selector):
        for name in foreign_fields.names(item, foreign_fields.DEPLOYERS):
            print(f"To be removed, because this repository does not contain it: {name}.")


def remove_foreign_fields(kubectl: Kubectl, selector: str) -> None:
    """Have Helm remove what others have set, and name it."""
    for item in foreign_fields.get_objects(kubectl, selector):
        names = list(foreign_fields.names(item))
        for name in names:
            print(f"Removed, because this repository does not contain it: {name}.")
        if names:
            foreign_fields.hand_over(kubectl, item)


def run(command: list[str], rollout: Rollout) -> int:
    """Run a command, and print meanwhile why pods do not start."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                rollout.report()
            except KeyboardInterrupt:  # Helm has it, too, and restores the last release
                return process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
