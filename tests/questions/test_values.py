"""values.yaml: what the answers set in the chart, written as a person would write it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from extensions.deployment import Deployment
from extensions.deployment.chart_values import Section

KEYSTONE = {"auth_strategy": "keystone"}


def values(**answers: Any) -> dict[str, Any]:
    """All values of these answers, without the titles."""
    sections = Deployment(**answers).chart_values
    return {name: value for section in sections for name, value in section.values.items()}


def test_default_answers_set_only_the_image_and_the_auth_strategy() -> None:
    assert values() == {
        "image": {"repository": "localhost/placement", "tag": "2026.2"},
        "settings": {"OS_API__AUTH_STRATEGY": "noauth2"},
    }


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"replicas": 3}, {"replicaCount": 3}),
        ({"replicas": 0}, {"replicaCount": 0}),
        (
            {"scaling": "autoscale", "autoscale_max": 4},
            {
                "autoscaling": {
                    "enabled": True,
                    "minReplicas": 2,
                    "maxReplicas": 4,
                    "targetCPUUtilizationPercentage": 50,
                }
            },
        ),
    ],
)
def test_scaling_is_either_fixed_or_automatic(
    answers: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = values(database="mysql", **answers)
    scaling = {name: found[name] for name in ("replicaCount", "autoscaling") if name in found}
    assert scaling == expected
    assert (found["processes"], found["threads"]) == (2, 4)


def test_a_database_server_is_named_by_its_secret() -> None:
    found = values(database="postgresql", database_secret="db")
    assert found["database"] == {"backend": "postgresql"}
    admin = values(database="postgresql", database_admin_secret="admin")
    assert admin["database"] == {"backend": "postgresql", "adminSecret": "admin"}
    assert admin["secretSettings"].keys() == found["secretSettings"].keys()
    assert found["secretSettings"] == {
        "OS_PLACEMENT_DATABASE__CONNECTION": {"name": "db", "key": "connection"}
    }


def test_an_ingress_has_only_what_the_answers_name() -> None:
    found = values(**KEYSTONE, exposure="ingress")
    assert found["ingress"] == {"enabled": True, "host": "placement.local"}
    found = values(**KEYSTONE, exposure="ingress", ingress_class="traefik", tls_secret="tls")
    assert found["ingress"] == {
        "enabled": True,
        "className": "traefik",
        "host": "placement.local",
        "tlsSecret": "tls",
    }


def test_a_route_names_its_gateway() -> None:
    found = values(exposure="gateway", allow_noauth2_exposure=True, gateway_namespace="edge")
    assert found["httpRoute"] == {
        "enabled": True,
        "host": "placement.local",
        "parentRefs": [{"name": "gateway", "namespace": "edge"}],
    }
    assert found["allowNoauth2Exposure"] is True


def test_a_network_policy_allows_the_servers_and_names_them() -> None:
    deployment = Deployment(database="mysql", network_policy=True, **KEYSTONE)
    section = deployment.chart_values[-1]
    assert section.title == "Network policy: egress to MySQL or MariaDB (3306), Keystone (5000)"
    assert section.values["networkPolicy"]["egress"] == [
        {"ports": [{"port": 3306}]},
        {"ports": [{"port": 5000}], "to": [namespace("openstack")]},
    ]
    assert values(network_policy=True)["networkPolicy"] == {"enabled": True}


def namespace(name: str) -> dict[str, Any]:
    """A namespace in a rule."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


RULES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a Service with the domain of the cluster": (
        {"keystone_auth_url": "https://keystone.identity.svc.cluster.local/v3"},
        [{"ports": [{"port": 443}], "to": [namespace("identity")]}],
    ),
    "an IPv4 address": (
        {"keystone_auth_url": "http://192.0.2.5:5000/v3"},
        [{"ports": [{"port": 5000}], "to": [{"ipBlock": {"cidr": "192.0.2.5/32"}}]}],
    ),
    "an IPv6 address": (
        {"keystone_auth_url": "http://[fd00::5]:5000/v3"},
        [{"ports": [{"port": 5000}], "to": [{"ipBlock": {"cidr": "fd00::5/128"}}]}],
    ),
    "a name outside the cluster, or of a Service without its namespace": (
        {
            "keystone_auth_url": "https://keystone.example.com:5000/v3",
            "keystone_memcached_servers": "memcached:11211",
        },
        [{"ports": [{"port": 5000}]}, {"ports": [{"port": 11211}]}],
    ),
    "servers of memcached by their ports": (
        {
            "keystone_auth_url": "https://keystone.openstack.svc:5000/v3",
            "keystone_memcached_servers": "192.0.2.7:11212,m-0.m.cache.svc:11211,b.cache.svc:11211",
        },
        [
            {"ports": [{"port": 5000}], "to": [namespace("openstack")]},
            {"ports": [{"port": 11211}], "to": [namespace("cache")]},
            {"ports": [{"port": 11212}], "to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]},
        ],
    ),
    "one server of memcached without its namespace": (
        {
            "keystone_auth_url": "https://keystone.openstack.svc:5000/v3",
            "keystone_memcached_servers": "m-0.m.cache.svc:11211,memcached:11211",
        },
        [
            {"ports": [{"port": 5000}], "to": [namespace("openstack")]},
            {"ports": [{"port": 11211}]},
        ],
    ),
    "the public endpoint of Keystone": (
        {
            "keystone_auth_url": "https://keystone.openstack.svc:5000/v3",
            "keystone_public_url": "https://keystone.example.com",
            "keystone_interface": "public",
        },
        [
            {"ports": [{"port": 5000}], "to": [namespace("openstack")]},
            {"ports": [{"port": 443}]},
        ],
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_a_rule_names_the_namespace_or_the_address_of_an_answer(case: str) -> None:
    answers, rules = RULES[case]
    given = {**KEYSTONE, "network_policy": True, **answers}
    assert values(**given)["networkPolicy"]["egress"] == rules


def test_a_section_reads_as_if_written_by_hand() -> None:
    section = Section("Any", {"list": [{"name": "one"}], "url": "http://db:1/x,y", "tag": "2026.2"})
    assert section.yaml == 'list:\n  - name: one\nurl: http://db:1/x,y\ntag: "2026.2"'


@pytest.mark.parametrize(
    "text",
    ["yes", "Null", "1e3", "0o17", "12:30", "", "~", "a: b", "a #b", "a:", "- a", "Zoë", '"', "\\"],
)
def test_a_text_stays_a_text(text: str) -> None:
    """Quoted where a YAML parser could read another type."""
    written = Section("Any", {"value": text}).yaml
    assert written.startswith('value: "')
    assert yaml.safe_load(written) == {"value": text}
