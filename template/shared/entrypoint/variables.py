"""The environment's OS_<GROUP>__<OPTION> variables, compared with Placement's real options."""

import difflib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from oslo_config import cfg

from entrypoint.errors import StartError

CONNECTION = "OS_PLACEMENT_DATABASE__CONNECTION"
AUTH_STRATEGY = "OS_API__AUTH_STRATEGY"
KEYSTONE_PREFIX = "OS_KEYSTONE_AUTHTOKEN__"
AUTH_TYPE = f"{KEYSTONE_PREFIX}AUTH_TYPE"
AUTH_SECTION = f"{KEYSTONE_PREFIX}AUTH_SECTION"
# A misspelt variable in placedock's readme, and the correct name.
PLACEDOCK = {f"{KEYSTONE_PREFIX}USER": f"{KEYSTONE_PREFIX}USERNAME"}
# The container's own variables, which no file can set.
CONTAINER = ("DB_SYNC", "PORT", "TLS_CERT", "TLS_KEY", "UWSGI_PROCESSES", "UWSGI_THREADS")
# The parts of the database URL, as DATABASE_<PART> and DATABASE_<PART>_FILE. The host is required.
DATABASE_PARTS = ("BACKEND", "HOST", "PORT", "USER", "PASSWORD", "NAME", "OPTIONS")
DATABASE_VARIABLES = {f"DATABASE_{part}{end}" for part in DATABASE_PARTS for end in ("", "_FILE")}
DATABASE_HOST = {"DATABASE_HOST", "DATABASE_HOST_FILE"}
# The URL of an administrator of the database server, for the command create-database.
ADMIN_CONNECTION = "DATABASE_ADMIN_CONNECTION"
# A user's login, where OpenStack's clients find it.
CLOUDS_FILE = "OS_CLIENT_CONFIG_FILE"
CLOUD = "OS_CLOUD"
DEFAULT_CLOUDS_FILE = "/etc/openstack/clouds.yaml"
# The URLs that `register` enters into Keystone's catalog, by interface.
ENDPOINTS = {name: f"{name.upper()}_ENDPOINT" for name in ("public", "internal", "admin")}
# Files of CA certificates, for all Python libraries.
CA_FILES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
# What else may reach Placement and its libraries; the engine or the kubelet set the last ones.
KEPT = {*CONTAINER, *CA_FILES, *ENDPOINTS.values(), "LANG", "PATH", "PGCONNECT_TIMEOUT", "TZ"}
# The chart always sets the backend.
KEPT.add("DATABASE_BACKEND")
KEPT |= {ADMIN_CONNECTION, f"{ADMIN_CONNECTION}_FILE"}
KEPT |= {*(f"{name}_FILE" for name in CONTAINER), "HOME", "HOSTNAME", "PWD", "TERM", "container"}
# Variables of Placement that are no options: the check and other commands would not follow them.
REFUSED = {
    "OS_PLACEMENT_CONFIG_DIR": "mount the folder at /etc/placement, and unset it",
    "OS_WSGI_PROFILER": "the image has no profiler: unset it",
}
# The variables that are ignored, except those of Kubernetes for each Service.
ignored: list[str] = []
# No option needs more bytes than this.
MAX_FILE = 64 * 1024
# The options whose value came from a file, and its path: no message shows the value.
from_file: dict[str, str] = {}

Known = dict[str, tuple[str | None, cfg.Opt]]


def ignore_others() -> None:
    """Delete each variable that could steer a library or the server past all checks.

    Among them are http_proxy, PYTHONPATH, PGHOST and UWSGI_HTTP_SOCKET. Without a home folder, no
    library finds a file there: ~/.placement, ~/.netrc, ~/.pgpass.
    """
    kept = set(KEPT)
    if DATABASE_HOST & os.environ.keys():
        kept |= DATABASE_VARIABLES
    for name in sorted(os.environ):
        if name not in kept and not name.startswith(("OS_", "LC_", "MALLOC_")):
            del os.environ[name]
            if not re.search(r"_SERVICE_|_PORT", name):
                ignored.append(name)
    os.environ["HOME"] = "/nonexistent"


def variable_of(group: str, option: str) -> str:
    """Return the environment variable that sets an option."""
    return f"OS_{group.upper()}__{option.upper().replace('-', '_')}"


def known_variables(config: cfg.ConfigOpts) -> Known:
    """Return every variable that oslo.config would read, with its group and option."""
    groups: list[tuple[str | None, dict[str, Any]]] = [(None, config._opts)]
    groups += [(name, group._opts) for name, group in config._groups.items()]
    return {
        variable_of(group or "DEFAULT", name): (group, entry["opt"])
        for group, options in groups
        for name, entry in options.items()
    }


def normalize(name: str) -> str:
    """Return the name of a group or an option in one spelling, for comparisons."""
    return name.lower().replace("-", "_")


def names(group: str, option: cfg.Opt) -> Iterator[tuple[str, str]]:
    """Yield the names by which an option may be set: its own, then its deprecated ones."""
    yield normalize(group), normalize(option.dest)
    for old in option.deprecated_opts:
        yield normalize(old.group or group), normalize(old.name or option.dest)


def option_variables() -> Iterator[str]:
    """Yield the names in the environment that look like an option of a group."""
    return (name for name in sorted(os.environ) if name.startswith("OS_") and "__" in name)


def whole_number(name: str, value: str) -> int:
    """Return the number in a variable or an argument: at most 65535, the highest port."""
    if not is_whole_number(value):
        raise StartError(f"{name}={value} is not a whole number from 1 to 65535")
    return int(value)


def is_whole_number(value: str) -> bool:
    """Return whether the value is a whole number from 1 to 65535."""
    return value.isascii() and value.isdigit() and 0 < int(value) <= 65535


def read_files(known: Known) -> None:
    """Replace each <variable>_FILE by the variable, with the content of the file."""
    for name in list(option_variables()):
        if not name.endswith("_FILE") or name in known:
            continue
        variable = name.removesuffix("_FILE")
        if variable not in known:
            nearest = nearest_variable(variable, list(known))
            raise unknown(name, f"{nearest}_FILE" if nearest else None)
        read_file(variable)


def read_file(variable: str) -> None:
    """Set the variable to the content of the file that <variable>_FILE names, if it is set."""
    if f"{variable}_FILE" not in os.environ:
        return
    value = take(variable)
    if r"\$" in value:
        # oslo.config reads \$ as $, and has no other spelling for these two characters.
        raise StartError(
            rf"the file that {variable}_FILE names contains a \$, which no option can contain:"
            " choose another value"
        )
    os.environ[variable] = literal(value)


def take(variable: str) -> str:
    """Return the value of a variable, or of the file that <variable>_FILE names, and unset it."""
    name = f"{variable}_FILE"
    if name not in os.environ:
        return os.environ.pop(variable, "")
    if variable in os.environ:
        raise StartError(f"both {variable} and {name} are set: unset one of them")
    path = os.environ.pop(name)
    if not path:
        raise StartError(f"{name} is empty: set it to the path of a file, or unset it")
    value = read_secret(f"{name}={path}", Path(path))
    from_file[variable] = path
    return value


def where(*variables: str) -> str:
    """Return which files set variables, or the name of the first variable if no file does."""
    files = [f"{name}_FILE={from_file[name]}" for name in variables if from_file.get(name)]
    return " and ".join(files) or variables[0]


def literal(value: str) -> str:
    """Return the value with every $ escaped: oslo.config would read it as a reference."""
    return value.replace("$", "$$")


def read_secret(name: str, path: Path) -> str:
    """Return the text of a file without its last newline."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StartError(f"{name} is not a file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(
            f"{name} cannot be read: {reason}. Mount the file so that uid {os.getuid()} can read it"
        ) from error
    text = text.removesuffix("\n").removesuffix("\r")
    problems = {
        f"the file is larger than {MAX_FILE} bytes": len(data) > MAX_FILE,
        "the file is empty": not text,
        "the file has more than one line": "\n" in text,
        "the file contains a NUL, which no option can contain": "\0" in text,
    }
    for problem, is_there in problems.items():
        if is_there:
            raise StartError(f"{name}: {problem}")
    return text


def refuse_unknown(known: Known) -> None:
    """Refuse a variable that Placement would silently ignore, or use unchecked."""
    for name in REFUSED.keys() & os.environ.keys():
        raise StartError(f"{name} is not supported: {REFUSED[name]}")
    for name in option_variables():
        if name not in known:
            raise unknown(name, nearest_variable(name, list(known)))
    # One underscore instead of two: no option's name, but hardly meant for anything else.
    flat = {name.replace("__", "_"): name for name in known}
    for name in sorted(os.environ):
        if name in flat:
            raise StartError(f"{name} is not an option of placement: did you mean {flat[name]}?")


def unknown(name: str, nearest: str | None) -> StartError:
    """Return the error for an unknown name, with the nearest right one."""
    message = f"{name} is not an option of placement"
    if name.startswith(KEYSTONE_PREFIX) and AUTH_TYPE not in os.environ:
        return StartError(
            f"{message}. For an auth plugin's option, set {AUTH_TYPE}, for example to password"
        )
    return StartError(f"{message}: did you mean {nearest}?" if nearest else f"{message}: unset it")


def nearest_variable(name: str, known: list[str]) -> str | None:
    """Return the known variable most like this one, preferably one of the same group."""
    if PLACEDOCK.get(name) in known:
        return PLACEDOCK[name]
    group = name.split("__", 1)[0]
    same_group = [real for real in known if real.startswith(f"{group}__")]
    for names, cutoff in ((same_group, 0.7), (known, 0.6)):
        matches = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
        if matches:
            return matches[0]
    return None


def refuse_references(known: Known, names: Iterable[str]) -> None:
    """Refuse a "$" that is followed by anything other than the name of an option.

    oslo.config's error would print the text after the "$", which may be part of a password.
    """
    options = {(group, option.dest) for group, option in known.values()}
    for name in sorted(known.keys() & os.environ.keys() & set(names)):
        group = known[name][0]
        value = os.environ[name].replace(r"\$", "$$")
        for match in cfg.ConfigOpts.Template.pattern.finditer(value):
            key = match["named"] or match["braced"]
            dotted = tuple(key.split(".", 1)) if key else ()
            if key and not options & {(group, key), (None, key), dotted}:
                raise StartError(
                    f'{name} contains a single "$", which refers to another option: write "$$" for'
                    f' a "$", or put the value into a file and set {name}_FILE to its path'
                )
