"""The plot of `make load`. The cluster tier runs the load itself."""

from __future__ import annotations

import pytest

from copier_placement.load.report import plot

ROWS = [
    {"second": second, "requests": 100, "failures": 0, "desired": 2, "ready": 2, "p95_ms": 9}
    for second in range(3)
]


@pytest.mark.parametrize("length", [9, 63])
def test_title_fits_into_the_plot(length: int) -> None:
    """Names in Kubernetes have up to 63 characters; the title names a Deployment and a namespace.

    It is not cut off at the sides, and does not cover the first curve.
    """
    name = "p" * length
    title = f"Load on {name} in the namespace {name}: 100 clients for 3600 s, 2026-11-26 12:00"
    figure = plot(ROWS, title, None)
    figure.draw_without_rendering()  # places its parts
    [text] = figure.texts or [figure._suptitle]  # type: ignore[attr-defined]
    box, whole = text.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0
    assert box.x1 <= whole.x1
    assert box.y1 <= whole.y1
    curves = figure.axes[0].get_tightbbox()
    assert curves is not None
    assert curves.y1 <= box.y0
