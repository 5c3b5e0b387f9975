"""CHANGELOG.md matches the repository's tags, and contains the text of each release."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

import pytest
from packaging.version import Version

from tests.support.template import ROOT, git
from tools.release_notes import release_notes

HEADING = re.compile(r"(\d+\.\d+\.\d+) \((unreleased|\d{4}-\d\d-\d\d)\)")


def errors(changelog: str, tags: set[str]) -> list[str]:
    """List the differences between a changelog and tags."""
    found: list[str] = []
    versions: list[str] = []
    released: dict[str, date] = {}
    for section in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        parts = HEADING.fullmatch(heading)
        if not parts:
            found.append(f"'## {heading}' is neither '## 1.0.0 (unreleased)' nor dated 2026-12-01")
            continue
        version, when = parts.groups()
        if not text.strip():
            found.append(f"{version} has no text")
        if when == "unreleased" and versions:
            found.append(f"{version} is unreleased and not the first")
        versions.append(version)
        if when != "unreleased":
            released[version] = date.fromisoformat(when)
    if any(Version(newer) <= Version(older) for newer, older in pairwise(versions)):
        found.append("versions do not descend")
    if any(newer < older for newer, older in pairwise(released.values())):
        found.append("dates do not descend")
    found += [f"{version} has a date and no tag" for version in sorted(released.keys() - tags)]
    found += [f"{tag} is a tag and has no date" for tag in sorted(tags - released.keys())]
    return found


def test_changelog_matches_the_tags() -> None:
    """If a clone has no tags, run `git fetch --tags`."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## ", changelog, re.MULTILINE)
    assert errors(changelog, set(git(ROOT, "tag").split())) == []


GOOD = """\
# Changes

## 1.10.0 (unreleased)

New.

## 1.9.0 (2027-01-31)

Newer.

## 1.0.0 (2026-12-01)

First.
"""
TAGS = {"1.9.0", "1.0.0"}


def test_valid_changelog_has_no_errors() -> None:
    assert errors(GOOD, TAGS) == []
    assert errors(GOOD.replace("unreleased", "2027-02-01"), TAGS | {"1.10.0"}) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("1.10.0 (unreleased)", "1.10.0 (2027-02-01)", "1.10.0 has a date and no tag"),
        ("1.9.0 (2027-01-31)", "1.9.1 (2027-01-31)", "1.9.0 is a tag and has no date"),
        ("1.9.0 (2027-01-31)", "1.9.0 (unreleased)", "1.9.0 is unreleased and not the first"),
        ("1.10.0", "1.8.0", "versions do not descend"),
        ("2027-01-31", "2026-11-30", "dates do not descend"),
        ("Newer.\n", "", "1.9.0 has no text"),
        ("1.10.0 (unreleased)", "v1.10.0", "'## v1.10.0' is neither"),
        ("1.10.0 (unreleased)", "Unreleased", "'## Unreleased' is neither"),
    ],
)
def test_invalid_changelog_is_reported(old: str, new: str, expected: str) -> None:
    assert expected in "\n".join(errors(GOOD.replace(old, new), TAGS))


def test_tag_with_a_v_is_reported() -> None:
    """Copier treats `v2.0.0` as a newer version and would update to it."""
    assert errors(GOOD, TAGS | {"v2.0.0"}) == ["v2.0.0 is a tag and has no date"]


def test_release_text_is_the_section_of_the_version() -> None:
    assert release_notes("1.9.0", GOOD) == "Newer.\n"
    assert release_notes("1.0.0", GOOD) == "First.\n"


@pytest.mark.parametrize("version", ["1.10.0", "1.1.0"])
def test_release_text_needs_a_dated_section(version: str) -> None:
    with pytest.raises(SystemExit, match=f"no dated section for {version}: add"):
        release_notes(version, GOOD)
