"""The database URL, composed of DATABASE_HOST and the other parts.

The Secrets of many database operators hold the parts of a URL under separate keys.
"""

import os
import re

import sqlalchemy as sa

from entrypoint.database import DRIVERS, USE_ONE_HOST
from entrypoint.errors import StartError
from entrypoint.variables import (
    CONNECTION,
    DATABASE_PARTS,
    from_file,
    is_whole_number,
    literal,
    take,
)

BACKENDS = ("postgresql", "mysql")
# SQLAlchemy percent-encodes only the user and the password.
VALID = {"HOST": r"[^/?#@\s]+", "NAME": r"[^/?#@\s]+", "OPTIONS": r"[^?#@\s]*"}


def compose_url() -> None:
    """Set the variable of the URL, and unset those of its parts."""
    if CONNECTION in os.environ:
        raise StartError(f"both {CONNECTION} and DATABASE_HOST are set: unset one of them")
    parts = {part: take(f"DATABASE_{part}") for part in DATABASE_PARTS}
    for part in ("BACKEND", "USER", "NAME"):
        if not parts[part]:
            raise StartError(f"DATABASE_HOST is set, but DATABASE_{part} is not: set both")
    check("BACKEND", parts, parts["BACKEND"] in BACKENDS, f"not {' or '.join(BACKENDS)}")
    is_one = "," not in parts["HOST"]
    check("HOST", parts, is_one, f"not one host: {USE_ONE_HOST[parts['BACKEND']]}")
    for part, pattern in VALID.items():
        check(part, parts, re.fullmatch(pattern, parts[part]), "not valid in a URL")
    port = parts["PORT"]
    check("PORT", parts, not port or is_whole_number(port), "not a whole number from 1 to 65535")
    url = sa.URL.create(
        DRIVERS[parts["BACKEND"]][0],
        username=parts["USER"],
        password=parts["PASSWORD"] or None,
        host=parts["HOST"],
        port=int(port) if port else None,
        database=parts["NAME"],
    ).render_as_string(hide_password=False)
    options = f"?{parts['OPTIONS']}" if parts["OPTIONS"] else ""
    os.environ[CONNECTION] = literal(url + options)
    # No message shows the URL, and no single file contains it.
    from_file[CONNECTION] = ""


def check(part: str, parts: dict[str, str], is_valid: object, problem: str) -> None:
    """Report an invalid part. The value from a file is not shown: the file may be the wrong one."""
    name = f"DATABASE_{part}"
    if not is_valid:
        shown = f"the value of {name}_FILE" if name in from_file else f"{name}={parts[part]}"
        raise StartError(f"{shown} is {problem}")
