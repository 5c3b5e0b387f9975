"""A pytest plugin: what tests have measured and how long each tier took, told at the end."""

from __future__ import annotations

from collections import defaultdict

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each folder's tests, their work added up, and the time from first start to last end.

    Then each test's figures: what it has recorded as a property of that name.
    """
    tiers: dict[str, list[pytest.TestReport]] = defaultdict(list)
    figures: dict[str, object] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                tiers[report.nodeid.partition("::")[0].rpartition("/")[0]].append(report)
                if measured := dict(report.user_properties).get("figures"):
                    figures[report.nodeid] = measured
    terminalreporter.section("figures")
    for test, measured in sorted(figures.items()):
        terminalreporter.line(f"{test}: {measured}")
    terminalreporter.section("tiers")
    for tier, reports in sorted(tiers.items()):
        tests = len({report.nodeid for report in reports})
        work = sum(report.duration for report in reports)
        wall = max(report.stop for report in reports) - min(report.start for report in reports)
        terminalreporter.line(f"{tier}: {tests} tests, {work:.0f} s of work in {wall:.0f} s")
