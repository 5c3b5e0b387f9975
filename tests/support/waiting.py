"""Waiting for a condition, long enough for a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

LONGEST = 180


def wait_until(
    condition: Callable[[], object],
    report: Callable[[], str] = lambda: "",
    seconds: float = LONGEST,
) -> None:
    """Wait until a condition holds, or fail with a report."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"nothing within {seconds} s: {report()}")
        time.sleep(0.1)
