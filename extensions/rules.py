"""What a single answer may be. A refusal says what to answer instead."""

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
    """Quote an answer for a message, never long, nor with a password that a URL has.

    Control characters and look-alikes become visible; the rest is written as in YAML.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = re.sub(r"//.*@", "//***@", ascii(value))
    return text if len(text) <= 60 else f"{text[:45]}... ({len(str(value))} characters)"


def plain_text(value: object) -> str:
    """Refuse what Copier would silently cast to text, and what no file can hold on one line."""
    if not isinstance(value, str):
        raise ValueError(f"is {shown(value)}, not text; write it in quotes")
    if any(unicodedata.category(character)[0] in "CZ" and character != " " for character in value):
        raise ValueError(
            f"is {shown(value)}, with a line break, a control or an invisible character; "
            "leave that out"
        )
    return value


def fits(
    pattern: str, wanted: str, longest: int, *, optional: bool = False
) -> Callable[[object], str]:
    """Make the rule of a text answer; `wanted` says what to answer instead."""

    def check(value: object) -> str:
        text = plain_text(value)
        if optional and not text:
            return text
        if not re.fullmatch(pattern, text, re.ASCII) or len(text) > longest:
            unless = ", or nothing" if optional else ""
            raise ValueError(f"is {shown(text)}; answer {wanted}{unless}")
        return text

    return check


def whole_number(lowest: int, highest: int, unit: str) -> Callable[[object], int]:
    """Make the rule of a number; digits as text are what `--data` on a command line gives."""

    def check(value: object) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError(
                f"is {shown(value)}; answer a whole number of {unit} from {lowest} to {highest}"
            )
        return value

    return check


def yes_or_no(value: object) -> bool:
    """Refuse what Copier would silently cast to true, such as 'maybe'."""
    words = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}
    answer = words.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(answer, bool):
        raise ValueError(f"is {shown(value)}; answer true or false")
    return answer


def known_release(value: Any) -> Any:
    """Refuse a release that `releases/` does not describe."""
    offered = ", ".join(RELEASES)
    if isinstance(value, float):
        raise ValueError(f'is {shown(value)}, not text; write it in quotes, such as "{value}"')
    if not isinstance(value, str) or value not in RELEASES:
        raise ValueError(f"is {shown(value)}, which is not offered; answer one of {offered}")
    return value


def http_url(value: object) -> str:
    """Refuse a Keystone URL that is not http or https with a host, and anything but a path."""
    text = plain_text(value)
    wanted = "answer a URL such as https://keystone.example.com:5000/v3"
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ValueError(f"is {shown(text)}, not a URL ({error}); {wanted}") from None
    if url.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError(f"is {shown(text)}, not a http or https URL with a host; {wanted}")
    if url.username is not None or not re.fullmatch(r"[A-Za-z0-9:/._~\[\]-]{1,253}", text):
        raise ValueError(
            f"is {shown(text)}; leave out passwords, queries and special characters; {wanted}"
        )
    place = f"[{host}]" if ":" in host else host
    if not is_host(host) or url.netloc.lower() != (f"{place}:{port}" if port else place):
        raise ValueError(f"is {shown(text)}, whose host is no host name or address; {wanted}")
    if re.search(r"[\[\]:]", url.path):
        raise ValueError(
            f"is {shown(text)}; leave out passwords, queries and special characters; {wanted}"
        )
    return text


def is_host(name: str) -> bool:
    """Tell whether this is a host name (RFC 1123) or an IP address, IPv6 without brackets."""
    try:
        ip_address(name)
    except ValueError:
        is_name = re.fullmatch(HOST_NAME, name, re.ASCII | re.IGNORECASE)
        return bool(is_name) and len(name) <= 253 and not re.fullmatch(r"[0-9.]+", name)
    return True


def host_name(value: object) -> str:
    """Refuse what an Ingress or an HTTPRoute would: addresses, upper case, wildcards."""
    text = fits(HOST_NAME, "a host name such as placement.example.com", 253)(value)
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"is {shown(text)}, an address; answer a host name that resolves to it")
    return text


def host_ports(value: object) -> str:
    """Refuse anything but host:port, comma-separated, or nothing."""
    text = plain_text(value)
    for server in text.split(",") if text else []:
        found = re.fullmatch(
            r"(\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9.-]+):([0-9]{1,5})", server, re.ASCII
        )
        if not found or not is_host(found[1].strip("[]")) or not 0 < int(found[2]) < 65536:
            raise ValueError(
                f"has {shown(server)}; answer host:port, several with commas and no spaces, "
                "such as memcached-0.memcached:11211,memcached-1.memcached:11211, or nothing"
            )
    return text


LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = rf"{LABEL}(\.{LABEL})*"
REFERENCE = (
    r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?"  # registry
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
TAG = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"

_name = "lower-case letters, digits and '-', such as"
ProjectName = Annotated[
    str,
    BeforeValidator(
        fits(
            r"[a-z]([a-z0-9-]*[a-z0-9])?",
            "lower-case letters, digits and '-', starting with a letter and at most 40 long, "
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
    """Make the rule of a Kubernetes object's name."""
    wanted = f"the name of a Kubernetes object, {_name} {example}"
    return BeforeValidator(fits(HOST_NAME, wanted, 253, optional=optional))


Namespace = Annotated[
    str, BeforeValidator(fits(LABEL, f"a namespace, {_name} gateways", 63, optional=True))
]
KeystoneName = Annotated[
    str,
    BeforeValidator(
        fits(
            r"[A-Za-z0-9]([A-Za-z0-9 ._@+-]*[A-Za-z0-9._@+-])?",
            "a name of at most 64 letters, digits, spaces and . _ @ + -, as Keystone has it",
            64,
        )
    ),
]
Release = Annotated[str, BeforeValidator(known_release)]
HttpUrl = Annotated[str, BeforeValidator(http_url)]
HostName = Annotated[str, BeforeValidator(host_name)]
HostPorts = Annotated[str, BeforeValidator(host_ports)]
YesOrNo = Annotated[bool, BeforeValidator(yes_or_no)]
Replicas = Annotated[int, BeforeValidator(whole_number(0, MOST_REPLICAS, "replicas"))]
PositiveReplicas = Annotated[int, BeforeValidator(whole_number(1, MOST_REPLICAS, "replicas"))]
Percent = Annotated[int, BeforeValidator(whole_number(10, 95, "percent of the CPU request"))]
