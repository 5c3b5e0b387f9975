"""CHANGELOG.md and the repository's tags say the same about the versions of the template."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

import pytest
from packaging.version import Version

from tests.support.template import ROOT, git

HEADING = re.compile(r"(\d+\.\d+\.\d+) \((unreleased|\d{4}-\d\d-\d\d)\)")


def problems(changelog: str, tags: set[str]) -> list[str]:
    """List what is wrong."""
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
    if any(Version(one) <= Version(next_one) for one, next_one in pairwise(versions)):
        found.append("versions do not descend")
    if any(one < next_one for one, next_one in pairwise(released.values())):
        found.append("dates do not descend")
    found += [f"{it} has a date and no tag" for it in sorted(released.keys() - tags)]
    found += [f"{it} is a tag and has no date" for it in sorted(tags - released.keys())]
    return found


def test_the_changelog_and_the_tags_agree() -> None:
    """A clone without tags gets them by `git fetch --tags`."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## ", changelog, re.MULTILINE)
    assert problems(changelog, set(git(ROOT, "tag").split())) == []


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


def test_a_good_changelog_has_no_problem() -> None:
    assert problems(GOOD, TAGS) == []
    assert problems(GOOD.replace("unreleased", "2027-02-01"), TAGS | {"1.10.0"}) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
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
def test_a_bad_changelog_is_found_out(old: str, new: str, found: str) -> None:
    assert found in "\n".join(problems(GOOD.replace(old, new), TAGS))


def test_a_tag_that_copier_would_take_is_a_version_of_the_changelog() -> None:
    """Copier reads `v2.0.0` as a newer version, and updates would go there."""
    assert problems(GOOD, TAGS | {"v2.0.0"}) == ["v2.0.0 is a tag and has no date"]
