"""The sections of CHANGELOG.md that an update prints."""

from __future__ import annotations

import re

from packaging.version import Version


def changes_since(version: str, changelog: str) -> str:
    """Return the sections newer than a version, or all if the version has no number.

    The version is what `git describe` prints. In `1.0.0-3-gabcdef0`, it is 1.0.0. A section whose
    heading is no version is left out.
    """
    numbered = re.match(r"v?([0-9]+(?:\.[0-9]+)+)", version)
    known = _version(numbered[1] if numbered else "") or Version("0")
    sections = re.split(r"^(?=## )", changelog, flags=re.MULTILINE)[1:]
    headed = ((_version(text.removeprefix("## ").partition("\n")[0]), text) for text in sections)
    newer = [text for heading, text in headed if heading and heading > known]
    return "\n".join(text.strip() + "\n" for text in newer).strip()


def _version(heading: str) -> Version | None:
    """Return the version at the start of a heading, or nothing."""
    try:
        return Version(heading.split()[0])
    except (ValueError, IndexError):  # an error here would stop every update
        return None
