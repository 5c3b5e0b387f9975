"""When a question is asked. copier.yml and the page of questions read it from here."""

from __future__ import annotations

from collections.abc import Mapping

Condition = Mapping[str, tuple[str, ...]]
"""For each earlier question, the answers with which the later one is asked. All must match."""

SERVER: Condition = {"database": ("postgresql", "mysql")}
FIXED: Condition = {**SERVER, "scaling": ("fixed",)}
AUTOSCALED: Condition = {**SERVER, "scaling": ("autoscale",)}
NOAUTH2: Condition = {"auth_strategy": ("noauth2",)}
KEYSTONE: Condition = {"auth_strategy": ("keystone",)}
PASSWORD: Condition = {**KEYSTONE, "keystone_auth_type": ("password",)}
INGRESS: Condition = {"exposure": ("ingress",)}
GATEWAY: Condition = {"exposure": ("gateway",)}
EXPOSED: Condition = {"exposure": ("ingress", "gateway")}

ASKED_WHEN: Mapping[str, Condition] = {
    "database_secret": SERVER,
    "database_admin_secret": SERVER,
    "keystone_auth_url": KEYSTONE,
    "keystone_public_url": KEYSTONE,
    "keystone_auth_type": KEYSTONE,
    "keystone_secret": KEYSTONE,
    "keystone_admin_secret": KEYSTONE,
    "keystone_project_name": PASSWORD,
    "keystone_project_domain_name": PASSWORD,
    "keystone_user_domain_name": PASSWORD,
    "keystone_region": KEYSTONE,
    "keystone_interface": KEYSTONE,
    "keystone_memcached_servers": KEYSTONE,
    "keystone_ca_secret": KEYSTONE,
    "scaling": SERVER,
    "replicas": FIXED,
    "autoscale_min": AUTOSCALED,
    "autoscale_max": AUTOSCALED,
    "autoscale_cpu_percent": AUTOSCALED,
    "allow_noauth2_exposure": NOAUTH2,
    "host": EXPOSED,
    "ingress_class": INGRESS,
    "gateway_name": GATEWAY,
    "gateway_namespace": GATEWAY,
    "tls_secret": INGRESS,
}
"""In reading order. A question without an entry is always asked."""


def is_asked(name: str, answers: Mapping[str, object]) -> bool:
    """Return whether this question is asked after these answers to the earlier ones."""
    condition = ASKED_WHEN.get(name, {})
    return all(answers[question] in accepted for question, accepted in condition.items())
