"""The cells of the table in docs/reference/backends.md: a database, an auth strategy, a release."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from tests.support.containers import RELEASES

DATABASES = ("sqlite", "postgresql", "mysql")
# One with a password over HTTP; one with an application credential over TLS and another interface.
AUTH: dict[str, dict[str, Any]] = {
    "noauth2": {},
    "password": {
        "auth_strategy": "keystone",
        "keystone_project_name": "service project",
        "keystone_project_domain_name": "Infra",
        "keystone_user_domain_name": "Infra",
        "keystone_memcached_servers": "memcached.example.com:11211",
    },
    "v3applicationcredential": {
        "auth_strategy": "keystone",
        "keystone_auth_type": "v3applicationcredential",
        "keystone_region": "eu-central-1",
        "keystone_interface": "public",
        "keystone_memcached_servers": "memcached.example.com:11211",
        "keystone_ca_secret": "house-ca",
    },
}


# The release, as an index of RELEASES, that `make test` runs with each database and auth strategy.
# Each release meets two databases and two auth strategies at least. The pairs that are missing here
# are in other tests: tests/stack/gabbits runs older releases on SQLite, and
# tests/stack/release_upgrades runs them on both servers.
ALWAYS_RUN = {
    ("sqlite", "noauth2"): -1,
    ("sqlite", "password"): -3,
    ("sqlite", "v3applicationcredential"): -2,
    ("postgresql", "noauth2"): -4,
    ("postgresql", "password"): -1,
    ("postgresql", "v3applicationcredential"): -3,
    ("mysql", "noauth2"): -2,
    ("mysql", "password"): -4,
    ("mysql", "v3applicationcredential"): -1,
}


@dataclass(frozen=True)
class Cell:
    """A database, an auth strategy and a release that have to work together."""

    database: str
    auth: str
    release: str

    def __str__(self) -> str:
        """Return the name that pytest shows."""
        return f"{self.database}-{self.auth}-{self.release}"

    @property
    def answers(self) -> dict[str, Any]:
        """Return the answers for this cell."""
        return {"database": self.database, "release": self.release, **AUTH[self.auth]}

    @property
    def is_always_run(self) -> bool:
        """Whether `make test` runs it; `make test-all` runs every cell."""
        return self.release == RELEASES[ALWAYS_RUN[self.database, self.auth]]


CELLS = [Cell(*choice) for choice in product(DATABASES, AUTH, RELEASES)]
