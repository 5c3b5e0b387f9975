"""The configuration files of a devstack: its placement.conf and its local.conf."""

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

from oslo_config import cfg, iniparser

from entrypoint.errors import StartError
from entrypoint.variables import normalize

LOCALRC = "local|localrc"
SECTION = re.compile(r"^\[\[(.+\|.*)\]\].*$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?(\w+)=(.*)$", re.MULTILINE)

# The settings of a file: (group, option) and the value as it is written there.
Settings = dict[tuple[str, str], str]


@contextlib.contextmanager
def report_unreadable(path: str) -> Iterator[None]:
    """Name the file that cannot be read."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"{path} is not a text file") from error
    except iniparser.ParseError as error:
        raise StartError(
            f"{path} is not a placement.conf: line {error.lineno}: {error.msg}"
        ) from error


def read_placement_conf(path: str) -> Settings:
    """Return the settings of a file in oslo.config's format."""
    sections: dict[str, dict[str, list[str]]] = {}
    with report_unreadable(path):
        cfg.ConfigParser(path, sections).parse()
    settings = {
        (normalize(group), normalize(name)): values[-1]
        for group, section in sections.items()
        for name, values in section.items()
    }
    if not settings.get(("placement_database", "connection")):
        raise StartError(
            f"{path} has no [placement_database]connection: set PLACEMENT_CONF to the"
            " placement.conf that devstack wrote"
        )
    return settings


def read_local_conf(path: str) -> dict[str, str]:
    """Return the variables of a local.conf whose values are known without running it."""
    with report_unreadable(path):
        text = Path(path).read_text(encoding="utf-8")
    # The text before the first section, then the name and the text of each section.
    _, *parts = SECTION.split(text)
    localrc = [text for name, text in zip(parts[::2], parts[1::2], strict=True) if name == LOCALRC]
    if not localrc:
        raise StartError(
            f"{path} has no [[{LOCALRC}]] section: set LOCAL_CONF to devstack's local.conf"
        )
    known: dict[str, str] = {}
    for name, value in ASSIGNMENT.findall("\n".join(localrc)):
        assign(known, name, value)
    return known


def assign(known: dict[str, str], name: str, text: str) -> None:
    """Set a variable as a shell would, or forget it if only a shell can evaluate the value."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    # Inside a word, # begins no comment. Only the first word is read.
    lexer.commenters = ""
    try:
        value = "" if text[:1].isspace() else lexer.get_token() or ""
        if "`" in value:
            raise ValueError(value)
        known[name] = value if text.startswith("'") else Template(value).substitute(known)
    except (KeyError, ValueError):
        known.pop(name, None)
