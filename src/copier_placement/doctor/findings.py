"""Findings, and how they are printed."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One problem."""

    check: str
    """The topic, such as tools, git, conflicts, answers, environments, gitops, drift or cluster."""
    problem: str
    fix: str = ""
    detail: str = ""


def report(findings: list[Finding], *, as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        print(json.dumps({"ok": not findings, "findings": [*map(asdict, findings)]}, indent=2))
        return
    for finding in findings:
        print(f"{finding.check}: {finding.problem}")
        if finding.fix:
            print(f"  -> {finding.fix}")
        if finding.detail:
            print("\n" + "".join(f"    {line}\n" for line in finding.detail.splitlines()))
    number = len(findings)
    print({0: "No problems.", 1: "1 problem."}.get(number, f"{number} problems."))
