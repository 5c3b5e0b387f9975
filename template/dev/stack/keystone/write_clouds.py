"""Write clouds.yaml for the OpenStack client: `write_clouds.py KEYSTONE_URL`.

The output has the same logins for the image's command `register`, whose container reaches Keystone
at another URL.
"""

import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from dotenv import dotenv_values

CLOUDS = Path(__file__).with_name("clouds.yaml")
CA = Path(__file__).with_name("ca.crt")


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


def clouds(options: dict[str, str], auth_url: str, interface: str, cacert: str) -> str:
    """Return the logins of the administrator and of Placement's user, as clouds.yaml has them."""
    passwords = dotenv_values(".env")
    admin = {"password": passwords["KEYSTONE_ADMIN_PASSWORD"], "project_name": "admin"}
    placement = {
        "password": passwords["KEYSTONE_PLACEMENT_PASSWORD"],
        "project_name": options.get("project_name", "service"),
        "user_domain_name": options.get("user_domain_name", "Default"),
        "project_domain_name": options.get("project_domain_name", "Default"),
    }
    domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
    more: dict[str, Any] = {"cacert": cacert} if "cafile" in options else {}
    # The OpenStack client replaces braces in the name of a region, and this Keystone has only one.
    more |= {"interface": interface}
    users = {"admin": {**domains, **admin}, "placement": placement}
    entries = {
        name: {"auth": {"auth_url": auth_url, "username": name, **auth}, **more}
        for name, auth in users.items()
    }
    return yaml.safe_dump({"clouds": entries})


def main(keystone_url: str) -> None:
    """Write the file, and print the logins for a container."""
    options = settings()
    if "cafile" in options:
        address = urlsplit(keystone_url)
        certificate = ssl.get_server_certificate((str(address.hostname), address.port or 443))
        CA.write_text(certificate, encoding="utf-8")
    # Containers use the interface in Placement's settings. Clients on the host use another one.
    interface = "internal" if options["interface"] == "public" else "public"
    CLOUDS.touch()
    CLOUDS.chmod(0o600)
    CLOUDS.write_text(clouds(options, keystone_url, interface, str(CA.resolve())), encoding="utf-8")
    print(clouds(options, options["auth_url"], options["interface"], options.get("cafile", "")))


if __name__ == "__main__":
    main(sys.argv[1])
