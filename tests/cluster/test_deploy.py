"""Each kind of deployment, from `make secrets` to the gabbits, by the repository's commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from extensions.deployment import Deployment
from tests.cluster.conftest import GATEWAY, NewSite
from tests.support.servers import PASSWORD
from tests.support.site import Site

BEHIND_THE_GATEWAY = {
    "exposure": "gateway",
    "gateway_name": GATEWAY[0],
    "gateway_namespace": GATEWAY[1],
}
BY_PASSWORD = {
    "auth_strategy": "keystone",
    "keystone_auth_url": "http://keystone:5000/v3",
    "keystone_public_url": "http://keystone:5000",
    "keystone_memcached_servers": "memcached:11211",
}
SITES: dict[str, dict[str, Any]] = {
    "sqlite-noauth2": {},
    "postgresql-autoscale-gateway": {
        "database": "postgresql",
        "scaling": "autoscale",
        "allow_noauth2_exposure": True,
        **BEHIND_THE_GATEWAY,
    },
    "mysql-fixed-networkpolicy": {"database": "mysql", "replicas": 2, "network_policy": True},
    "postgresql-keystone-memcached-ingress": {
        "database": "postgresql",
        "exposure": "ingress",
        "replicas": 2,
        **BY_PASSWORD,
    },
}


@pytest.mark.parametrize("name", SITES)
def test_it_is_deployed_and_passes_its_tests(new_site: NewSite, name: str, gateway: str) -> None:
    answers = SITES[name]
    with new_site(answers) as site:
        if "auth_strategy" in answers:
            register(site)
        e2e(site, gateway if "exposure" in answers else "")
        before = set(site.pods())
        site.make("deploy")
        # An autoscaler may have added some since.
        assert before <= set(site.pods())
        assert site.restarts() == 0
        assert missing_secrets(site) == []
        site.kubectl("delete", "secret", "--all")
        assert len(missing_secrets(site)) == len(Deployment(**answers).cluster_secrets)


def missing_secrets(site: Site) -> list[str]:
    """Ask `make doctor` which Secrets are missing in the cluster."""
    done = site.try_make("doctor", "ARGS=--json --cluster")
    found = json.loads(done.stdout)["findings"]
    return [it["problem"] for it in found if it["check"] == "cluster"]


def e2e(site: Site, gateway: str) -> None:
    """Run `make e2e`: through a port-forward, or by the name that it is published under."""
    by_name = [f"URL=http://{site.host}"] if gateway else []
    # The name is in no DNS: the Gateway takes the request as a proxy would.
    done = site.try_make("e2e", *by_name, env={"http_proxy": gateway} if gateway else {})
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert "token and database: accepted" in done.stdout
    files = list((site.repository / "gabbits").glob("*.yaml"))
    assert (done.stdout + done.stderr).count("\nOK\n") == len(files)


def register(site: Site) -> None:
    """Make Placement known to the Keystone there, as `make up` does to the one beside it."""
    env = {
        "KEYSTONE_ADMIN_PASSWORD": PASSWORD,
        "KEYSTONE_PLACEMENT_PASSWORD": PASSWORD,
    }
    lines = "".join(f"{name}={value}\n" for name, value in env.items())
    (site.repository / ".env").write_text(lines, encoding="utf-8")
    site.make("dev/stack/.venv/bin")
    command = ["dev/cluster/port-forward.sh", site.name, "server=keystone"]
    shell = f'dev/stack/.venv/bin/python dev/stack/keystone/register_keystone.py "$URL/v3" http://{site.name}:8778'
    done = site.run(*command, "sh", "-euc", shell)
    assert done.returncode == 0, done.stdout + done.stderr
