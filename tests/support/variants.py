"""What is rendered in this tier: every valid file of answers, and all pairs of choices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allpairspy.allpairs import AllPairs

from extensions.deployment import find_errors
from extensions.releases import RELEASES
from tests.support.template import VALID, load

CHOICES: dict[str, list[Any]] = {
    "database": ["sqlite", "postgresql", "mysql"],
    "scaling": ["fixed", "autoscale"],
    "auth_strategy": ["noauth2", "keystone"],
    "allow_noauth2_exposure": [True, False],
    "exposure": ["none", "ingress", "gateway"],
    "keystone_auth_type": ["password", "v3applicationcredential"],
    "keystone_interface": ["internal", "public", "admin"],
    "keystone_memcached_servers": ["", "memcached:11211"],
    "keystone_ca_secret": ["", "house-ca"],
    "keystone_admin_secret": ["", "keystone-admin"],
    "ingress_class": ["", "traefik"],
    "tls_secret": ["", "placement-tls"],
    "gateway_namespace": ["", "gateways"],
    "image_pull_secret": ["", "registry-credentials"],
    "network_policy": [False, True],
    "release": list(RELEASES),
    "ci": ["github", "gitlab", "none"],
    "gitops": ["none", "argocd", "flux"],
}


def _fits(row: list[Any]) -> bool:
    """Leave out what the questionnaire refuses, already when a row has only begun."""
    return not find_errors(dict(zip(CHOICES, row, strict=False)))


def _named() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in VALID:
        yield file.stem, load(file)
    for number, row in enumerate(AllPairs(list(CHOICES.values()), filter_func=_fits)):
        yield f"pairwise-{number}", dict(zip(CHOICES, row, strict=True))


VARIANTS = dict(_named())

every_variant = pytest.mark.parametrize(
    "repo",
    [
        pytest.param(
            name, marks=pytest.mark.xdist_group(name)
        )  # workers do not wait for one render
        for name in VARIANTS
    ],
    indirect=True,
)
