"""Each secret by itself, with each way to restart the pods, under load: no request fails."""

from __future__ import annotations

import time
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
