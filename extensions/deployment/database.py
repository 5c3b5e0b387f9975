"""The database."""

from __future__ import annotations

from .answers import Topic


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
    def database_driver(self) -> str:
        """The scheme of a database URL, with the driver that the image contains."""
        return {"sqlite": "sqlite", "postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}[
            self.database
        ]
