"""The sections of CHANGELOG.md that an update prints."""

from __future__ import annotations

import re

from packaging.version import Version


def changes_since(version: str, changelog: str) -> str:
    """Return the sections newer than a version, or all if the version has no number.

    The version is what `git describe` prints. In `1.0.0-3-gabcdef0`, it is 1.0.0.
    """
    numbered = re.match(r"v?([0-9]+(?:\.[0-9]+)+)", version)
    known = Version(numbered[1]) if numbered else Version("0")
    sections = re.split(r"^(?=## [0-9])", changelog, flags=re.MULTILINE)[1:]
    newer = [text for text in sections if Version(re.findall(r"\S+", text)[1]) > known]
    return "\n".join(text.strip() + "\n" for text in newer).strip()
