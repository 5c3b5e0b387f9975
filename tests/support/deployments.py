"""What holds for each kind of deployment in the cluster, from `make e2e` to missing Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.site import Site
from tests.support.template import load


def check_deployment(site: Site, gateway: str = "") -> None:
    """Deploy and test, then deploy again, which must change nothing."""
    run_e2e(site, gateway)
    before = site.revisions()
    pods = set(site.pods())
    site.make("deploy")
    assert site.revisions() == before
    # An autoscaler may have added pods.
    assert pods <= set(site.pods())
    assert site.restarts() == 0
    answers, own = site.answered_values(), load(site.repository / "values.local.yaml")
    assert site.installed_values() == {**answers, **own}


def run_e2e(site: Site, gateway: str = "", arguments: tuple[str, ...] = ()) -> None:
    """Run `make e2e` through a port-forward, or with the host name of the deployment.

    No DNS server knows the host name, so the client uses the Gateway as its proxy.
    """
    if gateway:
        arguments = (*arguments, f"URL=http://{site.host}")
    done = site.try_make("e2e", *arguments, env={"http_proxy": gateway} if gateway else {})
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert "token and database: accepted" in done.stdout
    files = list((site.repository / "gabbits").glob("*.yaml"))
    assert (done.stdout + done.stderr).count("\nOK\n") == len(files)


def check_missing_secrets(site: Site, number: int) -> None:
    """Delete the Secrets: `make doctor` finds none missing before, and all of them after."""
    assert cluster_problems(site) == []
    site.kubectl("delete", "secret", "--all")
    assert len(cluster_problems(site)) == number


def cluster_problems(site: Site) -> list[str]:
    """Return the problems that `make doctor` finds in the cluster."""
    done = site.try_make("doctor", "ARGS=--json --cluster")
    found = json.loads(done.stdout)["findings"]
    return [finding["problem"] for finding in found if finding["check"] == "cluster"]


@contextmanager
def changed_secret(site: Site, name: str, key: str, value: str) -> Iterator[None]:
    """Change a key of a Secret for a while."""
    before = site.get("secret", name)["data"][key]

    def change(encoded: str) -> None:
        patch = json.dumps({"data": {key: encoded}})
        site.kubectl("patch", "secret", name, "--patch", patch)

    change(base64.b64encode(value.encode()).decode())
    try:
        yield
    finally:
        change(before)
