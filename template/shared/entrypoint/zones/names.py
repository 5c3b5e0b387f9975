"""The names of traits and resource classes: standard ones, and those that a file declares."""

import difflib
from collections.abc import Iterable

import os_resource_classes
import os_traits

# The traits that say what a compute host can do. Nova sets and removes them with each refresh.
NOVA = "COMPUTE_"
SHARING = os_traits.MISC_SHARES_VIA_AGGREGATE
# What this program writes about itself; see records.py.
RESERVED = ("CUSTOM_ADDED_BY_", "CUSTOM_OWNED_BY_")


def unknown_trait(name: str, declared: Iterable[str]) -> str | None:
    """Return what is wrong with the name of a trait, or nothing."""
    return unknown(name, "trait", os_traits.get_traits(), declared, "traits")


def unknown_class(name: str, declared: Iterable[str]) -> str | None:
    """Return what is wrong with the name of a resource class, or nothing."""
    standard = os_resource_classes.STANDARDS
    return unknown(name, "resource class", standard, declared, "resource_classes")


def unknown(
    name: str, kind: str, standard: Iterable[str], declared: Iterable[str], place: str
) -> str | None:
    """Return an error for a name that is neither standard nor declared, with the nearest name."""
    known = [*standard, *declared]
    if name in known:
        return None
    if name.startswith("CUSTOM_"):
        return f"{name} is not listed under {place}{did_you_mean(name, known) or ': list it'}"
    return f"{name} is not a standard {kind}{did_you_mean(name, known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question with the nearest known name, or nothing if no name is near."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {nearest[0]}?" if nearest else ""
