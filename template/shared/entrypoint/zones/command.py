"""The command `zones`."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from entrypoint.errors import StartError, report, report_errors
from entrypoint.zones import difference, export, file, nova, output, state
from entrypoint.zones.api import Placement
from entrypoint.zones.write import Writer

DEFAULT_FILE = "/zones.yaml"
# The exit status of `plan` if there are differences.
DIFFERENT = 2


class Parser(argparse.ArgumentParser):
    """A parser whose errors do not have the exit status of differences."""

    def error(self, message: str) -> NoReturn:
        """Report wrong arguments."""
        raise StartError(f"{self.prog}: {message}")


def zones(*arguments: str) -> None:
    """Plan or apply what zones.yaml describes, or print such a file for a running Placement."""
    with report_errors(unexpected=StartError):
        run(parse_args(arguments))


def parse_args(arguments: tuple[str, ...]) -> argparse.Namespace:
    """Return the options."""
    parser = Parser(prog="zones", allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True, parser_class=Parser)
    for name, text in (
        ("plan", "print the changes; exit status 0: none, 2: some, 1: an error"),
        ("apply", "make the changes"),
        ("export", "print a file that describes Placement"),
    ):
        action = actions.add_parser(name, help=text, allow_abbrev=False)
        action.add_argument("file", nargs="?", metavar="FILE", help=f"default: {DEFAULT_FILE}")
        if name != "export":
            action.add_argument("--json", action="store_true", help="print JSON")
        if name == "apply":
            action.add_argument("--yes", action="store_true", help="remove without asking")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Run one of the actions."""
    if options.action == "export":
        print_export(options.file)
    else:
        plan_or_apply(options)


def plan_or_apply(options: argparse.Namespace) -> None:
    """Print the difference, and write it if that is wanted."""
    wanted = file.load(options.file or DEFAULT_FILE)
    placement = Placement()
    current = state.read(placement, wanted)
    in_nova = nova.read(placement.cloud) if placement.cloud else None
    if in_nova:
        in_nova.mark(current)
    found = difference.compare(placement, wanted, current)
    if in_nova and not in_nova.is_hidden:
        warnings, commands = nova.compare(in_nova, wanted, found.zones)
        found.warnings += warnings
    else:
        commands = nova.commands(wanted, current, found)
    print(output.as_json(found, commands) if options.json else output.text(found))
    if commands and not options.json:
        print("\nIn Nova, before `apply`:", *commands, sep="\n  ")
    sys.stdout.flush()
    for warning in found.warnings:
        report(f"warning: {warning}")
    if options.action == "plan":
        sys.exit(DIFFERENT if found.changes or found.warnings or (in_nova and commands) else 0)
    if not found.changes:
        return
    if in_nova and in_nova.is_hidden:
        nova.check_removals(found)
    removals = [change for change in found.changes if change.removes]
    may_remove = options.yes or not removals or confirm(len(removals))
    changes = [change for change in found.changes if may_remove or not change.removes]
    problems = Writer(placement, wanted, current).write(changes)
    if not may_remove:
        problems += [f"{change.name} stays as it is: pass --yes to remove" for change in removals]
    if problems:
        for problem in problems[1:]:
            report(problem)
        raise StartError(problems[0])
    if not options.json:
        print("Applied.")


def confirm(removals: int) -> bool:
    """Ask before anything is removed, and return False if there is no one to ask."""
    question = f"{removals} of these changes remove something. Continue? [y/N] "
    # Standard output may be JSON.
    print(question, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if answer and answer.strip().lower() not in ("y", "yes"):
        raise StartError("nothing is written")
    return bool(answer)


def print_export(path: str | None) -> None:
    """Print a file. The owner is that of the existing file, if there is one."""
    if not path and Path(DEFAULT_FILE).exists():
        path = DEFAULT_FILE
    owner = file.load(path).owner if path else file.DEFAULT_OWNER
    placement = Placement()
    # Report a Keystone that does not answer before Nova is blamed.
    placement.get("/")
    titles = nova.titles(placement.cloud) if placement.cloud else {}
    print(export.export(placement, titles, owner), end="")
