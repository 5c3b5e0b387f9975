"""Every test of this tier runs updates: in memory, where the machine has a RAM disk."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package", autouse=True)
def _in_memory(in_memory: None) -> None:
    pass
