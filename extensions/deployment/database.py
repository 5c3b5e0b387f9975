"""The database."""

from __future__ import annotations

from .answers import Topic

URL_OPTIONS = {
    "postgresql": (
        "host=/database",
        "sslmode=verify-full&sslrootcert=/tls/ca.crt"
        "&sslcert=/tls/client.crt&sslkey=/tls/client.key",
    ),
    "mysql": (
        "unix_socket=/database/mysqld.sock",
        "ssl_ca=/tls/ca.crt&ssl_cert=/tls/client.crt&ssl_key=/tls/client.key",
    ),
}
"""How each driver names a Unix socket in a URL, and the files for TLS."""


class Database(Topic):
    """Values that follow from the kind of database."""

    @property
    def sqlite(self) -> bool:
        """Whether the database is a file that a single process opens."""
        return self.database == "sqlite"

    @property
    def database_title(self) -> str:
        """The database's name as its makers write it."""
        return {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL or MariaDB"}[
            self.database
        ]

    @property
    def database_administrator(self) -> str:
        """The user of an administrator, as the servers name it by default."""
        return {"sqlite": "", "postgresql": "postgres", "mysql": "root"}[self.database]

    @property
    def database_urls(self) -> dict[str, str]:
        """Examples of the database's URL, each with the kind of server that it is for."""
        if self.sqlite:
            return {}
        socket, tls = URL_OPTIONS[self.database]
        url = f"{self.database_driver}://placement:PASSWORD"
        return {
            "a host name": f"{url}@db.example.com/placement",
            "an IPv6 address": f"{url}@[fd00::5]/placement",
            "a Unix socket in a shared volume": f"{url}@/placement?{socket}",
            "a host name, with TLS": f"…?{tls}",
        }

    @property
    def database_driver(self) -> str:
        """The scheme of a database URL, with the driver that the image contains."""
        return {"sqlite": "sqlite", "postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}[
            self.database
        ]
