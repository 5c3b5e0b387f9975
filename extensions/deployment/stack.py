"""The development stack: what `make up` runs alongside Placement on one host."""

from __future__ import annotations

from .container import Container
from .keystone import authtoken_variable


class Stack(Container):
    """The servers of the development stack, their passwords, and the container's environment."""

    @property
    def dev_services(self) -> list[str]:
        """The servers that Placement needs; each has a folder in dev/stack/servers."""
        servers = {
            "postgresql": self.database == "postgresql",
            "mariadb": self.database == "mysql",
            "memcached": bool(self.keystone_memcached_servers),
            "keystone": self.keystone,
        }
        return [name for name, needed in servers.items() if needed]

    @property
    def dev_secrets(self) -> list[str]:
        """The names of the passwords, each generated once on the host itself."""
        names = {
            "DATABASE_ADMIN_PASSWORD": not self.sqlite,
            "DATABASE_PASSWORD": not self.sqlite,
            "KEYSTONE_ADMIN_PASSWORD": self.keystone,
            "KEYSTONE_PLACEMENT_PASSWORD": self.keystone,
            "KEYSTONE_CREDENTIAL_SECRET": self.dev_has_credential,
            "MEMCACHE_SECRET_KEY": bool(self.keystone_memcached_servers),
        }
        return [name for name, needed in names.items() if needed]

    @property
    def dev_settings(self) -> dict[str, str]:
        """The container's settings, with the addresses of the stack's own servers.

        Compose reads `$$` as `$`.
        """
        local = {
            "auth_url": f"{self.dev_keystone_scheme}://keystone:5000/v3",
            "www_authenticate_uri": self.dev_keystone_url,
            "memcached_servers": "memcached:11211",
        }
        moved = {authtoken_variable(option): value for option, value in local.items()}
        settings = {
            name: moved.get(name, value.replace("$", "$$")) for name, value in self.settings.items()
        }
        if self.dev_has_credential:
            # The name is known before Keystone generates the id.
            owner = {"application_credential_name": "placement", "username": "placement"}
            owner["user_domain_name"] = self.keystone_user_domain_name
            settings |= {authtoken_variable(option): value for option, value in owner.items()}
        return settings

    @property
    def dev_has_credential(self) -> bool:
        """Whether Placement logs in with an application credential."""
        return self.keystone and self.keystone_auth_type == "v3applicationcredential"

    @property
    def dev_keystone_region(self) -> str:
        """The region of the stack's Keystone, as compose reads it."""
        return self.keystone_region.replace("$", "$$")

    @property
    def dev_secret_settings(self) -> dict[str, str]:
        """The container's secret settings, as compose fills them in."""
        options = {
            "username": "placement",
            "password": "${KEYSTONE_PLACEMENT_PASSWORD:-}",
            "application_credential_secret": "${KEYSTONE_CREDENTIAL_SECRET:-}",
            "memcache_secret_key": "${MEMCACHE_SECRET_KEY:-}",
        }
        values = {authtoken_variable(option): value for option, value in options.items()}
        values["OS_PLACEMENT_DATABASE__CONNECTION"] = self.dev_url(
            "placement", "DATABASE_PASSWORD", "placement"
        )
        return {name: values[name] for name in self.secrets if name in values}

    def dev_url(self, user: str, password: str, database: str = "") -> str:
        """Return the URL of the stack's database server for a user, as compose fills it in."""
        server = {"postgresql": "postgresql", "mysql": "mariadb"}.get(self.database)
        return f"{self.database_driver}://{user}:${{{password}:-}}@{server}/{database}"

    @property
    def dev_commands(self) -> list[str]:
        """The commands that `make up` runs before it starts Placement."""
        return [] if self.sqlite else ["create-database"]

    @property
    def create_database_environment(self) -> dict[str, str]:
        """The environment of the command create-database, as compose fills it in."""
        return {
            "DATABASE_ADMIN_CONNECTION": self.dev_url(
                self.database_administrator, "DATABASE_ADMIN_PASSWORD"
            ),
            "OS_PLACEMENT_DATABASE__CONNECTION": self.dev_secret_settings[
                "OS_PLACEMENT_DATABASE__CONNECTION"
            ],
        }

    @property
    def dev_environment(self) -> dict[str, str]:
        """The container's environment, as compose.yaml holds it."""
        return {**self.dev_settings, **self.dev_secret_settings}

    @property
    def dev_mounts(self) -> list[str]:
        """The volumes that the container mounts, each with its path."""
        mounts = ["data:/var/lib/placement"]
        if self.keystone_ca_secret:
            mounts.append(f"keystone-ca:{self.keystone_ca_file.removesuffix('/ca.crt')}:ro")
        return mounts

    @property
    def dev_volumes(self) -> list[str]:
        """The names of all volumes; memcached has none."""
        servers = [name for name in self.dev_services if name != "memcached"]
        return ["data", *servers, *(["keystone-ca"] if self.keystone_ca_secret else [])]

    @property
    def dev_token(self) -> str:
        """An administrator's token, or the command that prints one, as the Makefile writes it."""
        return self.token_example.replace("$", "$$")

    @property
    def token_example(self) -> str:
        """An administrator's token, or the command that prints one, as a shell reads it."""
        return "$(make -s token)" if self.keystone else "admin"

    @property
    def dev_host_interface(self) -> str:
        """The interface for clients on the host. Containers use the one in Placement's settings."""
        return "internal" if self.keystone_interface == "public" else "public"

    @property
    def dev_endpoints(self) -> dict[str, str]:
        """The variables of the command `register` with Placement's URLs, as make reads them."""
        urls = dict.fromkeys(("public", "internal", "admin"), "http://placement:8778")
        urls[self.dev_host_interface] = "$(HERE)"
        return {f"{interface.upper()}_ENDPOINT": url for interface, url in urls.items()}

    @property
    def dev_keystone_url(self) -> str:
        """The URL of the stack's Keystone on the host, as compose reads it."""
        return f"{self.dev_keystone_scheme}://127.0.0.1:${{KEYSTONE_PORT:-5000}}"

    @property
    def dev_keystone_scheme(self) -> str:
        """The scheme of the stack's Keystone: TLS where a CA certificate is configured."""
        return "https" if self.keystone_ca_secret else "http"
