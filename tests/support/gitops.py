"""What Argo CD and Flux do with the objects in gitops/, by the commands of kubectl and Helm.

Argo CD: gitops-engine/pkg/sync in its repository. Flux: docs/spec/v2 of helm-controller.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.support.chart import Manifest, Objects, of_kind, parse
from tests.support.site import Site
from tests.support.template import load

PHASES = ("PreSync", "Sync", "PostSync")
# What Argo CD makes of Helm's hooks. It skips objects that have only other ones.
HELM_HOOKS = {
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}
# A limit for the health of an object, and for the number of attempts.
SECONDS = 180
ATTEMPTS = 20


class FailedError(Exception):
    """A failed attempt, which the controller repeats."""


class Controller(ABC):
    """The controller of a site."""

    pause: int
    """Seconds between two attempts."""
    failures = 0

    def deploy(self) -> None:
        """Deploy the repository. Repeat it until it succeeds."""
        while self.failures < ATTEMPTS:
            try:
                self.attempt()
            except FailedError:
                self.failures += 1
                time.sleep(self.pause)
            else:
                return
        raise AssertionError

    @abstractmethod
    def attempt(self) -> None:
        """Deploy the repository once."""


# ---- Argo CD ----


class ArgoCd(Controller):
    """The controller of the Application."""

    def __init__(self, site: Site) -> None:
        """Read the Application."""
        self.site = site
        self.spec = load(site.repository / "gitops/argocd/application.yaml")["spec"]
        retry = self.spec["syncPolicy"]["retry"]
        assert retry["limit"] == -1
        assert retry["backoff"]["factor"] == 1
        self.pause = int(retry["backoff"]["duration"].removesuffix("s"))

    def attempt(self) -> None:
        """Sync: apply the objects of each phase and wave when those before them are healthy."""
        steps = [
            ((PHASES.index(phase), wave(manifest)), manifest)
            for manifest in self.render()
            for phase in phases(manifest)
        ]
        for _, step in groupby(sorted(steps, key=itemgetter(0)), itemgetter(0)):
            manifests = [manifest for _, manifest in step]
            hooks = [manifest for manifest in manifests if is_hook(manifest)]
            if hooks:
                self.kubectl(hooks, "delete", "--ignore-not-found")
            self.kubectl(manifests, "apply", "--field-manager=argocd-controller")
            self.wait(manifests)

    def render(self) -> Objects:
        """Render the chart with the values in the Application."""
        source = self.spec["source"]
        helm = source["helm"]
        files = [self.site.repository / source["path"] / name for name in helm["valueFiles"]]
        values = [f"--values={file}" for file in files if file.exists()]
        own = [
            f"--set-json={name}={json.dumps(value)}"
            for name, value in helm.get("valuesObject", {}).items()
        ]
        command = ("template", helm["releaseName"], source["path"])
        return parse(self.site.helm(*command, *values, *own))

    def kubectl(self, manifests: Objects, *command: str) -> None:
        """Apply or delete objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.site.kubectl(*command, "--filename=-", stdin=json.dumps(items))

    def wait(self, manifests: Objects) -> None:
        """Wait until the objects are healthy."""
        for deployment in of_kind("Deployment", manifests):
            name = f"deployment/{deployment['metadata']['name']}"
            self.site.kubectl("rollout", "status", name, f"--timeout={SECONDS}s")
        for job in of_kind("Job", manifests):
            self.wait_for_job(job["metadata"]["name"])

    def wait_for_job(self, name: str) -> None:
        """Wait until a Job has succeeded."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            conditions = self.site.get("job", name)["status"].get("conditions", [])
            found = {item["type"] for item in conditions if item["status"] == "True"}
            if "Failed" in found:
                raise FailedError(name)
            if "Complete" in found:
                return
            time.sleep(1)
        raise AssertionError


def phases(manifest: Manifest) -> set[str]:
    """Return the phases in which Argo CD applies an object."""
    annotations = manifest["metadata"].get("annotations", {})
    if hook := annotations.get("argocd.argoproj.io/hook"):
        return {hook}
    if hook := annotations.get("helm.sh/hook"):
        return {HELM_HOOKS[name] for name in hook.split(",") if name in HELM_HOOKS}
    return {"Sync"}


def wave(manifest: Manifest) -> int:
    """Return the wave of an object in its phase."""
    annotations = manifest["metadata"].get("annotations", {})
    weight = annotations.get("helm.sh/hook-weight", "0")
    return int(annotations.get("argocd.argoproj.io/sync-wave", weight))


def is_hook(manifest: Manifest) -> bool:
    """Whether Argo CD recreates the object in each sync."""
    annotations = manifest["metadata"].get("annotations", {})
    return not {"argocd.argoproj.io/hook", "helm.sh/hook"}.isdisjoint(annotations)


# ---- Flux ----


class Flux(Controller):
    """The controllers of the Kustomization and the HelmRelease.

    They get the chart from the repository instead of the registry, so nothing verifies it.
    """

    def __init__(self, site: Site, path: str = "gitops/flux") -> None:
        """Build the Kustomization in a folder."""
        self.site = site
        build = ("kustomize", "--load-restrictor=LoadRestrictionsNone", path)
        objects = parse(site.kubectl(*build))
        [release] = of_kind("HelmRelease", objects)
        self.spec: dict[str, Any] = release["spec"]
        self.data = {
            item["metadata"]["name"]: item["data"] for item in of_kind("ConfigMap", objects)
        }
        strategies = [self.spec[action]["strategy"] for action in ("install", "upgrade")]
        assert {strategy["name"] for strategy in strategies} == {"RetryOnFailure"}
        self.pause = max(
            int(strategy["retryInterval"].removesuffix("s")) for strategy in strategies
        )

    def attempt(self) -> None:
        """Install or upgrade the Helm release."""
        values = []
        for number, source in enumerate(self.spec["valuesFrom"]):
            if source["name"] in self.data:
                file = self.site.repository / f".values-{number}"
                file.write_text(self.data[source["name"]][source["valuesKey"]], encoding="utf-8")
                values.append(f"--values={file}")
            else:
                assert source["optional"]
        helm = ("helm", "--namespace", self.site.name, "upgrade", self.site.name)
        flags = ("--install", "--wait", "--wait-for-jobs", "--force-conflicts")
        done = self.site.run(*helm, "placement-chart", *values, *flags)
        if done.returncode:
            raise FailedError(done.stderr)

    def correct_drift(self) -> None:
        """Apply the manifests of the Helm release."""
        self.apply(self.site.helm("get", "manifest", self.site.name))

    def apply(self, manifests: str) -> None:
        """Apply manifests, as the field manager that helm-controller is."""
        flags = ("--server-side", "--force-conflicts", "--field-manager=helm-controller")
        self.site.kubectl("apply", *flags, "--filename=-", stdin=manifests)
