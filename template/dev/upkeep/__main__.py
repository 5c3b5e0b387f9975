"""Keep this repository in step with the template: what make update, set and doctor run."""

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

import change
import doctor
from repository import Repository, UpkeepError


def words() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="dev/upkeep", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    update = commands.add_parser("update", help="take a newer version of the template")
    update.add_argument("--to", default="", help="this version, and not the newest")
    answers = commands.add_parser("set", help="change answers")
    answers.add_argument("overrides", help="NAME=VALUE..., as make has them in MAKEOVERRIDES")
    look = commands.add_parser("doctor", help="say what is not well, and what to do about it")
    look.add_argument("--json", action="store_true", help="say it for a program")
    look.add_argument("--cluster", action="store_true", help="look for the Secrets, too")
    look.add_argument("--namespace", default="", help="the namespace that they are in")
    look.add_argument("--secrets", default="", help="each as name:key,key")
    return parser.parse_args()


def answers_of(overrides: str) -> dict[str, str]:
    """Take apart what make says was set on its command line: it escapes blanks by a backslash."""
    reader = shlex.shlex(overrides.replace("$$", "$"), posix=True)
    reader.whitespace_split, reader.commenters, reader.quotes = True, "", ""
    answers = dict(word.partition("=")[::2] for word in reader if "=" in word)
    if not answers:
        raise UpkeepError("Say which answer: make set NAME=value", "README.md lists them: Settings")
    return answers


def main() -> int:
    """Do it, and return the exit code."""
    said = words()
    repository = Repository(Path.cwd())
    if said.command == "doctor":
        secrets = said.secrets.split()
        return doctor.run(
            repository, said.namespace, secrets, cluster=said.cluster, as_json=said.json
        )
    if said.command == "set":
        return change.run(repository, answers=answers_of(said.overrides))
    return change.run(repository, version=said.to)


if __name__ == "__main__":
    # As Ctrl-C does, so that the scratch work tree goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.stdout:  # for names and lines that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except UpkeepError as problem:
        sys.exit(str(problem))
    except BrokenPipeError:  # whoever read what this prints has gone
        os._exit(1)
    except KeyboardInterrupt:
        print("Interrupted: nothing is changed.", file=sys.stderr)
        sys.exit(130)
