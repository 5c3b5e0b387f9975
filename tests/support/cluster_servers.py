"""PostgreSQL, MariaDB, memcached and Keystone in the cluster, from dev/stack/servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.servers import PASSWORD


@dataclass(frozen=True)
class InCluster:
    """A server: the port of its Service, its environment and its arguments."""

    port: int
    env: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()

    def manifests(self, name: str, image: str) -> dict[str, Any]:
        """Return its Deployment and Service, which conform to the "restricted" standard."""
        labels = {"server": name}
        container = {
            "name": name,
            "image": image,
            "imagePullPolicy": "Never",
            "args": list(self.arguments),
            "env": [{"name": key, "value": value} for key, value in self.env],
            "readinessProbe": {"tcpSocket": {"port": self.port}, "periodSeconds": 1},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        pod = {
            "containers": [container],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 1,
        }
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": self.port}]},
        }
        return {"apiVersion": "v1", "kind": "List", "items": [deployment, service]}


SERVERS = {
    "postgresql": InCluster(5432, (("DATABASE_ADMIN_PASSWORD", PASSWORD),), ("-c", "fsync=off")),
    "mariadb": InCluster(3306, (("DATABASE_ADMIN_PASSWORD", PASSWORD),)),
    "memcached": InCluster(11211),
    "registry": InCluster(5000),
    "keystone": InCluster(
        5000, (("KEYSTONE_ADMIN_PASSWORD", PASSWORD), ("KEYSTONE_REGION", "RegionOne"))
    ),
}
# The client of each database server, for its administrator.
CLIENTS = {
    "postgresql": ("psql", "--quiet", "--command"),
    # Over TCP: only root on the server's own host may log in without a password.
    "mariadb": (
        "mariadb",
        "--host=127.0.0.1",
        "--user=root",
        f"--password={PASSWORD}",
        "--execute",
    ),
}
ADMIN_URLS = {
    "postgresql": f"postgresql+psycopg2://postgres:{PASSWORD}@postgresql/",
    "mysql": f"mysql+pymysql://root:{PASSWORD}@mariadb/",
}
URLS = {
    "postgresql": f"postgresql+psycopg2://placement:{PASSWORD}@postgresql/placement",
    "mysql": f"mysql+pymysql://placement:{PASSWORD}@mariadb/placement",
}
