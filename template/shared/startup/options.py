"""The environment's OS_<GROUP>__<OPTION> variables, held against placement's real options."""

import difflib
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

from oslo_config import cfg
from placement import conf as placement_conf

from problem import StartError

DEFAULT_CONNECTION = "sqlite:////cats.db"
CONNECTION = "OS_PLACEMENT_DATABASE__CONNECTION"
AUTH_STRATEGY = "OS_API__AUTH_STRATEGY"
KEYSTONE_GROUP = "keystone_authtoken"
AUTH_TYPE = "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE"
AUTH_SECTION = "OS_KEYSTONE_AUTHTOKEN__AUTH_SECTION"
# What placedock's readme had, and what is meant by it.
PLACEDOCK = {"OS_KEYSTONE_AUTHTOKEN__USER": "OS_KEYSTONE_AUTHTOKEN__USERNAME"}
# How long to wait for the database at the start: about a minute, where nobody has said otherwise.
WAIT = {"max_retries": "30", "retry_interval": "2"}
# No option needs more than this many bytes.
MAX_FILE = 64 * 1024
# The options whose value came from a file: no message shows it.
from_file: set[str] = set()

Known = dict[str, tuple[str | None, cfg.Opt]]


def load() -> cfg.ConfigOpts:
    """Check the environment, make it what oslo.config reads, and return the configuration."""
    config = cfg.ConfigOpts()
    placement_conf.register_opts(config)
    try:
        # These three say which further options there are.
        for variable in (AUTH_STRATEGY, AUTH_TYPE, AUTH_SECTION):
            read_file(variable)
        register_keystone(config)
        known = known_variables(config)
        read_files(known)
        refuse_unknown(known)
        refuse_references(known, known)
        parse(config)
        for name in sorted(known.keys() & os.environ.keys()):
            check_value(config, name, *known[name])
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError) as error:
        raise StartError(
            'an option in /etc/placement holds a single "$", which stands for another option:'
            ' write "$$" for a "$"'
        ) from error
    except cfg.Error as error:
        raise StartError(f"placement's configuration is not valid: {error}") from error
    set_defaults(config, WAIT)
    return config


def parse(config: cfg.ConfigOpts) -> None:
    """Read the configuration files and the environment; without a database it is sqlite."""
    try:
        config([], project="placement", prog="placement")
    except cfg.RequiredOptError as error:
        variable = variable_of(str(getattr(error.group, "name", error.group)), error.opt_name)
        if variable != CONNECTION:
            raise StartError(f"{variable} is not set, and cannot be done without") from error
        os.environ[CONNECTION] = DEFAULT_CONNECTION
        parse(config)


def variable_of(group: str, option: str) -> str:
    """Return the environment variable that sets an option."""
    return f"OS_{group.upper()}__{option.upper().replace('-', '_')}"


def register_keystone(config: cfg.ConfigOpts) -> None:
    """Register what keystonemiddleware and the auth plugin read; placement does so only later."""
    prefix = f"OS_{KEYSTONE_GROUP.upper()}__"
    keystone = os.environ.get(AUTH_STRATEGY) == "keystone"
    if not keystone and not any(name.startswith(prefix) for name in os.environ):
        return
    # Imported here because it takes a tenth of a second, which noauth2 need not wait.
    from keystonemiddleware import opts

    for group, options in opts.list_auth_token_opts():
        config.register_opts(options, group=group)
    refuse_references(known_variables(config), (AUTH_TYPE, AUTH_SECTION))
    if not register_auth_plugin(config) and keystone:
        raise StartError(f"{AUTH_TYPE} is not set: say password or v3applicationcredential")


def register_auth_plugin(config: cfg.ConfigOpts) -> bool:
    """Register the options of the auth plugin that auth_type names; return whether there is one."""
    from keystoneauth1 import exceptions, loading

    # It would report each plugin that cannot be loaded here.
    logging.getLogger("stevedore").setLevel(logging.CRITICAL)
    # A configuration of its own: a file may name the plugin, and the real one is not parsed yet.
    peek = cfg.ConfigOpts()
    loading.register_auth_conf_options(peek, KEYSTONE_GROUP)
    peek([], project="placement", prog="placement")
    section = peek[KEYSTONE_GROUP].auth_section or KEYSTONE_GROUP
    if section != KEYSTONE_GROUP:
        loading.register_auth_conf_options(peek, section)
    auth_type = peek[section].auth_type
    if not auth_type:
        return False
    try:
        plugin_options = loading.get_auth_plugin_conf_options(auth_type)
    except exceptions.NoMatchingPlugin as error:
        plugins = ", ".join(sorted(entry_points(group=loading.PLUGIN_NAMESPACE).names))
        shown = "_FILE" if AUTH_TYPE in from_file else f"={auth_type}"
        raise StartError(f"{AUTH_TYPE}{shown} is none of {plugins}") from error
    config.register_opts(plugin_options, group=section)
    return True


def known_variables(config: cfg.ConfigOpts) -> Known:
    """Return each variable that oslo.config would read, with its group and option."""
    groups: list[tuple[str | None, dict]] = [(None, config._opts)]
    groups += [(name, group._opts) for name, group in config._groups.items()]
    return {
        variable_of(group or "DEFAULT", name): (group, entry["opt"])
        for group, options in groups
        for name, entry in options.items()
    }


def option_variables() -> Iterator[str]:
    """Yield the names in the environment that look like an option of a group."""
    return (name for name in sorted(os.environ) if name.startswith("OS_") and "__" in name)


def read_files(known: Known) -> None:
    """Replace each <variable>_FILE by its variable, with what is in the file."""
    for name in list(option_variables()):
        if not name.endswith("_FILE") or name in known:
            continue
        variable = name.removesuffix("_FILE")
        if variable not in known:
            nearest = nearest_variable(variable, list(known))
            raise unknown(name, f"{nearest}_FILE" if nearest else None)
        read_file(variable)


def read_file(variable: str) -> None:
    """Set the variable to what is in the file that <variable>_FILE names, if that is set."""
    name = f"{variable}_FILE"
    if name not in os.environ:
        return
    if variable in os.environ:
        raise StartError(f"both {variable} and {name} are set: unset one of them")
    path = os.environ.pop(name)
    if not path:
        raise StartError(f"{name} is empty: set it to the path of a file, or unset it")
    os.environ[variable] = literal(f"{name}={path}", Path(path))
    from_file.add(variable)


def literal(name: str, path: Path) -> str:
    """Return the file's text, less its last newline, so that oslo.config takes it as it stands."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StartError(f"{name} is not a file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(
            f"{name} cannot be read: {reason}. Mount the file so that uid {os.getuid()} may read it"
        ) from error
    text = text.removesuffix("\n").removesuffix("\r")
    problems = {
        f"the file is larger than {MAX_FILE} bytes": len(data) > MAX_FILE,
        "the file is empty": not text,
        "the file has more than one line": "\n" in text,
        # oslo.config takes \$ for $, and knows no other way to write these two characters.
        r"the file holds a NUL or a \$, which no option can: choose another value": (
            "\0" in text or r"\$" in text
        ),
    }
    for problem, is_there in problems.items():
        if is_there:
            raise StartError(f"{name}: {problem}")
    return text.replace("$", "$$")


def refuse_unknown(known: Known) -> None:
    """Refuse a variable that placement would silently ignore."""
    for name in option_variables():
        if name not in known:
            raise unknown(name, nearest_variable(name, list(known)))
    # One underscore where two belong: not an option's name, but hardly meant for anything else.
    flat = {name.replace("__", "_"): name for name in known}
    for name in sorted(os.environ):
        if name in flat:
            raise StartError(f"{name} is not an option of placement: did you mean {flat[name]}?")


def unknown(name: str, nearest: str | None) -> StartError:
    """Return the refusal of a name, with the nearest right one."""
    message = f"{name} is not an option of placement"
    if name.startswith(f"OS_{KEYSTONE_GROUP.upper()}__") and AUTH_TYPE not in os.environ:
        return StartError(
            f"{message}, or of an auth plugin that {AUTH_TYPE} names (password, …): set it"
        )
    return StartError(f"{message}: did you mean {nearest}?" if nearest else f"{message}: unset it")


def nearest_variable(name: str, known: list[str]) -> str | None:
    """Return the known variable most like this one, one of the same group before all others."""
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
    """Refuse a "$" that stands for no option: oslo.config would show what follows it."""
    options = {(group, option.dest) for group, option in known.values()}
    for name in sorted(known.keys() & os.environ.keys() & set(names)):
        group = known[name][0]
        value = os.environ[name].replace(r"\$", "$$")
        for match in cfg.ConfigOpts.Template.pattern.finditer(value):
            key = match["named"] or match["braced"]
            dotted = tuple(key.split(".", 1)) if key else ()
            if key and not options & {(group, key), (None, key), dotted}:
                raise StartError(
                    f'{name} holds a single "$", which stands for another option: write "$$" for'
                    f' a "$", or put the value into a file and its path into {name}_FILE'
                )


def check_value(config: cfg.ConfigOpts, name: str, group: str | None, option: cfg.Opt) -> None:
    """Read the option as placement will, so that a wrong value is refused now."""
    try:
        section = config[group] if group else config
        section[option.dest]
    except ValueError as error:
        if name in from_file:
            raise StartError(f"what {name}_FILE names holds no valid value") from error
        shown = "" if option.secret else f"={os.environ[name]}"
        reason = "" if option.secret else f": {str(error).rsplit(' is not valid: ', 1)[-1]}"
        raise StartError(f"{name}{shown} is not a valid value{reason}") from error


def require_auth_strategy(config: cfg.ConfigOpts) -> None:
    """Refuse to serve before someone has said who may come in: there is no safe default."""
    location = config.get_location("auth_strategy", "api")
    if location is None or not location.location.is_user_controlled:
        raise StartError(
            f"{AUTH_STRATEGY} is not set: say keystone, or noauth2 to let everyone in as admin"
        )


def set_defaults(config: cfg.ConfigOpts, defaults: dict[str, str]) -> None:
    """Set the database's options that nobody has set; in the environment, so that all see them."""
    for option, value in defaults.items():
        location = config.get_location(option, "placement_database")
        if location is None or not location.location.is_user_controlled:
            os.environ[f"OS_PLACEMENT_DATABASE__{option.upper()}"] = value
