"""The container's environment: settings, and secrets."""

from __future__ import annotations

from .database import Database
from .keystone import Keystone, authtoken_variable


class Container(Database, Keystone):
    """The environment variables that follow from the answers."""

    @property
    def settings(self) -> dict[str, str]:
        """The container's environment variables, without secrets.

        oslo.config reads `$$` as `$`. No other setting than a name in Keystone can contain one.
        """
        settings: dict[str, str] = {"OS_API__AUTH_STRATEGY": self.auth_strategy}
        if self.keystone:
            for option, value in self.keystone_options().items():
                settings[authtoken_variable(option)] = value.replace("$", "$$")
        return settings

    @property
    def secrets(self) -> dict[str, tuple[str, str]]:
        """The container's secret variables, each with the Secret that holds it and the key."""
        secrets = {}
        if not self.sqlite:
            secrets["OS_PLACEMENT_DATABASE__CONNECTION"] = (self.database_secret, "connection")
        if self.keystone:
            for option, key in self.keystone_secret_options().items():
                secrets[authtoken_variable(option)] = (self.keystone_secret, key)
        return secrets
