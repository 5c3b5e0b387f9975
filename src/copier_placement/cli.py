"""Change the answers of a rendered repository, update it from its template, and check it."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import NOTHING_CHANGED, MaintenanceError
from .overrides import answers_from_arguments, answers_from_make
from .repository import Repository

# Each command imports what it needs when it runs: Copier takes half a second, matplotlib as much.


def run_set(options: argparse.Namespace) -> int:
    """Change answers."""
    from . import update

    if options.makeoverrides is None:
        answers = answers_from_arguments(options.answers)
    else:
        answers = answers_from_make(options.makeoverrides)
    return update.run(Repository(Path.cwd()), answers=answers)


def run_update(options: argparse.Namespace) -> int:
    """Update to a version of the template."""
    from . import update

    return update.run(Repository(Path.cwd()), version=options.version)


def run_doctor(options: argparse.Namespace) -> int:
    """Report problems."""
    from . import doctor

    cluster = (
        doctor.Cluster(
            options.context, options.namespace, options.selector, options.secrets.split()
        )
        if options.cluster
        else None
    )
    return doctor.run(Repository(Path.cwd()), cluster, as_json=options.json)


def run_load(options: argparse.Namespace) -> int:
    """Run the load test."""
    try:
        from . import load
    except ImportError as error:
        raise MaintenanceError(
            f"The load test is not installed: {error}.",
            "Install this tool with its extra: copier-placement[load]",
        ) from None
    deployment = load.Deployment(options.context, options.namespace, options.selector)
    return load.run(deployment, options.clients, options.seconds, options.cooldown)


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return the type of an option that is a number between two others."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            message = f"{text!r} is not a whole number from {lowest} to {highest}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return parse


def new_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="copier-placement", description=__doc__)
    parser.set_defaults(interrupted="")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    set_ = commands.add_parser("set", help="change answers, and stay at this template version")
    set_.set_defaults(run=run_set, interrupted=f"{NOTHING_CHANGED}.")
    set_.add_argument("answers", nargs="*", metavar="NAME=VALUE", help="an answer")
    set_.add_argument("--makeoverrides", metavar="TEXT", help="the same, as make's MAKEOVERRIDES")

    update = commands.add_parser("update", help="update to a newer version of the template")
    update.set_defaults(run=run_update, interrupted=f"{NOTHING_CHANGED}.")
    update.add_argument("version", nargs="?", default="", help="default: the newest version")

    doctor = commands.add_parser("doctor", help="report problems, and how to fix them")
    doctor.set_defaults(run=run_doctor)
    doctor.add_argument("--json", action="store_true", help="report them as JSON")
    doctor.add_argument("--cluster", action="store_true", help="also check the deployed Placement")
    doctor.add_argument("--context", default="", help="the context; default: the current one")
    doctor.add_argument("--namespace", default="", help="the namespace of the deployed Placement")
    doctor.add_argument("--selector", default="", help="the labels of its Deployment")
    doctor.add_argument("--secrets", default="", metavar="NAME:KEY,KEY ...", help="the Secrets")

    load = commands.add_parser("load", help="load-test the deployed Placement, and plot the result")
    load.set_defaults(run=run_load)
    load.add_argument("--context", default="", help="the context; default: the current one")
    load.add_argument("--namespace", required=True, help="the namespace of the Deployment")
    load.add_argument("--selector", required=True, help="the labels of the Deployment")
    load.add_argument("--clients", type=whole_number(1, 100), default=8, help="default: 8")
    load.add_argument("--seconds", type=whole_number(1, 3600), default=120, help="default: 120")
    load.add_argument("--cooldown", type=whole_number(0, 3600), default=0, help="default: 0")
    return parser


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    return new_parser().parse_args(arguments)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = parse_args(arguments)
    try:
        code: int = options.run(options)
    except MaintenanceError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted. {options.interrupted}".rstrip(), file=sys.stderr)
        return 130
    return code


def main() -> None:
    """Run a command in a process of its own."""
    # As Ctrl-C does, so that the scratch work tree is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.stdout:  # a terminal may be unable to show a file name or a line of a difference
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has left
        os._exit(1)
    sys.exit(code)
