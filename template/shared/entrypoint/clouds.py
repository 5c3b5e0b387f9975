"""Logins to a cloud, from the clouds.yaml that OpenStack's clients use."""

import functools
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from keystoneauth1 import exceptions, loading
from keystoneauth1.session import Session

from entrypoint.errors import StartError
from entrypoint.variables import CLOUD, CLOUDS_FILE, DEFAULT_CLOUDS_FILE

# Timeout of a request, in seconds.
TIMEOUT = 30


class Cloud(NamedTuple):
    """A login: its options, a session, and the region and interface of the endpoints to use."""

    name: str
    auth: dict[str, str]
    session: Session
    region: str | None
    interface: str


def path() -> str:
    """Return the path of the file."""
    return os.environ.get(CLOUDS_FILE) or DEFAULT_CLOUDS_FILE


def has(name: str) -> bool:
    """Return whether the file has a cloud with this name."""
    return name in read(path())


def load(name: str = "") -> Cloud:
    """Return the cloud with this name: by default OS_CLOUD, or the only one in the file.

    No message shows a value of the file, because it may be a password.
    """
    # It would log to standard error what its exceptions contain.
    logging.getLogger("keystoneauth").setLevel(logging.CRITICAL)
    file = path()
    clouds = read(file)
    only = next(iter(clouds)) if len(clouds) == 1 else ""
    name = name or os.environ.get(CLOUD) or only
    if not name:
        raise StartError(f"{file} has several clouds: set {CLOUD} to {any_of(clouds)}")
    if not isinstance(cloud := clouds.get(name), dict):
        raise StartError(f"{file} has no cloud {name}: use {any_of(clouds)}")
    where = f"the cloud {name} in {file}"
    verify = cloud.get("cacert") or cloud.get("verify", True)
    if isinstance(verify, str) and not os.access(verify, os.R_OK):
        raise StartError(f"cacert {verify} of {where} cannot be read: mount the file")
    session = Session(login(cloud, where), verify=verify, cert=cloud.get("cert"), timeout=TIMEOUT)
    interface = cloud.get("interface") or "public"
    return Cloud(name, cloud["auth"], session, cloud.get("region_name"), interface)


@functools.cache
def read(path: str) -> dict[str, Any]:
    """Return the clouds of a file, which may be a pipe."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(
            f"{path} cannot be read: {reason}. Set {CLOUDS_FILE} to the path of a clouds.yaml"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" from line {mark.line + 1} on" if mark else ""
        raise StartError(f"{path} is not valid YAML{line}: correct the file") from error
    clouds = content.get("clouds") if isinstance(content, dict) else None
    if not isinstance(clouds, dict) or not clouds:
        raise StartError(f"{path} contains no clouds: add `clouds:` with the login of a user")
    return clouds


def login(cloud: dict[str, Any], where: str) -> Any:
    """Return the auth plugin of a cloud."""
    auth = cloud.get("auth")
    if not isinstance(auth, dict):
        raise StartError(f"{where} has no login: add `auth:` with auth_url, username and password")
    try:
        loader: Any = loading.get_plugin_loader(cloud.get("auth_type") or "password")
        known = {option.dest for option in loader.get_options()}
        for name, value in auth.items():
            if name not in known:
                raise StartError(f"auth.{name} of {where} is unknown: use {any_of(known)}")
            if not isinstance(value, str):
                raise StartError(f"auth.{name} of {where} is not text: put it into quotes")
        return loader.load_from_options(**auth)
    except exceptions.NoMatchingPlugin as error:
        raise StartError(f"auth_type of {where} is unknown: use password") from error
    except exceptions.MissingRequiredOptions as error:
        missing = " and ".join(f"auth.{option.dest}" for option in error.options)
        raise StartError(f"{where} lacks {missing}: add it") from error
    except exceptions.OptionError as error:
        raise StartError(f"auth of {where} is incomplete: {error}") from error


def any_of(names: Any) -> str:
    """Return the names as a choice."""
    return ", ".join(sorted(map(str, names)))
