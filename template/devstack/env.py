"""Print the container's variables, from a devstack's files; the Makefile runs this in the image.

Arguments: placement.conf, local.conf, and this host's address where local.conf does not say it.
Standard error tells what is left out or changed, and why.
"""

import contextlib
import ipaddress
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import sqlalchemy as sa
from oslo_config import cfg, iniparser
from oslo_log import log
from placement import conf as placement_conf

# The image's own modules: what they take, the container takes.
sys.path.append("/startup")
import database
import options
from problem import StartError, one_line

KEYSTONE = "OS_KEYSTONE_AUTHTOKEN__"
DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg2"}
LOCALRC = "local|localrc"
SECTION = re.compile(r"^\[\[(.+\|.*)\]\].*$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?(\w+)=(.*)$", re.MULTILINE)
HOST_NAME = re.compile(r"[A-Za-z0-9.-]+")

# What a file sets: (group, option) and the value as it is written.
Settings = dict[tuple[str, str], str]


def say(text: str) -> None:
    """Tell one thing to who asked for the variables."""
    print(f"devstack-env: {text}", file=sys.stderr)


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Say which file it is that cannot be read."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"{path} is not a text file") from error
    except iniparser.ParseError as error:
        raise StartError(
            f"{path} is no placement.conf: line {error.lineno}: {error.msg}"
        ) from error


def read_placement_conf(path: str) -> Settings:
    """Return the settings of a file that oslo.config reads."""
    sections: dict[str, dict[str, list[str]]] = {}
    with reading(path):
        cfg.ConfigParser(path, sections).parse()
    settings = {
        (normal(group), normal(name)): values[-1]
        for group, section in sections.items()
        for name, values in section.items()
    }
    if not settings.get(("placement_database", "connection")):
        raise StartError(
            f"{path} has no [placement_database]connection: say PLACEMENT_CONF=… with the"
            " placement.conf that devstack wrote"
        )
    return settings


def normal(name: str) -> str:
    """Return the name of a group or an option in the one spelling that is compared."""
    return name.lower().replace("-", "_")


def read_local_conf(path: str) -> dict[str, str]:
    """Return the variables of a local.conf whose values can be told without running it."""
    with reading(path):
        text = Path(path).read_text(encoding="utf-8")
    # The text before the first section, then the name and the text of each.
    _, *parts = SECTION.split(text)
    localrc = [text for name, text in zip(parts[::2], parts[1::2], strict=True) if name == LOCALRC]
    if not localrc:
        raise StartError(
            f"{path} has no [[{LOCALRC}]] section: say LOCAL_CONF=… with devstack's local.conf"
        )
    known: dict[str, str] = {}
    for name, value in ASSIGNMENT.findall("\n".join(localrc)):
        assign(known, name, value)
    return known


def assign(known: dict[str, str], name: str, text: str) -> None:
    """Set a variable as a shell would, or forget it where only a shell can tell its value."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    # Inside a word, a # is no comment; what follows the first word is not looked at.
    lexer.commenters = ""
    try:
        value = "" if text[:1].isspace() else lexer.get_token() or ""
        if "`" in value:
            raise ValueError(value)
        known[name] = value if text.startswith("'") else Template(value).substitute(known)
    except (KeyError, ValueError):
        known.pop(name, None)


def known_variables(settings: Settings) -> tuple[options.Known, set[str]]:
    """Return all variables that the image takes, and which of them are about logging."""
    os.environ[options.AUTH_TYPE] = settings.get(("keystone_authtoken", "auth_type"), "password")
    config = cfg.ConfigOpts()
    placement_conf.register_opts(config)
    options.register_keystone(config)
    logging = cfg.ConfigOpts()
    log.register_options(logging)
    return options.known_variables(config), set(options.known_variables(logging))


def translate(settings: Settings) -> dict[str, str]:
    """Return the variables for these settings, and say which settings are left out."""
    known, logging = known_variables(settings)
    variables: dict[str, str] = {}
    retired = dict(settings)
    for variable, (group, option) in known.items():
        for key in names(group or "default", option):
            if key in settings:
                retired.pop(key, None)
                variables.setdefault(variable, settings[key])
    its_own = sorted(variables.keys() & logging - {"OS_DEFAULT__DEBUG"})
    for reason, left_out in (
        ("this placement does not know it", [f"[{group}]{name}" for group, name in retired]),
        ("the container logs in its own way", its_own),
    ):
        if left_out:
            say(f"left out, because {reason}: {', '.join(left_out)}")
    return {name: value for name, value in variables.items() if name not in its_own}


def names(group: str, option: cfg.Opt) -> Iterator[tuple[str, str]]:
    """Yield where an option may be set: by its name, then by those it had before."""
    yield normal(group), normal(option.dest)
    for old in option.deprecated_opts:
        yield normal(old.group or group), normal(old.name or option.dest)
    if option.dest == "www_authenticate_uri":
        # Its name until 2017, which keystonemiddleware itself has forgotten.
        yield group, "auth_uri"


def complete(variables: dict[str, str], local: dict[str, str]) -> None:
    """Add what devstack's placement.conf may lack."""
    variables.setdefault(options.AUTH_STRATEGY, "keystone")
    variables.setdefault(options.AUTH_TYPE, "password")
    # The one endpoint that every devstack's Keystone has. Before 2019 it was not written.
    variables.setdefault(f"{KEYSTONE}INTERFACE", "public")
    if not variables.get(f"{KEYSTONE}PASSWORD"):
        password = local.get("SERVICE_PASSWORD") or local.get("ADMIN_PASSWORD")
        if not password:
            raise StartError(
                "there is no [keystone_authtoken]password in placement.conf, and no plain"
                " SERVICE_PASSWORD or ADMIN_PASSWORD in local.conf: add one"
            )
        variables[f"{KEYSTONE}PASSWORD"] = literal(password)


def literal(value: str) -> str:
    """Return the value as oslo.config has to find it: no $ in it stands for another option."""
    return value.replace("$", "$$")


class Host:
    """The host that devstack runs on, as a container reaches it."""

    def __init__(self, given: str, local: dict[str, str]) -> None:
        """Take the address given, or that of local.conf."""
        stated = [given] if given else [local.get("HOST_IP"), local.get("SERVICE_HOST")]
        self.address = next((it.strip("[]") for it in stated if it and not is_loopback(it)), "")

    def instead_of(self, loopback: str, variable: str) -> str:
        """Return the address to put in the place of a loopback one."""
        if not is_address(self.address):
            raise StartError(
                f"{variable} is at {loopback}, where a container finds only itself: add HOST_IP=…"
                " to local.conf, or say make devstack-env HOST_IP=…, with this host's address"
            )
        say(f"{variable} is at {self.address} for a container, not at {loopback}")
        return self.address

    def reached(self, server: str, variable: str) -> str:
        """Return a server's HOST or HOST:PORT as a container reaches it."""
        try:
            parts = urlsplit(f"//{server}")
            name, port = parts.hostname, parts.port
        except ValueError as error:
            raise StartError(f"{variable}: {server} is not HOST:PORT") from error
        if not is_loopback(name):
            return server
        address = self.instead_of(name or "no host", variable)
        address = f"[{address}]" if ":" in address else address
        return f"{address}:{port}" if port else address


def is_loopback(host: str | None) -> bool:
    """Return whether only the host itself finds itself there."""
    try:
        address = ipaddress.ip_address((host or "localhost").strip("[]"))
    except ValueError:
        return (host or "localhost").split(".")[0].lower() in ("localhost", "ip6-localhost")
    return address.is_loopback or address.is_unspecified


def is_address(text: str) -> bool:
    """Return whether this is the address or the name of a host."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(HOST_NAME.fullmatch(text))
    return True


def database_url(connection: str, host: Host) -> str:
    """Return the URL with a driver that is in the image, and a server that a container reaches."""
    try:
        url = sa.make_url(connection)
        driver = DRIVERS[url.get_backend_name()]
    except (sa.exc.ArgumentError, KeyError, ValueError) as error:
        raise StartError(
            "[placement_database]connection is no URL of MySQL or PostgreSQL"
        ) from error
    if url.drivername not in database.DRIVERS:
        say(f"{options.CONNECTION} starts with {driver}://, not {url.drivername}://")
    if "plugin" in url.query:
        # devstack counts queries with it, in its own Python.
        say(f"{options.CONNECTION} is without plugin={url.query['plugin']}: it is not in the image")
    if is_loopback(url.host):
        url = url.set(host=host.instead_of(url.host or "no host", options.CONNECTION))
    url = url.set(drivername=driver).difference_update_query(["plugin"])
    return url.render_as_string(hide_password=False)


def memcached_server(server: str, host: Host) -> str:
    """Return a memcached as a container reaches it, in the way that its client wants it written."""
    reached = host.reached(server.removeprefix("inet6:"), f"{KEYSTONE}MEMCACHED_SERVERS")
    return f"inet6:{reached}" if reached.startswith("[") else reached


def changes(config: cfg.ConfigOpts, host: Host) -> Iterator[tuple[str, str]]:
    """Yield the variables whose values are others in a container."""
    yield options.CONNECTION, database_url(config.placement_database.connection, host)
    keystone = config[options.KEYSTONE_GROUP]
    for name in ("auth_url", "www_authenticate_uri"):
        if url := keystone[name]:
            server = urlsplit(url).netloc
            reached = host.reached(server, f"{KEYSTONE}{name.upper()}")
            if name == "auth_url" and reached != server:
                say(
                    f"Keystone's catalog says {server}, too, where the container looks for it next:"
                    f" see `openstack endpoint list`, and give the public one {reached} by"
                    " `openstack endpoint set --url`"
                )
            yield f"{KEYSTONE}{name.upper()}", url.replace(server, reached, 1)
    if servers := keystone.memcached_servers:
        reached = [memcached_server(server, host) for server in servers]
        yield f"{KEYSTONE}MEMCACHED_SERVERS", ",".join(reached)


def trust(variables: dict[str, str]) -> None:
    """Keep the authorities' file where Keystone needs one, and say that it is to be mounted."""
    file = variables.get(f"{KEYSTONE}CAFILE")
    if not file:
        return
    if variables.get(f"{KEYSTONE}AUTH_URL", "").startswith("https:"):
        say(f"mount the file that {KEYSTONE}CAFILE names: --volume {file}:{file}:ro")
    else:
        say(f"left out, because Keystone is not asked by https: {KEYSTONE}CAFILE")
        del variables[f"{KEYSTONE}CAFILE"]


def variables_of(placement_conf: str, local_conf: str, host_ip: str) -> dict[str, str]:
    """Return the container's variables."""
    settings, local = read_placement_conf(placement_conf), read_local_conf(local_conf)
    variables = translate(settings)
    complete(variables, local)
    for name, value in variables.items():
        if not value.isprintable():
            raise StartError(
                f"the value of {name} has several lines, which an env-file cannot hold"
            )
    os.environ.update(variables)
    for name, value in changes(options.load(), Host(host_ip, local)):
        variables[name] = os.environ[name] = literal(value)
    trust(variables)
    database.check_url(options.load())
    return variables


def main(placement_conf: str, local_conf: str, host_ip: str) -> None:
    """Print the variables, or say in one line why there are none."""
    try:
        variables = variables_of(placement_conf, local_conf, host_ip)
    except StartError as error:
        sys.exit(f"devstack-env: {one_line(error)}")
    print("# Written by `make devstack-env`, which writes it anew. It holds passwords.")
    for name, value in sorted(variables.items()):
        print(f"{name}={value}")


if __name__ == "__main__":
    main(*sys.argv[1:])
