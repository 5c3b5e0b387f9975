"""Kubernetes: values for the chart, Secrets, and network connections."""

from __future__ import annotations

from urllib.parse import urlsplit

from .chart_values import Section, Server, sections
from .container import Container
from .image import Image
from .keystone import authtoken_variable
from .scaling import Scaling


class Cluster(Container, Image, Scaling):
    """What the deployment is made of and needs in a cluster."""

    @property
    def exposed(self) -> bool:
        """Whether clients outside the cluster reach Placement, at `host`."""
        return self.exposure != "none"

    @property
    def address(self) -> str:
        """The address for clients; a Gateway's listener decides whether it has TLS."""
        if self.exposure == "gateway":
            return self.host
        return f"{'https' if self.tls_secret else 'http'}://{self.host}"

    @property
    def chart_settings(self) -> dict[str, str]:
        """The settings as values for the chart, which sets the path of a file that it mounts."""
        mounted = authtoken_variable("cafile")
        return {name: value for name, value in self.settings.items() if name != mounted}

    @property
    def chart_values(self) -> list[Section]:
        """The sections of values.yaml, which passes the answers to the chart."""
        return list(sections(self))

    @property
    def first_jobs(self) -> dict[str, int]:
        """The Jobs that run before the pods are replaced, each with the weight of its hook."""
        jobs = {
            "create-database": (-3, self.database_admin_secret),
            "register": (-2, self.keystone_admin_secret),
            "check-keystone": (-1, self.sqlite and self.keystone),
            "db-sync": (-1, not self.sqlite),
        }
        return {name: weight for name, (weight, runs) in jobs.items() if runs}

    @property
    def egress(self) -> list[Server]:
        """The servers that Placement connects to.

        The database has its default port here: only its Secret holds the address.
        """
        database = {
            "postgresql": [Server("PostgreSQL", "", 5432)],
            "mysql": [Server("MySQL or MariaDB", "", 3306)],
        }
        servers = database.get(self.database, [])
        if self.keystone:
            servers.append(server_of(self.keystone_auth_url))
        if self.keystone and self.keystone_interface == "public":
            # The endpoint of the catalog, to which the middleware sends tokens.
            servers.append(server_of(self.keystone_public_url))
        addresses = filter(None, self.keystone_memcached_servers.split(","))
        memcached = [
            Server("memcached", host.strip("[]"), int(port))
            for host, _, port in (address.rpartition(":") for address in addresses)
        ]
        return servers + sorted(memcached, key=lambda server: server.port)

    @property
    def cluster_secrets(self) -> list[str]:
        """Each Secret that the deployment needs, as `name:key,key` or `name:key,key:type`."""
        needed = [(secret, key, "") for secret, key in self.secrets.values()]
        if self.database_admin_secret:
            needed.append((self.database_admin_secret, "connection", ""))
        if self.keystone_ca_secret:
            needed.append((self.keystone_ca_secret, "ca.crt", ""))
        if self.keystone_admin_secret:
            needed.append((self.keystone_admin_secret, "clouds.yaml", ""))
        if self.tls_secret:
            needed += [
                (self.tls_secret, key, ":kubernetes.io/tls") for key in ("tls.crt", "tls.key")
            ]
        if self.image_pull_secret:
            config = (".dockerconfigjson", ":kubernetes.io/dockerconfigjson")
            needed.append((self.image_pull_secret, *config))
        keys: dict[str, list[str]] = {}
        types: dict[str, str] = {}
        for secret, key, kind in needed:
            keys.setdefault(secret, []).append(key)
            types[secret] = types.get(secret) or kind
        return [f"{secret}:{','.join(keys[secret])}{types[secret]}" for secret in keys]


def server_of(url: str) -> Server:
    """Return the server that a client of Keystone's URL connects to."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return Server("Keystone", parts.hostname or "", port)
