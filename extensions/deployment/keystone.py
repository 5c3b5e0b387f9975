"""Authentication: Keystone, or nothing."""

from __future__ import annotations

from .answers import Topic


class Keystone(Topic):
    """Values that follow from how requests are authenticated."""

    @property
    def keystone(self) -> bool:
        """Whether Keystone authenticates requests."""
        return self.auth_strategy == "keystone"

    @property
    def auth_title(self) -> str:
        """How requests are authenticated, in words."""
        if not self.keystone:
            return "noauth2; every client that reaches Placement is admin"
        login = {"password": "a password", "v3applicationcredential": "an application credential"}
        return f"Keystone; Placement logs in with {login[self.keystone_auth_type]}"

    @property
    def keystone_ca_file(self) -> str:
        """The path in the container of the CA certificate that signed Keystone's."""
        return "/etc/placement/keystone-ca/ca.crt"

    def keystone_options(self) -> dict[str, str]:
        """Return the options of [keystone_authtoken] that are not secret.

        Service tokens are required explicitly because keystonemiddleware requires them by default
        only since 13.0.0 (its release note), and 2026.1 has 12.0.0.
        """
        options: dict[str, str] = {
            "auth_type": self.keystone_auth_type,
            "auth_url": self.keystone_auth_url,
            "www_authenticate_uri": self.keystone_public_url,
            "region_name": self.keystone_region,
            "interface": self.keystone_interface,
            "service_type": "placement",
            "service_token_roles_required": "True",
            # Without a timeout, a Keystone that accepts a connection and never answers blocks each
            # request for ever.
            "http_connect_timeout": "5",
        }
        if self.keystone_auth_type == "password":
            options["project_name"] = self.keystone_project_name
            options["project_domain_name"] = self.keystone_project_domain_name
            options["user_domain_name"] = self.keystone_user_domain_name
        if self.keystone_memcached_servers:
            options["memcached_servers"] = self.keystone_memcached_servers
            options["memcache_security_strategy"] = "ENCRYPT"
            # The default is 300: five minutes in which each request validates its token again.
            options["memcache_pool_dead_retry"] = "15"
        if self.keystone_ca_secret:
            options["cafile"] = self.keystone_ca_file
        return options

    @property
    def keystone_secret_keys(self) -> list[str]:
        """The keys of the Secret that `keystone_secret` names."""
        return list(self.keystone_secret_options().values())

    def keystone_secret_options(self) -> dict[str, str]:
        """Return the secret options of [keystone_authtoken], each with its key in the Secret."""
        keys = (
            {"username": "username", "password": "password"}
            if self.keystone_auth_type == "password"
            else {"application_credential_id": "id", "application_credential_secret": "secret"}
        )
        if self.keystone_memcached_servers:
            keys["memcache_secret_key"] = "memcache_secret_key"
        return keys


def authtoken_variable(option: str) -> str:
    """Return the container's variable for an option of [keystone_authtoken]."""
    return f"OS_KEYSTONE_AUTHTOKEN__{option.upper()}"
