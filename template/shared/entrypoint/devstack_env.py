"""devstack-env: the container's variables for running alongside a devstack.

The variables go to standard output. Standard error names the settings that are left out or
changed, with the reason.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import sqlalchemy as sa
from oslo_config import cfg
from oslo_log import log
from placement import conf as placement_conf

from entrypoint import database, options
from entrypoint.devstack_files import Settings, read_local_conf, read_placement_conf
from entrypoint.errors import StartError, report
from entrypoint.variables import (
    AUTH_STRATEGY,
    AUTH_TYPE,
    CONNECTION,
    KEYSTONE_PREFIX,
    known_variables,
    literal,
    names,
)

HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+")


def devstack_env(placement_conf: str, local_conf: str, host_ip: str = "") -> None:
    """Print the container's variables for running alongside a devstack."""
    settings, local = read_placement_conf(placement_conf), read_local_conf(local_conf)
    variables = translate(settings)
    complete(variables, local)
    for name, value in variables.items():
        if not value.isprintable():
            raise StartError(
                f"the value of {name} has several lines, which an env-file cannot contain"
            )
    os.environ.update(variables)
    for name, value in addresses(options.load(), Host(host_ip, local)):
        variables[name] = os.environ[name] = literal(value)
    check_cafile(variables)
    database.check_url(options.load())
    print("# Written by `make devstack-env`, which overwrites it. It contains passwords.")
    for name, value in sorted(variables.items()):
        print(f"{name}={value}")


def translate(settings: Settings) -> dict[str, str]:
    """Return the variables for these settings, and report the settings that are left out."""
    os.environ[AUTH_TYPE] = settings.get(("keystone_authtoken", "auth_type"), "password")
    config, logging = cfg.ConfigOpts(), cfg.ConfigOpts()
    placement_conf.register_opts(config)
    options.register_keystone(config)
    log.register_options(logging)
    variables: dict[str, str] = {}
    unknown = dict(settings)
    for variable, (group, option) in known_variables(config).items():
        # Its name until 2017, which keystonemiddleware no longer knows.
        old = [(group, "auth_uri")] if option.dest == "www_authenticate_uri" else []
        for key in (*names(group or "default", option), *old):
            if key in settings:
                unknown.pop(key, None)
                variables.setdefault(variable, settings[key])
    for_logs = sorted(variables.keys() & known_variables(logging).keys() - {"OS_DEFAULT__DEBUG"})
    for reason, left_out in (
        ("this release has no such option", [f"[{group}]{name}" for group, name in unknown]),
        ("the container has its own log format", for_logs),
    ):
        if left_out:
            report(f"left out, because {reason}: {', '.join(left_out)}")
    return {name: value for name, value in variables.items() if name not in for_logs}


def complete(variables: dict[str, str], local: dict[str, str]) -> None:
    """Add what a placement.conf of devstack may lack."""
    variables.setdefault(AUTH_STRATEGY, "keystone")
    variables.setdefault(AUTH_TYPE, "password")
    # Every devstack's Keystone has a public endpoint. Before 2019 placement.conf had no interface.
    variables.setdefault(f"{KEYSTONE_PREFIX}INTERFACE", "public")
    if not variables.get(f"{KEYSTONE_PREFIX}PASSWORD"):
        password = local.get("SERVICE_PASSWORD") or local.get("ADMIN_PASSWORD")
        if not password:
            raise StartError(
                "found no [keystone_authtoken]password in placement.conf, and no literal"
                " SERVICE_PASSWORD or ADMIN_PASSWORD in local.conf: add one of them"
            )
        variables[f"{KEYSTONE_PREFIX}PASSWORD"] = literal(password)


class Host:
    """The host that devstack runs on, as a container reaches it."""

    def __init__(self, given: str, local: dict[str, str]) -> None:
        """Use the address that is given, or those of local.conf."""
        names = ("HOST_IP", "SERVICE_HOST", "HOST_IPV6")
        stated = [given] if given else [local.get(name) for name in names]
        self.addresses = [text.strip("[]") for text in stated if text and not is_loopback(text)]

    def replace(self, loopback: str, variable: str) -> str:
        """Return the address that replaces a loopback one, of the same IP version if possible."""
        alike = [text for text in self.addresses if (":" in text) == (":" in loopback)]
        address = next(iter(alike or self.addresses), "")
        if not HOST.fullmatch(address):
            raise StartError(
                f"{variable} names {loopback}, which is the container itself: set HOST_IP to this"
                " host's address in local.conf, or run make devstack-env HOST_IP=…"
            )
        report(f"{variable}: replaced {loopback}, the container itself, with {address}")
        return address

    def reach(self, server: str, variable: str) -> str:
        """Return a server's HOST or HOST:PORT as a container reaches it."""
        try:
            parts = urlsplit(f"//{server}")
            name, port = parts.hostname, parts.port
        except ValueError as error:
            raise StartError(f"{variable}: {server} is not HOST:PORT") from error
        if not is_loopback(name):
            return server
        address = self.replace(name or "no host", variable)
        address = f"[{address}]" if ":" in address else address
        return f"{address}:{port}" if port else address


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or address leads to the caller itself."""
    try:
        address = ipaddress.ip_address((host or "localhost").strip("[]"))
    except ValueError:
        return (host or "localhost").split(".")[0].lower() in ("localhost", "ip6-localhost")
    return address.is_loopback or address.is_unspecified


def addresses(config: cfg.ConfigOpts, host: Host) -> Iterator[tuple[str, str]]:
    """Yield the variables that name a server, with the address for a container."""
    yield CONNECTION, database_url(config.placement_database.connection, host)
    keystone = config[options.KEYSTONE_GROUP]
    for name in ("auth_url", "www_authenticate_uri"):
        if url := keystone[name]:
            variable = f"{KEYSTONE_PREFIX}{name.upper()}"
            server = urlsplit(url).netloc
            reached = host.reach(server, variable)
            if name == "auth_url" and reached != server:
                report(
                    f"Keystone's catalog may name {server}, too: check `openstack endpoint list`,"
                    f" and change the public endpoint's address to {reached} with"
                    " `openstack endpoint set --url`"
                )
            yield variable, url.replace(server, reached, 1)
    if servers := keystone.memcached_servers:
        variable = f"{KEYSTONE_PREFIX}MEMCACHED_SERVERS"
        reachable = [host.reach(server.removeprefix("inet6:"), variable) for server in servers]
        # inet6: is how python-memcached marks an IPv6 address.
        yield variable, ",".join(re.sub(r"^\[", "inet6:[", server) for server in reachable)


def database_url(connection: str, host: Host) -> str:
    """Return the URL with a driver of the image, and a server that a container reaches."""
    try:
        url = sa.make_url(connection)
        drivers = {**database.DRIVERS, "sqlite": ()}[url.get_backend_name()]
        driver = drivers[0]
    except (sa.exc.ArgumentError, LookupError, ValueError) as error:
        raise StartError(
            "[placement_database]connection is not a URL of MySQL or PostgreSQL"
        ) from error
    if url.drivername not in drivers:
        report(f"{CONNECTION}: replaced the driver {url.drivername} with {driver}")
    for name, values in url.normalized_query.items():
        if reason := unusable(name, values):
            report(f"{CONNECTION}: left out {name}={','.join(values)}, {reason}")
            url = url.difference_update_query([name])
    if is_loopback(url.host) and "host" not in url.query:
        url = url.set(host=host.replace(url.host or "no host", CONNECTION))
    return url.set(drivername=driver).render_as_string(hide_password=False)


def unusable(option: str, values: Sequence[str]) -> str:
    """Return why the container cannot use an option of the database's URL, or nothing."""
    if option == "plugin":  # devstack's for SQLAlchemy, which counts queries
        return "which is not in the image"
    local = any(value.startswith("/") or is_loopback(value) for value in values)
    if option == "unix_socket" or (option == "host" and local):
        return "which the container cannot reach"
    return ""


def check_cafile(variables: dict[str, str]) -> None:
    """Keep the CA certificate if Keystone needs it, and report how to mount it."""
    file = variables.get(f"{KEYSTONE_PREFIX}CAFILE")
    if not file:
        return
    if variables.get(f"{KEYSTONE_PREFIX}AUTH_URL", "").startswith("https:"):
        report(f"mount the file that {KEYSTONE_PREFIX}CAFILE names: --volume {file}:{file}:ro")
    else:
        report(f"left out, because the URL of Keystone is not https: {KEYSTONE_PREFIX}CAFILE")
        del variables[f"{KEYSTONE_PREFIX}CAFILE"]
