"""The valid values of a single answer.

A rule returns the answer, or raises an error with the problem and its fix.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from .releases import RELEASES

MOST_REPLICAS = 2**31 - 1
"""Kubernetes counts replicas in an int32."""


def shown(value: object) -> str:
    """Quote an answer for a message: shortened, and without the password of a URL.

    Control characters and non-ASCII letters become visible; the rest is written as in YAML.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = re.sub(r"//.*@", "//***@", ascii(value))
    except ValueError:
        return "a number of more than 4300 digits"  # Python converts none to text
    return text if len(text) <= 60 else f"{text[:45]}... ({len(str(value))} characters)"


def plain_text(value: object, spaces: str = " ") -> str:
    """Refuse values that Copier would silently cast to text, and text that is not one line."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text; put it in quotes")
    if any(
        unicodedata.category(character)[0] in "CZ" and character not in spaces
        for character in value
    ):
        raise ValueError(
            f"{shown(value)} contains a line break, a control character or an invisible character; "
            "remove it"
        )
    return value


def fits(
    pattern: str, wanted: str, longest: int, *, optional: bool = False
) -> Callable[[object], str]:
    """Return the rule of a text answer; `wanted` describes valid answers."""

    def check(value: object) -> str:
        text = plain_text(value)
        if optional and not text:
            return text
        if not re.fullmatch(pattern, text, re.ASCII) or len(text) > longest:
            alternative = ", or leave it empty" if optional else ""
            raise ValueError(f"{shown(text)} is not valid; use {wanted}{alternative}")
        return text

    return check


def whole_number(lowest: int, highest: int, unit: str = "") -> Callable[[object], int]:
    """Return the rule of a number. It may be text: on the command line, `--data` is always text."""

    def check(value: object) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError(
                f"{shown(value)} is not valid; use a whole number from {lowest} to {highest}{unit}"
            )
        return value

    return check


def yes_or_no(value: object) -> bool:
    """Refuse values that Copier would silently cast to true, such as 'maybe'."""
    answers = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}
    answer = answers.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(answer, bool):
        raise ValueError(f"{shown(value)} is not valid; use true or false")
    return answer


def known_release(value: Any) -> Any:
    """Refuse a release that `releases/` does not describe."""
    offered = ", ".join(RELEASES)
    if isinstance(value, float):
        raise ValueError(f'{shown(value)} is not text; put it in quotes, such as "{value}"')
    if not isinstance(value, str) or value not in RELEASES:
        raise ValueError(f"{shown(value)} is not available; use one of {offered}")
    return value


def http_url(value: object) -> str:
    """Refuse anything other than an http or https URL with a host and perhaps a port and a path."""
    text = plain_text(value)
    wanted = "use a URL such as https://keystone.example.com:5000/v3"
    extra = f"{shown(text)} contains a password, a query or a special character; {wanted}"
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not a URL ({error}); {wanted}") from None
    if url.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError(f"{shown(text)} is not an http or https URL with a host; {wanted}")
    if url.username is not None or not re.fullmatch(r"[A-Za-z0-9:/._~\[\]-]{1,253}", text):
        raise ValueError(extra)
    place = f"[{host}]" if ":" in host else host
    if not is_host(host) or url.netloc.lower() != (f"{place}:{port}" if port else place):
        raise ValueError(f"{shown(text)} has an invalid host or port; {wanted}")
    if re.search(r"[\[\]:]", url.path):
        raise ValueError(extra)
    return text


def is_host(name: str) -> bool:
    """Return whether this is a host name (RFC 1123) or an IP address, IPv6 without brackets."""
    try:
        ip_address(name)
    except ValueError:
        is_name = re.fullmatch(HOST_NAME, name, re.ASCII | re.IGNORECASE)
        return bool(is_name) and len(name) <= 253 and not re.fullmatch(r"[0-9.]+", name)
    return True


def host_name(value: object) -> str:
    """Refuse what an Ingress or an HTTPRoute would refuse: addresses, upper case, wildcards."""
    text = fits(HOST_NAME, "a host name such as placement.example.com", 253)(value)
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"{shown(text)} is an address; use a host name that resolves to it")
    return text


def host_ports(value: object) -> str:
    """Refuse anything other than an empty answer or host:port, separated by commas."""
    text = plain_text(value)
    for server in text.split(",") if text else []:
        found = re.fullmatch(
            r"(\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9.-]+):([0-9]{1,5})", server, re.ASCII
        )
        if not found or not is_host(found[1].strip("[]")) or not 0 < int(found[2]) < 65536:
            raise ValueError(
                f"{shown(server)} is not a valid server; use host:port, separated by commas "
                "without spaces, such as memcached-0.memcached:11211,memcached-1.memcached:11211, "
                "or leave it empty"
            )
    return text


def keystone_name(value: object) -> str:
    """Accept a name in any language, as Keystone does, unless a reader cannot see all of it."""
    text = plain_text(value, KEYSTONE_SPACES)
    # No option of oslo.config can hold a backslash in front of a dollar sign.
    if not 0 < len(text) <= 64 or text != text.strip(KEYSTONE_SPACES) or r"\$" in text:
        raise ValueError(
            f"{shown(text)} is not valid; use a name of at most 64 characters without spaces at "
            r"either end and without \$, as in Keystone"
        )
    return text


KEYSTONE_SPACES = " \u00a0\u202f\u3000\u200c\u200d"
"""Spaces and joiners of letters that languages need. No other invisible character is valid."""
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = rf"{LABEL}(\.{LABEL})*"
REFERENCE = (
    r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?"  # registry
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
TAG = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"

ProjectName = Annotated[
    str,
    BeforeValidator(
        fits(
            r"[a-z]([a-z0-9-]*[a-z0-9])?",
            "at most 40 lower-case letters, digits and hyphens, starting with a letter, "
            "such as placement-lab",
            40,
        )
    ),
]
ImageRepository = Annotated[
    str,
    BeforeValidator(
        fits(
            REFERENCE,
            "an image name without tag or digest, such as registry.example.com/cloud/placement",
            200,
        )
    ),
]
BaseImage = Annotated[
    str,
    BeforeValidator(
        fits(REFERENCE + TAG, "a Debian image, such as docker.io/library/debian:trixie-slim", 400)
    ),
]


def object_name(example: str, *, optional: bool = False) -> BeforeValidator:
    """Return the rule of a Kubernetes object's name."""
    wanted = (
        "the name of a Kubernetes object in lower-case letters, digits and hyphens, "
        f"such as {example}"
    )
    return BeforeValidator(fits(HOST_NAME, wanted, 253, optional=optional))


Namespace = Annotated[
    str,
    BeforeValidator(
        fits(
            LABEL,
            "a namespace in lower-case letters, digits and hyphens, such as gateways",
            63,
            optional=True,
        )
    ),
]
KeystoneName = Annotated[str, BeforeValidator(keystone_name)]
Release = Annotated[str, BeforeValidator(known_release)]
HttpUrl = Annotated[str, BeforeValidator(http_url)]
HostName = Annotated[str, BeforeValidator(host_name)]
HostPorts = Annotated[str, BeforeValidator(host_ports)]
YesOrNo = Annotated[bool, BeforeValidator(yes_or_no)]
Replicas = Annotated[int, BeforeValidator(whole_number(0, MOST_REPLICAS))]
PositiveReplicas = Annotated[int, BeforeValidator(whole_number(1, MOST_REPLICAS))]
Percent = Annotated[int, BeforeValidator(whole_number(10, 95, " percent of the CPU request"))]
