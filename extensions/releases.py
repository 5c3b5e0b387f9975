"""The OpenStack releases that the questions offer, and the steps between releases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

RELEASES: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted(Path(__file__).parent.parent.glob("releases/*.yml"))
}
"""The facts of each OpenStack release that the questions offer, oldest first."""


def release_step(deployed: str, wanted: str) -> str:
    """Return why a deployment cannot be upgraded from one release to another, or nothing.

    OpenStack upgrades from a release to the next one, or from a SLURP release (the first of a
    year) to the next SLURP release. No database schema can be downgraded. Source:
    https://governance.openstack.org/tc/resolutions/20220210-release-cadence-adjustment.html
    """
    named = re.fullmatch(r"([0-9]{4})\.([12])", deployed)
    if not named or wanted == deployed:
        return ""
    year, half = int(named[1]), int(named[2])
    following = [f"{year}.2", f"{year + 1}.1"] if half == 1 else [f"{year + 1}.1"]
    if wanted in following:
        return ""
    offered = [name for name in (deployed, *following) if name in RELEASES]
    instead = (
        f"use {' or '.join(offered)}"
        if offered
        else "update to an older version of this template first, with --vcs-ref"
    )
    if wanted < deployed:
        return (
            f"release: {wanted} is older than the deployed {deployed}, "
            f"and a database cannot be downgraded; {instead}"
        )
    return f"release: OpenStack cannot upgrade from {deployed} to {wanted} in one step; {instead}"
