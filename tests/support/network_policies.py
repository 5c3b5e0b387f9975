"""Which connections NetworkPolicies allow, as the Kubernetes API defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.support.chart import Manifest

# The label with its name that Kubernetes gives each namespace.
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Peer:
    """A pod, or a host outside the cluster, which has an address instead of a namespace."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    named_ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Connection:
    """A connection from a client to a port of a server."""

    client: Peer
    server: Peer
    port: int
    protocol: str = "TCP"


def is_allowed(connection: Connection, namespace: str, policies: Sequence[Manifest]) -> bool:
    """Return whether the policies of a namespace allow a connection, on both of its sides."""
    return all(
        permits(connection, namespace, policies, side, pod, peer)
        for side, pod, peer in (
            ("Egress", connection.client, connection.server),
            ("Ingress", connection.server, connection.client),
        )
    )


def permits(
    connection: Connection,
    namespace: str,
    policies: Sequence[Manifest],
    side: str,
    pod: Peer,
    peer: Peer,
) -> bool:
    """Return whether no policy selects the pod, or a rule of one that does permits the peer."""
    specs = [
        policy["spec"]
        for policy in policies
        if pod.namespace == namespace
        and side in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], pod.labels)
    ]
    rules = [rule for spec in specs for rule in spec.get(side.lower(), [])]
    return not specs or any(
        has_peer(rule.get("to" if side == "Egress" else "from"), namespace, peer)
        and has_port(rule.get("ports"), connection)
        for rule in rules
    )


def has_peer(peers: list[dict[str, Any]] | None, namespace: str, peer: Peer) -> bool:
    """Return whether a peer is in a list of a rule. Without a list, all are."""
    return not peers or any(is_peer(item, namespace, peer) for item in peers)


def is_peer(item: dict[str, Any], namespace: str, peer: Peer) -> bool:
    """Return whether an item of a rule in a namespace is for a peer."""
    if block := item.get("ipBlock"):
        assert block.keys() == {"cidr"}
        return bool(peer.address) and ip_address(peer.address) in ip_network(block["cidr"])
    own = {"matchLabels": {NAME: namespace}}
    return (
        bool(peer.namespace)
        and selects(item.get("namespaceSelector", own), {NAME: peer.namespace})
        and selects(item.get("podSelector", {}), peer.labels)
    )


def selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a selector selects what has these labels. An empty one selects everything."""
    assert selector.keys() <= {"matchLabels"}
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def has_port(ports: list[dict[str, Any]] | None, connection: Connection) -> bool:
    """Return whether the port is in a list of a rule. Without a list, all are."""
    named = connection.server.named_ports
    return not ports or any(
        named.get(item["port"], item["port"]) == connection.port
        and item.get("protocol", "TCP") == connection.protocol
        for item in ports
    )
