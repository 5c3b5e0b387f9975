"""What Placement itself records about this program's work, as the names of traits.

A provider that a file has created carries the trait CUSTOM_OWNED_BY_<owner>. A provider of someone
else carries CUSTOM_ADDED_BY_<owner>__<trait> for each trait, and
CUSTOM_ADDED_BY_<owner>__AGGREGATE_<uuid> for each aggregate, that `apply` has added to it.
"""

import re
import uuid

# How the traits of providers that any file has created begin.
OWNED = "CUSTOM_OWNED_BY_"


def owned(owner: str) -> str:
    """Return the trait of the providers that the file has created."""
    return f"{OWNED}{word(owner)}"


def owner(mark: str) -> str:
    """Return the owner that such a trait names."""
    return mark.removeprefix(OWNED).lower().replace("_", "-")


def prefix(owner: str) -> str:
    """Return the beginning of all records about additions. No owner's name contains two hyphens."""
    return f"CUSTOM_ADDED_BY_{word(owner)}__"


def of_trait(owner: str, trait: str) -> str:
    """Return the record of an added trait."""
    return prefix(owner) + trait


def of_aggregate(owner: str, aggregate: str) -> str:
    """Return the record of an added aggregate."""
    return f"{prefix(owner)}AGGREGATE_{aggregate.replace('-', '').upper()}"


def recorded(owner: str, record: str) -> tuple[str, bool]:
    """Return the trait or the aggregate that a record names, and whether it is an aggregate."""
    name = record.removeprefix(prefix(owner))
    found = re.fullmatch("AGGREGATE_([0-9A-F]{32})", name)
    return (str(uuid.UUID(found[1])), True) if found else (name, False)


def pool_uuid(owner: str, pool: str) -> str:
    """Return the UUID of a pool, so that `apply` recognizes a pool that it has not marked yet."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"zones.yaml/{owner}/{pool}"))


def word(owner: str) -> str:
    """Return the owner as a part of a trait's name."""
    return owner.upper().replace("-", "_")
