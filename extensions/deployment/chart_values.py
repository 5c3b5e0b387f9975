"""The answers as values for the chart: the sections of the rendered values.yaml.

A section holds only what its answers decide. The chart's own values.yaml has defaults for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from .cluster import Cluster

Values = dict[str, Any]


class Server(NamedTuple):
    """A server that Placement connects to. The host is empty where only a Secret holds it."""

    name: str
    host: str
    port: int


class Section(NamedTuple):
    """Values that belong together, under a title."""

    title: str
    values: Values

    @property
    def yaml(self) -> str:
        """The values as a person would write them."""
        text: str = yaml.dump(
            self.values, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True
        )
        return text.rstrip()


def sections(deployment: Cluster) -> Iterator[Section]:
    """List the sections that have values."""
    for title, values in (
        ("Image", _image(deployment)),
        ("Scaling", _scaling(deployment)),
        ("Database", _database(deployment)),
        ("Placement", _placement(deployment)),
        ("Exposure", _exposure(deployment)),
        (_network_policy_title(deployment), _network_policy(deployment)),
    ):
        if values:
            yield Section(title, values)


def _image(deployment: Cluster) -> Values:
    image = {"repository": deployment.image_repository, "tag": deployment.release}
    secret = deployment.image_pull_secret
    return {"image": image} | ({"imagePullSecrets": [{"name": secret}]} if secret else {})


def _scaling(deployment: Cluster) -> Values:
    if deployment.sqlite:
        return {}
    workers = {"processes": deployment.processes, "threads": deployment.threads}
    if not deployment.autoscaled:
        return {"replicaCount": deployment.replicas} | workers
    autoscaling = {
        "enabled": True,
        "minReplicas": deployment.autoscale_min,
        "maxReplicas": deployment.autoscale_max,
        "targetCPUUtilizationPercentage": deployment.autoscale_cpu_percent,
    }
    return {"autoscaling": autoscaling} | workers


def _database(deployment: Cluster) -> Values:
    if deployment.sqlite:
        return {}
    secret = deployment.database_admin_secret
    admin = {"adminSecret": secret} if secret else {}
    return {"database": {"backend": deployment.database} | admin}


def _placement(deployment: Cluster) -> Values:
    secrets = {
        name: {"name": secret, "key": key} for name, (secret, key) in deployment.secrets.items()
    }
    values = {
        "settings": deployment.chart_settings,
        "secretSettings": secrets,
        "keystoneCaSecret": deployment.keystone_ca_secret,
        "keystoneAdminSecret": deployment.keystone_admin_secret,
    }
    return {name: value for name, value in values.items() if value}


def _exposure(deployment: Cluster) -> Values:
    values: Values = {}
    if deployment.exposure == "ingress":
        ingress = {
            "enabled": True,
            "className": deployment.ingress_class,
            "host": deployment.host,
            "tlsSecret": deployment.tls_secret,
        }
        values["ingress"] = {name: value for name, value in ingress.items() if value}
    if deployment.exposure == "gateway":
        gateway = {"name": deployment.gateway_name, "namespace": deployment.gateway_namespace}
        parent = {name: value for name, value in gateway.items() if value}
        values["httpRoute"] = {"enabled": True, "host": deployment.host, "parentRefs": [parent]}
    if deployment.keystone_admin_secret and deployment.exposed and not deployment.tls_secret:
        # As in public_url: a Gateway or an Ingress controller may have a certificate.
        values["endpoints"] = {"public": "http"}
    if deployment.allow_noauth2_exposure:
        values["allowNoauth2Exposure"] = True
    return values


def _network_policy(deployment: Cluster) -> Values:
    if not deployment.network_policy:
        return {}
    rules = [
        {"ports": [{"port": port}]} | _to([server.host for server in servers])
        for (_, port), servers in groupby(
            deployment.egress, lambda server: (server.name, server.port)
        )
    ]
    return {"networkPolicy": {"enabled": True} | ({"egress": rules} if rules else {})}


def _to(hosts: list[str]) -> Values:
    """The hosts of a rule, if all are Services with their namespace or addresses."""
    peers = [_peer(host) for host in dict.fromkeys(hosts)]
    unique = [peer for number, peer in enumerate(peers) if peer not in peers[:number]]
    return {"to": unique} if all(peers) else {}


def _peer(host: str) -> Values:
    if found := re.fullmatch(r".+\.([^.]+)\.svc(\..+)?", host):
        labels = {"kubernetes.io/metadata.name": found[1]}
        return {"namespaceSelector": {"matchLabels": labels}}
    try:
        return {"ipBlock": {"cidr": str(ip_network(host))}}
    except ValueError:
        return {}


def _network_policy_title(deployment: Cluster) -> str:
    servers = dict.fromkeys(f"{server.name} ({server.port})" for server in deployment.egress)
    return "Network policy" + (f": egress to {', '.join(servers)}" if servers else "")


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and quotes what a YAML parser may read as another type."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:
        return True


# PyYAML and the Go parser of Helm do not agree which texts are numbers or booleans.
_PLAIN = re.compile(r"[A-Za-z][\w./@,-]*(:[\w./@,-]+)*", re.ASCII)
_NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent_text)
