"""The environment's OS_<GROUP>__<OPTION> variables, held against placement's real options."""

import difflib
import logging
import os
from collections.abc import Iterator
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
# What placedock's readme had, and what is meant by it.
PLACEDOCK = {"OS_KEYSTONE_AUTHTOKEN__USER": "OS_KEYSTONE_AUTHTOKEN__USERNAME"}
# How long to wait for the database at the start: about a minute, where nobody has said otherwise.
WAIT = {"max_retries": "30", "retry_interval": "2"}


def load() -> cfg.ConfigOpts:
    """Check the environment, make it what oslo.config reads, and return the configuration."""
    config = cfg.ConfigOpts()
    placement_conf.register_opts(config)
    register_keystone(config)
    known = known_variables(config)
    read_files(known)
    refuse_unknown(known)
    try:
        parse(config)
        for name in sorted(known.keys() & os.environ.keys()):
            check_value(config, name, *known[name])
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
        raise StartError(f"{AUTH_TYPE}={auth_type} is none of {plugins}") from error
    config.register_opts(plugin_options, group=section)
    return True


def known_variables(config: cfg.ConfigOpts) -> dict[str, tuple[str | None, cfg.Opt]]:
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


def read_files(known: dict[str, tuple[str | None, cfg.Opt]]) -> None:
    """Replace each <variable>_FILE by its variable, with what is in the file."""
    for name in list(option_variables()):
        if not name.endswith("_FILE") or name in known:
            continue
        variable = name.removesuffix("_FILE")
        if variable not in known:
            raise unknown(name, [f"{real}_FILE" for real in known])
        if variable in os.environ:
            raise StartError(f"both {variable} and {name} are set: unset one of them")
        os.environ[variable] = literal(name, Path(os.environ.pop(name)))


def literal(name: str, path: Path) -> str:
    """Return the file's text, less its last newline, so that oslo.config takes it as it stands."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(
            f"{name}={path} cannot be read: {reason}."
            f" Mount the file so that uid {os.getuid()} may read it"
        ) from error
    text = text.removesuffix("\n").removesuffix("\r")
    if "\0" in text or r"\$" in text:
        # oslo.config takes \$ for $, and knows no other way to write these two characters.
        raise StartError(
            rf"{name}={path} holds a NUL or a \$, which no option can: choose another value"
        )
    return text.replace("$", "$$")


def refuse_unknown(known: dict[str, tuple[str | None, cfg.Opt]]) -> None:
    """Refuse a variable that placement would silently ignore."""
    for name in option_variables():
        if name not in known:
            raise unknown(name, list(known))
    # One underscore where two belong: not an option's name, but hardly meant for anything else.
    flat = {name.replace("__", "_"): name for name in known}
    for name in sorted(os.environ):
        if name in flat:
            raise StartError(f"{name} is not an option of placement: did you mean {flat[name]}?")


def unknown(name: str, known: list[str]) -> StartError:
    """Return the refusal of a name, with the nearest right one."""
    message = f"{name} is not an option of placement"
    if name.startswith(f"OS_{KEYSTONE_GROUP.upper()}__") and AUTH_TYPE not in os.environ:
        return StartError(
            f"{message}, or of an auth plugin that {AUTH_TYPE} names (password, …): set it"
        )
    nearest = nearest_variable(name, known)
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


def check_value(config: cfg.ConfigOpts, name: str, group: str | None, option: cfg.Opt) -> None:
    """Read the option as placement will, so that a wrong value is refused now."""
    try:
        section = config[group] if group else config
        section[option.dest]
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError) as error:
        raise StartError(
            f'{name} holds a single "$", which stands for another option: write "$$" for a "$",'
            f" or put the value into a file and its path into {name}_FILE"
        ) from error
    except ValueError as error:
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
