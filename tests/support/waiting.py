"""Waiting for a condition, long enough for a busy machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tenacity import RetryError, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

LONGEST = 180


def wait_until(
    condition: Callable[[], object],
    report: Callable[[], str] = lambda: "",
    seconds: float = LONGEST,
) -> None:
    """Wait until a condition holds, or fail with a report."""
    waiting = Retrying(
        stop=stop_after_delay(seconds), wait=wait_fixed(0.1), retry=retry_if_not_result(bool)
    )
    try:
        waiting(condition)
    except RetryError:
        pytest.fail(f"nothing within {seconds} s: {report()}")
