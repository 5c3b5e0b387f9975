"""A deployment with SQLite and one with MySQL, from `make secrets` to `make doctor`.

test_autoscale.py and test_faults.py do the same with the Gateway and with Keystone.
"""

from __future__ import annotations

from typing import Any

import pytest

from extensions.deployment import Deployment
from tests.cluster.conftest import NewSite
from tests.support.deployments import check_deployment, check_missing_secrets

SITES: dict[str, dict[str, Any]] = {
    "sqlite-noauth2": {},
    "mysql-fixed-networkpolicy": {"database": "mysql", "replicas": 2, "network_policy": True},
}


@pytest.mark.parametrize("name", SITES)
def test_a_deployment_passes_its_tests(new_site: NewSite, name: str) -> None:
    answers = SITES[name]
    with new_site(answers) as site:
        check_deployment(site)
        check_missing_secrets(site, len(Deployment(**answers).cluster_secrets))
