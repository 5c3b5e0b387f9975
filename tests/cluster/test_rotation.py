"""Each secret by itself, with each way to restart the pods, under load: no request fails."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.conftest import SMALL_REQUESTS, NewSite
from tests.support.rotation import (
    ADMIN,
    Secrets,
    keystone,
    log_in,
    new_password,
    wait_for_the_end,
)
from tests.support.servers import PASSWORD
from tests.support.site import (
    WITH_KEYSTONE,
    Site,
    figures,
    no_request_fails,
)

pytestmark = pytest.mark.only_all

ANSWERS: dict[str, Any] = {
    "database": "postgresql",
    "replicas": 2,
    "exposure": "ingress",
    **WITH_KEYSTONE,
}
# Placement validates each token again after ten seconds.
VALUES = f"{SMALL_REQUESTS}settings:\n  OS_KEYSTONE_AUTHTOKEN__TOKEN_CACHE_TIME: '10'\n"
AUTH_TYPES = [
    pytest.param(name, marks=pytest.mark.xdist_group(f"rotation-{name}"))
    for name in ("password", "v3applicationcredential")
]


@pytest.fixture(scope="module", params=AUTH_TYPES)
def secrets(request: pytest.FixtureRequest, new_site: NewSite) -> Iterator[Secrets]:
    """Deploy with each kind of login for Keystone."""
    with new_site({**ANSWERS, "keystone_auth_type": request.param}) as site:
        site.set_values(VALUES)
        with keystone(site) as url:
            secrets = Secrets(site, ANSWERS["database"], url)
            if request.param != "password":
                secrets.create_user("placement", password=PASSWORD)
                secrets.application_credential()
            site.make("deploy")
            yield secrets


def deploy(site: Site) -> None:
    """Restart the pods as the page describes."""
    site.make("deploy")


def apply(site: Site) -> None:
    """Change an annotation of the pods, and apply the manifests as Argo CD does."""
    values = ("--values=values.yaml", "--values=values.local.yaml", "--no-hooks")
    changed = f"--set-string=podAnnotations.rotated={new_password()}"
    manifests = site.helm("template", site.name, "placement-chart", *values, changed)
    command = ("apply", "--server-side", "--force-conflicts", "--filename=-")
    site.kubectl(*command, stdin=manifests)


def restart(site: Site) -> None:
    """Restart the pods as Reloader does, by an annotation."""
    site.kubectl("rollout", "restart", f"deployment/{site.name}")


@pytest.mark.parametrize("way", [deploy, apply, restart])
@pytest.mark.parametrize("secret", ["database", "keystone", "memcache_key"])
def test_no_request_fails(
    secret: str,
    way: Callable[[Site], None],
    secrets: Secrets,
    gateway: str,
    record_property: Callable[[str, object], None],
) -> None:
    site, before = secrets.site, set(secrets.site.pods())
    rotate = getattr(secrets, secret)
    with no_request_fails(gateway, site.host, log_in(secrets.url, ADMIN).token) as loads:
        end = rotate()
        started = time.monotonic()
        way(site)
        site.wait_for_pods(2)
        wait_for_the_end(site, before)
        took = time.monotonic() - started
        end()
    assert not before & set(site.pods())
    assert site.restarts() == 0
    record_property("figures", f"replaced in {took:.0f} s, {figures(loads)}")


@pytest.mark.parametrize("secrets", AUTH_TYPES[1:], indirect=True)
def test_no_request_fails_while_a_job_rotates_the_credential(
    secrets: Secrets, gateway: str, record_property: Callable[[str, object], None]
) -> None:
    """By the commands of the page, with the right to change this Secret alone."""
    site = secrets.site
    secrets.prepare_job(VALUES)
    first = site.get("secret", "placement-keystone")["data"]
    before, started = set(site.pods()), time.monotonic()
    with no_request_fails(gateway, site.host, log_in(secrets.url, ADMIN).token) as loads:
        secrets.run_job()
        site.make("deploy")
        site.wait_for_pods(2)
        wait_for_the_end(site, before)
    assert not before & set(site.pods())
    second = site.get("secret", "placement-keystone")["data"]
    assert {key for key in second if second[key] != first[key]} == {"id", "secret"}
    # The first one stays, and only the new one expires.
    found = {each["id"]: each["expires_at"] for each in secrets.owned_credentials()}
    old, new = (b64decode(data["id"]).decode() for data in (first, second))
    assert (found[old], bool(found[new])) == (None, True)
    account = f"system:serviceaccount:{site.name}:{site.name}-rotate-credential"
    assert allowed(site, account) == {"patch secret/placement-keystone"}
    took = time.monotonic() - started
    record_property("figures", f"replaced in {took:.0f} s, {figures(loads)}")


def allowed(site: Site, account: str) -> set[str]:
    """Return what an account may do with these objects, other than what every account may."""
    kinds = ("secret/placement-keystone", "secret/placement-owner", f"deployment/{site.name}")
    return {
        f"{verb} {kind}"
        for verb in ("get", "list", "patch", "update", "delete")
        for kind in kinds
        if site.run(
            "kubectl", "--namespace", site.name, "auth", "can-i", verb, kind, "--as", account
        ).stdout.strip()
        == "yes"
    }
