"""The cells of the table in docs/reference/backends.md: a database, an auth strategy, a release."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from tests.support.containers import NEWEST, RELEASES

DATABASES = ("sqlite", "postgresql", "mysql")
# With a password over plain HTTP; with an application credential over TLS, by another interface.
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


@dataclass(frozen=True)
class Cell:
    """One deployment that has to work."""

    database: str
    auth: str
    release: str

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return f"{self.database}-{self.auth}-{self.release}"

    @property
    def answers(self) -> dict[str, Any]:
        """Return what one answers to get it."""
        return {"database": self.database, "release": self.release, **AUTH[self.auth]}

    @property
    def is_always_run(self) -> bool:
        """Tell whether `make test` runs it; `make test-all` runs the rest as well."""
        return self.release == NEWEST or (self.auth == "noauth2" and self.database != "mysql")


CELLS = [Cell(*it) for it in product(DATABASES, AUTH, RELEASES)]
