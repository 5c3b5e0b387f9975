"""The settings of git while Copier runs: those of the user could make it lose an edit."""

import os
from collections.abc import Mapping

# Copier applies the user's edits with `git apply`, and finds those that do not apply as untracked
# files in `git status`. Both depend on the settings of git. Files that git ignores, or that an
# attribute declares to be binary, are missing in the comparison.
SETTINGS = {
    "apply.ignoreWhitespace": "no",
    "apply.whitespace": "nowarn",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.hooksPath": os.devnull,
    "status.showUntrackedFiles": "all",
}


def override(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables that override these settings, and keep all others that are set this way."""
    first = int(environment.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_COUNT": str(first + len(SETTINGS))}
    for number, (name, value) in enumerate(SETTINGS.items(), first):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
