"""Placement's own user in Keystone, with which Placement validates the tokens of requests."""

import logging
import os

from keystoneauth1 import exceptions, loading, session
from oslo_config import cfg

from entrypoint import options
from entrypoint.errors import StartError, one_line
from entrypoint.variables import variable_of, where

# Timeout of a request, in seconds.
TIMEOUT = 30
# What identifies the user, and what proves the identity.
USER = ("username", "user_id", "application_credential_id", "application_credential_name")
PROOF = ("password", "application_credential_secret")
# Keystone or the network may recover from these, but not from a CA certificate that is wrong.
TRANSIENT = (
    exceptions.ConnectFailure,
    exceptions.ConnectTimeout,
    exceptions.UnknownConnectionError,
    exceptions.HttpServerError,
)


def new_token(config: cfg.ConfigOpts) -> str:
    """Return a token of Placement's own user."""
    # It would log to standard error what the exception contains.
    logging.getLogger("keystoneauth").setLevel(logging.CRITICAL)
    group = config[options.KEYSTONE_GROUP]
    auth = loading.load_auth_from_conf_options(config, options.KEYSTONE_GROUP)
    verify = not group.insecure and (group.cafile or True)
    cert = (group.certfile, group.keyfile) if group.certfile and group.keyfile else group.certfile
    connection = session.Session(auth, verify=verify, cert=cert, timeout=TIMEOUT)
    return str(connection.get_token())


def section_of_login(config: cfg.ConfigOpts) -> str:
    """Return the section that has the options of Placement's login."""
    return str(config[options.KEYSTONE_GROUP].auth_section or options.KEYSTONE_GROUP)


def check_keystone() -> None:
    """Log in to Keystone as Placement does; a Keystone that does not answer is only a warning."""
    config = options.load()
    options.require_auth_strategy(config)
    if config.api.auth_strategy != "keystone":
        print("ok: keystone: not used")
        return
    section = section_of_login(config)
    url = config[section].auth_url
    try:
        new_token(config)
    except exceptions.ClientException as error:
        if is_transient(error):
            problem = f"{url} does not answer, and no new token is valid until it does: {error}"
            print(one_line(f"warning: keystone: {problem}"))
            return
        variables = [variable_of(section, option) for option in (*USER, *PROOF)]
        is_set = [name for name in variables if name in os.environ]
        raise StartError(
            f"Keystone at {url} refuses {name_of_user(config[section])}: {error}."
            f" Correct {where(*is_set, variable_of(section, 'auth_url'))}"
        ) from error
    print(one_line(f"ok: keystone: {url} accepts {name_of_user(config[section])}"))


def name_of_user(group: cfg.ConfigOpts.GroupAttr) -> str:
    """Return the option that identifies the user, with its value."""
    for option in USER:
        if value := getattr(group, option, None):
            return f"the {option.replace('_', ' ')} {value}"
    return "Placement's user"


def is_transient(error: BaseException | None) -> bool:
    """Return whether the same request may succeed later."""
    return isinstance(error, TRANSIENT) or (
        # Raised after it has failed to find the versions of the API.
        isinstance(error, exceptions.DiscoveryFailure) and is_transient(error.__context__)
    )
