"""A pytest plugin: figures that tests measured, and the time and slowest tests of each tier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest

SLOWEST = 5
# In these folders, each subfolder is a tier of its own.
NESTED = ("stack", "template_updates")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded as a property, and then the tiers."""
    stats = terminalreporter.stats.values()
    reports = [report for some in stats for report in some if isinstance(report, pytest.TestReport)]
    terminalreporter.section("figures")
    for line in figures(reports):
        terminalreporter.line(line)
    terminalreporter.section("tiers")
    for line in tiers(reports):
        terminalreporter.line(line)


def figures(reports: Iterable[pytest.TestReport]) -> list[str]:
    """List the figures of each test that recorded some."""
    found = {report.nodeid: dict(report.user_properties).get("figures") for report in reports}
    return [f"{test}: {measured}" for test, measured in sorted(found.items()) if measured]


def tier(test: str) -> str:
    """Return the tier of a test: the first folder below tests/, or the second in a nested one."""
    folders = test.partition("::")[0].split("/")[:-1]
    return "/".join(folders[: 3 if folders[1:2] and folders[1] in NESTED else 2])


def tiers(reports: Iterable[pytest.TestReport]) -> list[str]:
    """List each tier with its tests, work, wall time and slowest tests."""
    by_tier: dict[str, list[pytest.TestReport]] = defaultdict(list)
    for report in reports:
        by_tier[tier(report.nodeid)].append(report)
    return [line for name, some in sorted(by_tier.items()) for line in summary(name, some)]


def summary(name: str, reports: list[pytest.TestReport]) -> list[str]:
    """Summarize one tier; a test's work includes its setup and teardown."""
    work: dict[str, float] = defaultdict(float)
    for report in reports:
        work[report.nodeid] += report.duration
    wall = max(report.stop for report in reports) - min(report.start for report in reports)
    slowest = sorted(work, key=lambda test: -work[test])[:SLOWEST]
    return [
        f"{name}: {len(work)} tests, {sum(work.values()):.0f} s of work in {wall:.0f} s",
        *(f"  {work[test]:6.1f} s  {test.removeprefix(name + '/')}" for test in slowest),
    ]
