"""Migrations: what an update changes in a repository before it renders, one function each.

Once per update, Copier runs this file in the repository with the old and the new version
(`_migrations` in copier.yml). It calls the functions of the versions in between. A function may
rewrite answers, which Copier then reads again, and rename files, which keeps the user's edits. It
must work however the user has edited the repository.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from packaging.version import Version

ANSWERS = Path(".copier-answers.yml")

MIGRATIONS: list[tuple[Version, Callable[[], None]]] = []
"""All migrations, each with its version, in the order of this file."""


def migration(version: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function for updates from an older version to this one or a newer one."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        MIGRATIONS.append((Version(version), function))
        return function

    return register


def rename_answer(old: str, new: str) -> None:
    """Keep the answer to a question that was renamed."""
    answers = yaml.safe_load(ANSWERS.read_text(encoding="utf-8"))
    if old in answers:
        answers[new] = answers.pop(old)
        ANSWERS.write_text(yaml.safe_dump(answers), encoding="utf-8")


def change_answer(name: str, old: object, new: object) -> None:
    """Replace an answer that the question no longer offers."""
    answers = yaml.safe_load(ANSWERS.read_text(encoding="utf-8"))
    if answers.get(name) == old:
        answers[name] = new
        ANSWERS.write_text(yaml.safe_dump(answers), encoding="utf-8")


def rename_file(old: str, new: str) -> None:
    """Rename a file together with the user's edits, which Copier itself would lose.

    If the content also changes in the same version, every user gets a conflict. Change it in
    another version, so that only users with edits in the file may get one.
    """
    if Path(old).exists() and not Path(new).exists():
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "mv", old, new], check=True)


def main(before: Version, after: Version) -> None:
    """Run the migrations between two versions."""
    for version, migrate in MIGRATIONS:
        if before < version <= after:
            print(f"{migrate.__name__}: {migrate.__doc__}", file=sys.stderr)
            migrate()


if __name__ == "__main__":
    main(Version(sys.argv[1]), Version(sys.argv[2]))
