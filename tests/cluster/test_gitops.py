"""What Argo CD and Flux do with this repository: from the first sync, and after `make deploy`."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.conftest import SMALL_REQUESTS, NewSite
from tests.support.deployments import cluster_problems
from tests.support.gitops import ArgoCd, Controller, Flux
from tests.support.site import Site, output
from tests.support.template import commit_all

CONTROLLERS: dict[str, Callable[[Site], Controller]] = {"argocd": ArgoCd, "flux": Flux}
# A Job creates the database before another one migrates it.
WITH_POSTGRESQL: dict[str, Any] = {
    "database": "postgresql",
    "database_admin_secret": "database-admin",
    "network_policy": True,
    "ci": "gitlab",
}
# Placement has to be available so many seconds after its Secrets exist.
AVAILABLE_SECONDS = 60
# A value of a ConfigMap and an item of a list, which are later removed.
DEBUG = """\
settings: {OS_DEFAULT__DEBUG: "true"}
extraEnv: [{name: OS_DEFAULT__USE_JSON, value: "true"}]
"""
MARKS = {
    "argocd": ("annotate", "argocd.argoproj.io/tracking-id=x", "Argo CD"),
    "flux": ("label", "helm.toolkit.fluxcd.io/name=x", "Flux"),
}
FIELD_MANAGERS = {"argocd": "argocd-controller", "flux": "helm-controller"}


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_secrets_may_arrive_last(
    controller: str, new_site: NewSite, record_property: Callable[[str, object], None]
) -> None:
    with new_site({**WITH_POSTGRESQL, "gitops": controller}) as site:
        secrets = site.kubectl("get", "secret", "--output=json")
        site.kubectl("delete", "secret", "--all")
        write_pushed_files(site)
        deployer = CONTROLLERS[controller](site)
        with ThreadPoolExecutor() as pool:
            deployed = pool.submit(deployer.deploy)
            while not deployer.failures:
                assert deployed.running(), deployed.result()
                time.sleep(0.1)
            site.kubectl("apply", "--filename=-", stdin=secrets)
            started = time.monotonic()
            for state in ("create", "condition=Available"):
                timeout = f"--timeout={AVAILABLE_SECONDS}s"
                site.kubectl("wait", f"--for={state}", f"deployment/{site.name}", timeout)
            seconds = time.monotonic() - started
            record_property("figures", f"available after {seconds:.0f} s")
            assert seconds < AVAILABLE_SECONDS
            deployed.result()
        assert site.restarts() == 0


def write_pushed_files(site: Site) -> None:
    """Write what the registry's commands would have written into the repository."""
    pinned = 'image: {tag: ""}\nchartDigest: "sha256:0"\n'
    (site.repository / "values.image.yaml").write_text(pinned, encoding="utf-8")
    (site.repository / "cosign.pub").write_text("a public key\n", encoding="utf-8")
    commit_all(site.repository)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_controller_takes_over_from_make_deploy(controller: str, new_site: NewSite) -> None:
    """No pod restarts, and a value that is removed later is removed from the cluster."""
    with new_site({"ci": "gitlab", "gitops": controller}) as site:
        write_pushed_files(site)
        site.set_values(SMALL_REQUESTS + DEBUG)
        site.make("deploy")
        pods = set(site.pods())
        deployer = CONTROLLERS[controller](site)
        deployer.attempt()
        assert set(site.pods()) == pods
        assert cluster_problems(site) == []
        edit_settings(site)
        if isinstance(deployer, Flux):
            # Helm cannot use another name for itself, so this comes after its upgrade.
            output(site.run("sh", "-euc", documented(site, "console", "kubectl replace")))
            deployer.correct_drift()
            assert settings(site)["OS_API__AUTH_STRATEGY"] == "noauth2"
        site.set_values(SMALL_REQUESTS)
        if isinstance(deployer, Flux):
            deployer.apply(render(site))
        else:
            deployer.attempt()
        assert settings(site) == {"OS_API__AUTH_STRATEGY": "noauth2"}
        [container] = site.deployment()["spec"]["template"]["spec"]["containers"]
        assert "OS_DEFAULT__USE_JSON" not in {item["name"] for item in container["env"]}

        command, mark, title = MARKS[controller]
        site.kubectl(command, "deployment", site.name, mark)
        refused = site.try_make("deploy")
        assert refused.returncode != 0
        assert f"{title} deploys deployment/{site.name} from git" in refused.stderr
        if controller == "flux":
            check_environment(site)
            shutil.rmtree(site.repository / "environments/staging")
        check_return(site, controller)


def check_return(site: Site, controller: str) -> None:
    """`make deploy` works again as documented, and manages all that the controller has set."""
    if controller == "argocd":
        output(site.run("sh", "-euc", documented(site, "console", "owner=helm")))
    mark = MARKS[controller][1].partition("=")[0]
    printed = output(site.run("sh", "-euc", documented(site, "console", f"{mark}-")))
    assert f"Helm takes deployment/{site.name} over from {FIELD_MANAGERS[controller]}" in printed
    assert "Removed" not in printed
    [deployment] = site.get("deployments", "--show-managed-fields")["items"]
    managers = {entry["manager"] for entry in deployment["metadata"]["managedFields"]}
    assert FIELD_MANAGERS[controller] not in managers
    assert settings(site) == {"OS_API__AUTH_STRATEGY": "noauth2"}
    assert cluster_problems(site) == []


def documented(site: Site, language: str, part: str) -> str:
    """Return the block in docs/gitops.md that contains this."""
    page = (site.repository / "docs/gitops.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    [block] = (block for block in blocks if part in block)
    return str(block)


def render(site: Site) -> str:
    """Render the objects that are not hooks."""
    values = ("--values=values.yaml", "--values=values.local.yaml")
    return site.helm("template", site.name, "placement-chart", "--no-hooks", *values)


def settings(site: Site) -> dict[str, str]:
    """Return the settings in the ConfigMap."""
    return dict(site.get("configmap", site.name)["data"])


def edit_settings(site: Site) -> None:
    """Change a setting by hand."""
    patch = json.dumps({"data": {"OS_API__AUTH_STRATEGY": "keystone"}})
    site.kubectl("patch", "configmap", site.name, "--patch", patch)
    assert settings(site)["OS_API__AUTH_STRATEGY"] == "keystone"


def check_environment(site: Site) -> None:
    """The documented Kustomization adds the values of the environment as the last ones."""
    folder = site.repository / "environments/staging"
    folder.mkdir(parents=True)
    values = "environment:\n  namespace: staging\n"
    (folder / "values.yaml").write_text(values, encoding="utf-8")
    kustomization = documented(site, "yaml", "resources:")
    (folder / "kustomization.yaml").write_text(kustomization, encoding="utf-8")
    flux = Flux(site, "environments/staging")
    assert flux.data.pop(flux.spec["valuesFrom"][-1]["name"]) == {"values.yaml": values}
    assert flux.data == Flux(site).data
