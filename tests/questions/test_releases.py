"""The steps between OpenStack releases."""

from __future__ import annotations

import pytest

from extensions.releases import release_step


@pytest.mark.parametrize(
    ("deployed", "wanted", "allowed"),
    [
        ("2025.1", "2025.1", True),
        ("2025.1", "2025.2", True),
        ("2025.1", "2026.1", True),  # from a SLURP release to the next one
        ("2025.1", "2026.2", False),
        ("2025.2", "2026.1", True),
        ("2025.2", "2026.2", False),  # 2025.2 is not a SLURP release
        ("2025.2", "2025.1", False),
        ("2026.1", "2026.2", True),
        ("2026.2", "2026.1", False),
        ("2026.2", "2025.1", False),
        ("2024.2", "2025.1", True),  # deployed with an older template
        ("2024.1", "2025.1", True),
        ("2024.1", "2025.2", False),
    ],
)
def test_release_steps(deployed: str, wanted: str, allowed: bool) -> None:
    """A step leads to the next release, or from a SLURP release to the next SLURP release."""
    error = release_step(deployed, wanted)
    assert (error == "") == allowed
    if not allowed:
        assert error.startswith("release: ")
        assert "; use " in error


def test_release_older_than_all_offered_ones_needs_an_older_template() -> None:
    """None of the offered releases follows it."""
    assert "update to an older version of this template first" in release_step("2023.1", "2026.2")
