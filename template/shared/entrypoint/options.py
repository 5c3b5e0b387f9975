"""Placement's configuration, checked before anything uses it."""

import logging
import os
from collections.abc import Iterator
from importlib.metadata import entry_points

from oslo_config import cfg
from placement import conf as placement_conf

from entrypoint.errors import StartError
from entrypoint.variables import (
    AUTH_SECTION,
    AUTH_STRATEGY,
    AUTH_TYPE,
    CA_FILES,
    CONNECTION,
    DATABASE_HOST,
    KEYSTONE_PREFIX,
    from_file,
    ignored,
    known_variables,
    names,
    normalize,
    read_file,
    read_files,
    refuse_references,
    refuse_unknown,
    variable_of,
)

DEFAULT_CONNECTION = "sqlite:////cats.db"
KEYSTONE_GROUP = "keystone_authtoken"
# The files are /etc/placement/placement.conf and /etc/placement/placement.conf.d/*.conf.
PROGRAM = "placement"
# The defaults of these options: wait about a minute for the database at the start.
WAIT = {"max_retries": "30", "retry_interval": "2"}
# Logs go to standard output: these are left out, with the values that do so.
LOG_OPTIONS = {
    "log_config_append": "",
    "log_dir": "",
    "log_file": "",
    "use_journal": "False",
    "use_syslog": "False",
}


def load() -> cfg.ConfigOpts:
    """Check the environment, turn it into what oslo.config reads, and return the configuration."""
    # uWSGI inserts the current folder into Python's path, and relative paths must stay the same.
    os.chdir("/")
    config = cfg.ConfigOpts()
    placement_conf.register_opts(config)
    try:
        # Which further options exist depends on these three.
        for variable in (AUTH_STRATEGY, AUTH_TYPE, AUTH_SECTION):
            read_file(variable)
        register_keystone(config)
        known = known_variables(config)
        read_files(known)
        if DATABASE_HOST & os.environ.keys():
            # Imported here because SQLAlchemy takes long to import.
            from entrypoint.database.parts import compose_url

            compose_url()
        refuse_unknown(known)
        refuse_references(known, known)
        parse(config)
        # Before any option is read: oslo.config remembers the values.
        set_defaults(config, WAIT)
        leave_out_log_options(config)
        for name in sorted(known):
            check_value(config, name, *known[name])
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError) as error:
        raise StartError(
            'an option in /etc/placement contains a single "$", which refers to another option:'
            ' write "$$" for a "$"'
        ) from error
    except (cfg.Error, OSError, UnicodeDecodeError) as error:
        raise StartError(f"placement's configuration is not valid: {error}") from error
    ignored.extend(unknown_in_files(config))
    return config


def parse(config: cfg.ConfigOpts) -> None:
    """Read the configuration files and the environment; the default database is SQLite."""
    try:
        config([], project=PROGRAM, prog=PROGRAM)
    except cfg.RequiredOptError as error:
        variable = variable_of(str(getattr(error.group, "name", error.group)), error.opt_name)
        if variable != CONNECTION:
            raise StartError(f"{variable} is required, but not set: set it") from error
        os.environ[CONNECTION] = DEFAULT_CONNECTION
        parse(config)


def register_keystone(config: cfg.ConfigOpts) -> None:
    """Register the options of keystonemiddleware and its auth plugin; Placement does so later."""
    refuse_references(known_variables(config), (AUTH_STRATEGY,))
    # A second configuration: a file may name the strategy, and the real one is not parsed yet.
    peek = cfg.ConfigOpts()
    peek.register_opt(cfg.StrOpt("auth_strategy"), group="api")
    peek([], project=PROGRAM, prog=PROGRAM)
    keystone = peek.api.auth_strategy == "keystone"
    if not keystone and not any(name.startswith(KEYSTONE_PREFIX) for name in os.environ):
        return
    # Imported here because it takes a tenth of a second, which noauth2 can save.
    from keystonemiddleware import opts

    for group, options in opts.list_auth_token_opts():
        config.register_opts(options, group=group)
    refuse_references(known_variables(config), (AUTH_TYPE, AUTH_SECTION))
    if not register_auth_plugin(config, peek) and keystone:
        raise StartError(f"{AUTH_TYPE} is not set: set it to password or v3applicationcredential")


def register_auth_plugin(config: cfg.ConfigOpts, peek: cfg.ConfigOpts) -> bool:
    """Register the options of the auth plugin; return whether auth_type names one."""
    from keystoneauth1 import exceptions, loading

    # It would report each plugin that cannot be loaded here.
    logging.getLogger("stevedore").setLevel(logging.CRITICAL)
    loading.register_auth_conf_options(peek, KEYSTONE_GROUP)
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
        raise StartError(
            f"{AUTH_TYPE}{shown} is not an auth plugin: use one of {plugins}"
        ) from error
    config.register_opts(plugin_options, group=section)
    return True


def check_value(config: cfg.ConfigOpts, name: str, group: str | None, option: cfg.Opt) -> None:
    """Read the option as Placement will, so that a wrong value is refused now."""
    try:
        section = config[group] if group else config
        section[option.dest]
    except ValueError as error:
        if name in from_file:
            raise StartError(f"the file that {name}_FILE names contains no valid value") from error
        given = os.environ.get(name)
        where = f"[{group or 'DEFAULT'}] {option.dest}" if given is None else name
        shown = "" if option.secret or given is None else f"={given}"
        reason = "" if option.secret else f": {str(error).rsplit(' is not valid: ', 1)[-1]}"
        raise StartError(f"{where}{shown} is not a valid value{reason}") from error


def leave_out_log_options(config: cfg.ConfigOpts) -> None:
    """Send logs to standard output, wherever a mounted placement.conf sends them."""
    for option, value in LOG_OPTIONS.items():
        variable = variable_of("DEFAULT", option)
        if is_set(config, option, None) and os.environ.get(variable) != value:
            ignored.append(f"[DEFAULT] {option}")
            os.environ[variable] = value


def unknown_in_files(config: cfg.ConfigOpts) -> Iterator[str]:
    """Yield the sections and options of the configuration files that Placement does not have."""
    known = {
        key
        for group, option in known_variables(config).values()
        for key in names(group or "default", option)
    }
    groups = {group for group, _ in known}
    for file in getattr(config._namespace, "_parsed", ()):
        for section, settings in file.items():
            if normalize(section) not in groups:
                yield f"[{section}]"
                continue
            for name in settings:
                if (normalize(section), normalize(name)) not in known:
                    yield f"[{section}] {name}"


def check_files(config: cfg.ConfigOpts) -> None:
    """Refuse a file that Placement or a library would miss only later, or not at all."""
    paths = {name: os.environ.get(name) for name in CA_FILES}
    if config.api.auth_strategy == "keystone":
        for option in ("cafile", "certfile", "keyfile"):
            paths[variable_of(KEYSTONE_GROUP, option)] = config[KEYSTONE_GROUP][option]
    if is_set(config, "policy_file", "oslo_policy"):
        policy = config.oslo_policy.policy_file
        paths[variable_of("oslo_policy", "policy_file")] = config.find_file(policy) or policy
    for name, path in paths.items():
        if path and not os.access(path, os.R_OK):
            uid = os.getuid()
            raise StartError(
                f"{name}={path} cannot be read: mount it so that uid {uid} can read it"
            )


def check_policy(config: cfg.ConfigOpts) -> None:
    """Refuse a policy that Placement cannot load. Without a file, the policy is its own."""
    paths = (config.oslo_policy.policy_file, *config.oslo_policy.policy_dirs)
    if not any(map(config.find_file, paths)):
        return
    from placement import policy

    try:
        policy.init(config)
    except Exception as error:
        raise StartError(
            f"the policy in {paths[0]} or {paths[1:]} is not valid: {error}"
        ) from error


def require_auth_strategy(config: cfg.ConfigOpts) -> None:
    """Refuse to serve while the auth strategy is unset: it has no safe default."""
    if not is_set(config, "auth_strategy", "api"):
        raise StartError(
            f"{AUTH_STRATEGY} is not set: set it to keystone, or to noauth2 to make everyone admin"
        )


def require_keystone(config: cfg.ConfigOpts, command: str) -> None:
    """Refuse a command that needs Keystone, which noauth2 does not use."""
    require_auth_strategy(config)
    if config.api.auth_strategy != "keystone":
        raise StartError(f"{command} needs Keystone: set {AUTH_STRATEGY} to keystone")


def set_defaults(config: cfg.ConfigOpts, defaults: dict[str, str]) -> None:
    """Set defaults for unset database options, as variables so that every process reads them."""
    for option, value in defaults.items():
        if not is_set(config, option, "placement_database"):
            os.environ[variable_of("placement_database", option)] = value


def is_set(config: cfg.ConfigOpts, option: str, group: str | None) -> bool:
    """Return whether the environment or a file sets an option."""
    try:
        location = config.get_location(option, group)
    except ValueError:  # check_value reports it
        return True
    return location is not None and location.location.is_user_controlled
