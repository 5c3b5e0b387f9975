"""The Secrets and ConfigMaps that pods and the Ingress need, and which of them are missing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from kubectl import Kubectl, Object

# The keys of each Secret, by its name.
Keys = dict[str, set[str]]

# The kinds of objects that have a template of a pod.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
TLS = {"tls.crt", "tls.key"}
# Prints the names of the keys, and no values.
NAMES = "go-template={{range $key, $value := .data}}{{$key}} {{end}}"


def describe(objects: list[Object]) -> list[str]:
    """Describe each Secret as `name:key,key` or `name:key,key:type`."""
    needed = of_pods(objects) | of_ingresses(objects)
    return [f"{name}:{','.join(sorted(keys))}{kind(keys)}" for name, keys in sorted(needed.items())]


def kind(keys: set[str]) -> str:
    """Return the type of a Secret with these keys, after a colon."""
    if keys >= TLS:
        return ":kubernetes.io/tls"
    return ":kubernetes.io/dockerconfigjson" if ".dockerconfigjson" in keys else ""


def config_maps(objects: list[Object]) -> set[str]:
    """Return the ConfigMaps without which pods do not start, unless these objects create them."""
    return {*of_pods(objects, "configMap")}


def of_pods(objects: list[Object], resource: str = "secret") -> Keys:
    """Return the Secrets without which pods do not start, unless these objects create them.

    With the resource configMap, return the ConfigMaps instead.
    """
    found: Keys = {}
    for item in objects:
        if item["kind"] not in WORKLOADS:
            continue
        is_hook = "helm.sh/hook" in (item.get("metadata", {}).get("annotations") or {})
        is_cron_job = item["kind"] == "CronJob"
        job = item["spec"]["jobTemplate"] if is_cron_job else item
        pod = job["spec"]["template"]["spec"]
        containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
        references = [
            reference for each in containers for reference in of_variables(each, resource)
        ]
        references += [
            reference
            for volume in pod.get("volumes") or []
            for reference in of_volume(volume, containers, resource, is_hook or is_cron_job)
        ]
        if resource == "secret":
            pull_secrets = pod.get("imagePullSecrets") or []
            references += [(each, {".dockerconfigjson"}) for each in pull_secrets]
        for secret, keys in references:
            if not secret.get("optional"):
                found.setdefault(secret.get("secretName") or secret["name"], set()).update(keys)
    for item in objects:
        # Also an ExternalSecret or a SealedSecret.
        if item["kind"].lower().endswith(resource.lower()):
            found.pop(item["metadata"]["name"], None)
    return found


def of_variables(container: Object, resource: str) -> Iterator[tuple[Object, set[str]]]:
    """Yield the references of a container's variables, each with its keys."""
    for variable in container.get("env") or []:
        if secret := (variable.get("valueFrom") or {}).get(f"{resource}KeyRef"):
            yield secret, {secret["key"]}
    for source in container.get("envFrom") or []:
        if secret := source.get(f"{resource}Ref"):
            yield secret, set()


def of_volume(
    volume: Object, containers: list[Object], resource: str, starts_early: bool
) -> Iterator[tuple[Object, set[str]]]:
    """Yield the references of a volume. A whole Secret has the keys that variables use as files.

    Jobs of hooks and of CronJobs start without the chart's own Secrets, and name the missing one.
    """
    starts_without = {"optional": False} if starts_early and volume["name"] == "secrets" else {}
    for source in [volume, *volume.get("projected", {}).get("sources", [])]:
        if secret := source.get(resource):
            items = {item["key"] for item in secret.get("items", [])}
            yield {**secret, **starts_without}, items or set(files(volume["name"], containers))


def files(volume: str, containers: list[Object]) -> Iterator[str]:
    """Yield the names of the files in a volume that are the values of variables."""
    for container in containers:
        values = [str(variable.get("value")) for variable in container.get("env") or []]
        for mount in container.get("volumeMounts") or []:
            folder = mount["mountPath"].rstrip("/") + "/"
            if mount["name"] == volume:
                yield from (path.removeprefix(folder) for path in values if path.startswith(folder))


def of_ingresses(objects: list[Object]) -> Keys:
    """Return the Secrets with certificates, which cert-manager may create after the Ingress."""
    ingresses = [item["spec"] for item in objects if item["kind"] == "Ingress"]
    return {tls["secretName"]: TLS for spec in ingresses for tls in spec.get("tls") or []}


def missing(kubectl: Kubectl, needed: Keys, kind: str = "Secret") -> Iterator[str]:
    """Name each Secret that is missing, or lacks keys. One that kubectl may not read is neither."""
    for name, keys in sorted(needed.items()):
        command = [*kubectl.command, "get", kind, name, "--output", NAMES]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        lacking = " and ".join(sorted(keys - {*done.stdout.split()}))
        if "(NotFound)" in done.stderr:
            yield f"the {kind} {name}" + (f" with {lacking}" if lacking else "")
        elif done.returncode == 0 and lacking:
            yield f"{lacking} in the {kind} {name}"
