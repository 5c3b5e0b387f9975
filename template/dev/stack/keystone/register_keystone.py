"""Register Placement in the Keystone of this host: `register_keystone.py KEYSTONE_URL URL`.

It registers the service, its endpoints and its user, and writes clouds.yaml for the OpenStack
client. It keeps what Keystone already has, so it can run any number of times.
"""

import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack
import yaml
from dotenv import dotenv_values, set_key
from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import SDKException

CLOUDS = Path(__file__).with_name("clouds.yaml")
CA = Path(__file__).with_name("ca.crt")
# Operators need the role admin. Nova needs service, and so does Placement to validate tokens.
ROLES = ("admin", "service")
CREDENTIAL_ID = "KEYSTONE_CREDENTIAL_ID"


def settings() -> dict[str, str]:
    """Return the options of [keystone_authtoken] that compose.yaml passes to Placement."""
    compose = yaml.safe_load(Path("compose.yaml").read_text(encoding="utf-8"))
    prefix = "OS_KEYSTONE_AUTHTOKEN__"
    environment = compose["services"]["placement"]["environment"]
    # compose and then oslo.config read `$$` as `$`.
    return {
        name.removeprefix(prefix).lower(): value.replace("$$$$", "$")
        for name, value in environment.items()
        if name.startswith(prefix)
    }


class Registration:
    """One run of this script."""

    def __init__(self, keystone_url: str, placement_url: str) -> None:
        """Read the settings and passwords of this repository."""
        self.keystone_url = keystone_url
        self.placement_url = placement_url
        self.options = settings()
        self.passwords = dotenv_values(".env")
        # Containers use the interface in Placement's settings. Clients on the host use another one.
        self.host_interface = "internal" if self.options["interface"] == "public" else "public"

    def cloud(self, username: str, password: str, **scope: str) -> dict[str, Any]:
        """Return the entry of clouds.yaml for a user."""
        cloud = {
            "auth": {
                "auth_url": self.keystone_url,
                "username": username,
                "password": self.passwords[password],
                **scope,
            },
            "region_name": self.options["region_name"],
            "interface": self.host_interface,
        }
        return {**cloud, "cacert": str(CA.resolve())} if "cafile" in self.options else cloud

    def clouds(self) -> dict[str, Any]:
        """Return the entries of clouds.yaml."""
        option = self.options.get
        return {
            "admin": self.cloud(
                "admin",
                "KEYSTONE_ADMIN_PASSWORD",
                project_name="admin",
                user_domain_name="Default",
                project_domain_name="Default",
            ),
            "placement": self.cloud(
                "placement",
                "KEYSTONE_PLACEMENT_PASSWORD",
                project_name=option("project_name", "service"),
                user_domain_name=option("user_domain_name", "Default"),
                project_domain_name=option("project_domain_name", "Default"),
            ),
        }

    def connect(self, name: str) -> Connection:
        """Return a connection as a user of clouds.yaml."""
        # The catalog does not have Keystone's address on this host yet.
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            identity_endpoint_override=self.keystone_url,
            **self.clouds()[name],
        )

    def ensure_user(self, identity: Any) -> None:
        """Create the service's user and its project, and assign its roles."""
        auth = self.clouds()["placement"]["auth"]
        user_domain = ensure_domain(identity, auth["user_domain_name"])
        project_domain = ensure_domain(identity, auth["project_domain_name"])
        project = identity.find_project(
            auth["project_name"], domain_id=project_domain.id
        ) or identity.create_project(name=auth["project_name"], domain_id=project_domain.id)
        user = identity.find_user("placement", domain_id=user_domain.id) or identity.create_user(
            name="placement", domain_id=user_domain.id
        )
        identity.update_user(user, password=auth["password"])
        for name in ROLES:
            role = identity.find_role(name) or identity.create_role(name=name)
            identity.assign_project_role_to_user(project, user, role)

    def ensure_endpoints(self, identity: Any, service_type: str, container: str, host: str) -> None:
        """Register the addresses of a service: for containers, and for clients on the host."""
        service = next(identity.services(type=service_type), None) or identity.create_service(
            type=service_type, name=service_type
        )
        region = self.options["region_name"]
        found = identity.endpoints(service_id=service.id, region_id=region)
        existing = {endpoint.interface: endpoint for endpoint in found}
        for interface in ("public", "internal", "admin"):
            url = host if interface == self.host_interface else container
            if interface in existing:
                identity.update_endpoint(existing[interface], url=url)
            else:
                identity.create_endpoint(
                    service_id=service.id,
                    interface=interface,
                    url=url,
                    region_id=region,
                )

    def ensure_credential(self) -> None:
        """Create the application credential whose id is in .env. Keystone generates the id."""
        connection = self.connect("placement")
        identity, user = connection.identity, connection.current_user_id
        for old in identity.application_credentials(user):
            if old.id == self.passwords.get(CREDENTIAL_ID):
                return
            if old.name == "placement":
                identity.delete_application_credential(user, old)
        created = identity.create_application_credential(
            user, "placement", secret=self.passwords["KEYSTONE_CREDENTIAL_SECRET"]
        )
        set_key(".env", CREDENTIAL_ID, created.id, quote_mode="never")

    def run(self) -> None:
        """Register Placement and write clouds.yaml."""
        if "cafile" in self.options:
            address = urlsplit(self.keystone_url)
            certificate = ssl.get_server_certificate((str(address.hostname), address.port or 443))
            CA.write_text(certificate, encoding="utf-8")
        identity = self.connect("admin").identity
        self.ensure_user(identity)
        self.ensure_endpoints(identity, "identity", self.options["auth_url"], self.keystone_url)
        self.ensure_endpoints(identity, "placement", "http://placement:8778", self.placement_url)
        if self.options["auth_type"] == "v3applicationcredential":
            self.ensure_credential()
        CLOUDS.touch()
        CLOUDS.chmod(0o600)
        CLOUDS.write_text(yaml.safe_dump({"clouds": self.clouds()}), encoding="utf-8")


def ensure_domain(identity: Any, name: str) -> Any:
    """Return the domain with this name, and create it if it is missing."""
    return identity.find_domain(name) or identity.create_domain(name=name)


if __name__ == "__main__":
    try:
        Registration(*sys.argv[1:3]).run()
    except (SDKException, ClientException) as error:
        sys.exit(f"Keystone refused a request of the registration: {error}")
