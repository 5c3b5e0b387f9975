"""All of this tier updates: in memory, where there is such a place."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package", autouse=True)
def _in_memory(in_memory: None) -> None:
    pass
