"""What an update changes in a repository before it renders: one function for each change.

Copier runs this file in the repository, with the versions that it goes from and to, once for each
update (`_migrations` in copier.yml). A function is called when its version lies between the two. It
may rewrite answers, which Copier reads again afterwards, and rename files, so that what a user has
changed in them goes along. It must not depend on how the repository was edited.
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
"""Each with the version that brings it, in the order of this file."""


def migration(version: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Have a function called by an update from an older version to this one or a newer."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        MIGRATIONS.append((Version(version), function))
        return function

    return register


def rename_answer(old: str, new: str) -> None:
    """Keep the answer to a question that has another name now."""
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
    """Move a file with what the user has changed in it; Copier by itself would drop that.

    Where the content differs from what the template renders, the user sees a conflict. So rename a
    file in one version, and change what is in it in another: who has not edited it has none then.
    """
    if Path(old).exists() and not Path(new).exists():
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "mv", old, new], check=True)


def main(before: Version, after: Version) -> None:
    """Run the migrations on the way."""
    for version, migrate in MIGRATIONS:
        if before < version <= after:
            print(f"{migrate.__name__}: {migrate.__doc__}", file=sys.stderr)
            migrate()


if __name__ == "__main__":
    main(Version(sys.argv[1]), Version(sys.argv[2]))
