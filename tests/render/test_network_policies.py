"""The NetworkPolicies of every variant that has them: which connections they allow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from extensions.deployment.chart_values import Server
from tests.render.conftest import Repo
from tests.support.chart import Manifest, Objects, component, labels, manifests, of_kind, pods
from tests.support.network_policies import Connection, Peer, is_allowed
from tests.support.variants import VARIANTS

# The namespace of the Helm release.
OWN = "placement"
KUBE_DNS = Peer("kube-system", {"k8s-app": "kube-dns"})
OPENSHIFT_DNS = Peer("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"})
NODE_LOCAL_DNS = Peer(address="169.254.20.10")
# A host that no answer names, and a pod.
HOST = Peer(address="198.51.100.7")
POD = Peer("other", {"app": "other"})
WITH_ZONES = "--set=zones.configMap=zones"
DENY_ALL = {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}
FORBIDDEN = (
    ("the API server", HOST, 443),
    ("another DNS server", HOST, 53),
    ("a pod next to the DNS server", Peer("kube-system", {"app": "metrics"}), 53),
    ("another port of the DNS server", KUBE_DNS, 9153),
    ("the cloud's metadata", Peer(address="169.254.169.254"), 80),
)

every_policy = pytest.mark.parametrize(
    "repo",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(name))
        for name, answers in VARIANTS.items()
        if answers.get("network_policy")
    ],
    indirect=True,
)


def peer_of(pod: Manifest) -> Peer:
    """The pod as a peer, in the namespace of the Helm release."""
    ports = {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }
    return Peer(OWN, labels(pod), named_ports=ports)


def host_of(server: Server) -> Peer:
    """Where the answers place a server: in a namespace, at an address, or anywhere."""
    if found := re.search(r"\.([^.]+)\.svc\b", server.host):
        return Peer(found[1])
    return Peer(address=server.host) if re.fullmatch(r"[0-9a-f.:]+", server.host) else HOST


def api_of(objects: Objects) -> Peer:
    """A pod of the API."""
    [api] = [pod for pod in pods(objects) if component(pod) == "api"]
    return peer_of(api)


def needed(repo: Repo, pod: Peer) -> Iterator[Connection]:
    """Every connection that each pod needs."""
    for dns, port in ((KUBE_DNS, 53), (OPENSHIFT_DNS, 5353), (NODE_LOCAL_DNS, 53)):
        for protocol in ("UDP", "TCP"):
            yield Connection(pod, dns, port, protocol)
    for server in repo.deployment.egress:
        yield Connection(pod, host_of(server), server.port)


@every_policy
def test_every_pod_connects_to_what_it_needs_and_nothing_else(repo: Repo) -> None:
    objects = manifests(repo.path, WITH_ZONES)
    policies = of_kind("NetworkPolicy", objects)
    for pod in map(peer_of, pods(objects)):
        for connection in (*needed(repo, pod), Connection(pod, api_of(objects), 8778)):
            assert is_allowed(connection, OWN, policies), connection
        for name, host, port in FORBIDDEN:
            assert not is_allowed(Connection(pod, host, port), OWN, policies), name
        for server in repo.deployment.egress:
            elsewhere = Connection(pod, POD, server.port)
            assert is_allowed(elsewhere, OWN, policies) == (host_of(server) == HOST), server


@every_policy
def test_the_first_jobs_connect_before_the_other_policy_exists(repo: Repo) -> None:
    """In a namespace that denies everything by default."""
    objects = manifests(repo.path)
    hooks = [policy for policy in of_kind("NetworkPolicy", objects) if component(policy) != "api"]
    jobs = [pod for pod in pods(objects) if component(pod) in repo.deployment.first_jobs]
    assert len(hooks) == len(jobs) == len(repo.deployment.first_jobs)
    for job in map(peer_of, jobs):
        for connection in needed(repo, job):
            assert not is_allowed(connection, OWN, [DENY_ALL])
            assert is_allowed(connection, OWN, [DENY_ALL, *hooks])


@every_policy
def test_all_clients_connect_to_the_port_of_placement(repo: Repo) -> None:
    objects = manifests(repo.path)
    policies = of_kind("NetworkPolicy", objects)
    for client in (HOST, POD):
        assert is_allowed(Connection(client, api_of(objects), 8778), OWN, policies)
        assert not is_allowed(Connection(client, api_of(objects), 22), OWN, policies)


CLIENTS = {
    "the Ingress controller": (Peer("ingress-nginx", {"app": "controller"}), True),
    "Nova": (Peer("openstack", {"app": "nova-scheduler"}), True),
    "a compute host": (Peer(address="192.0.2.17"), True),
    "monitoring": (
        Peer("monitoring", {"app.kubernetes.io/name": "prometheus-blackbox-exporter"}),
        True,
    ),
    "another pod of monitoring": (Peer("monitoring", {"app": "grafana"}), False),
    "another pod": (POD, False),
    "another pod of the same namespace": (Peer(OWN, {"app": "other"}), False),
    "another host": (HOST, False),
}


@every_policy
def test_only_the_clients_of_the_documented_example_connect(repo: Repo) -> None:
    """The pods of the Jobs, of `helm test` and of `make load` connect as well."""
    page = (repo.path / "docs/security.md").read_text(encoding="utf-8")
    example = page.partition("## Network policy\n")[2].partition("```yaml\n")[2].partition("```")[0]
    clients = yaml.safe_load(example)["networkPolicy"]["ingressFrom"]
    ingress = f"--set-json=networkPolicy.ingressFrom={json.dumps(clients)}"
    objects = manifests(repo.path, ingress, WITH_ZONES)
    policies = of_kind("NetworkPolicy", objects)
    api = api_of(objects)
    for name, (client, is_expected) in CLIENTS.items():
        assert is_allowed(Connection(client, api, 8778), OWN, policies) == is_expected, name
    load = Peer(OWN, {**api.labels, "app.kubernetes.io/component": "load"})
    for client in (load, *map(peer_of, pods(objects))):
        assert is_allowed(Connection(client, api, 8778), OWN, policies)
