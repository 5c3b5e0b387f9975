"""This repository in git, and its answers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

ANSWERS = ".copier-answers.yml"
OWN = (
    "values.local.yaml",
    "gabbits/local/",
    "Makefile.local",
    "compose.override.yaml",
    ".gitlab-ci.local.yml",
)
"""The user's own places that may be rendered once; README.md has all of them."""


class UpkeepError(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, do: str = "") -> None:
        """Take both, for a person."""
        super().__init__(f"{what}\n{do}".rstrip())
        self.what, self.do = what, do


class Repository:
    """A rendered repository: a git work tree, or a folder of one."""

    def __init__(self, root: Path) -> None:
        """Take the folder that has the answers."""
        self.root = root

    def git(self, *arguments: str, given: str | None = None) -> str:
        """Run git there and return what it prints; hooks of the user's are not for this."""
        settings = ("-c", f"core.hooksPath={os.devnull}", "-c", "color.ui=false")
        done = subprocess.run(
            ["git", *settings, *arguments],
            cwd=self.root,
            input=given,
            text=True,
            errors="surrogateescape",
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise UpkeepError(f"git {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def names(self, *arguments: str) -> list[str]:
        """Run git with `-z` and return the file names that it prints."""
        command, *options = arguments
        return [name for name in self.git(command, "-z", *options).split("\0") if name]

    def changed(self, how: str) -> list[str]:
        """List the files that the index has added (A), or no longer has (D)."""
        options = ("--cached", "--relative", "--no-renames", "--name-only")
        return self.names("diff", *options, f"--diff-filter={how}", "HEAD")

    def check_git(self) -> None:
        """Refuse what is not in git: an update compares with what was committed."""
        try:
            self.git("rev-parse", "--verify", "HEAD^{commit}")
        except UpkeepError as error:
            raise UpkeepError(
                "This folder is not in git, or has no commit, which an update needs to merge your "
                f"changes ({error.what})",
                "git init && git add --all && git commit --message 'Start'",
            ) from None

    def check_clean(self) -> None:
        """Refuse changes that are not committed: an update would mix with them."""
        changed = self.git("status", "--porcelain", "--", ".").splitlines()
        if changed:
            raise UpkeepError(
                "There are changes that are not committed. Commit them (git add --all && git "
                "commit), or put them aside (git stash --include-untracked):",
                "\n".join(changed[:20]),
            )
        if "true" in self.git("config", "--default=false", "--get", "core.sparseCheckout"):
            raise UpkeepError(
                "This is a sparse checkout, in which an update would be half done.",
                "git sparse-checkout disable",
            )

    @contextmanager
    def scratch(self) -> Iterator["Repository"]:
        """Check out the last commit into another work tree, for as long as the block runs."""
        self.git("worktree", "prune")
        within = self.git("rev-parse", "--show-prefix").strip()
        with TemporaryDirectory(prefix="placement-update.") as folder:
            tree = Path(folder, "tree")
            self.git("worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
            try:
                yield Repository(tree / within)
            finally:
                with suppress(UpkeepError):  # git forgets it when the folder is gone
                    self.git("worktree", "remove", "--force", str(tree))

    def answers(self) -> dict[str, Any]:
        """Read the stored answers, and where Copier keeps which version it rendered."""
        path = self.root / ANSWERS
        back = f"Put back what Copier wrote there: git log -p {ANSWERS}"
        try:
            read = yaml.safe_load(path.read_bytes())
        except FileNotFoundError:
            raise UpkeepError(f"{ANSWERS} is not here.", back) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UpkeepError(f"{ANSWERS} cannot be read: {error}", back) from None
        if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
            raise UpkeepError(f"{ANSWERS} is no mapping of names to answers.", back)
        if not all(isinstance(read.get(name), str) for name in ("_src_path", "_commit")):
            raise UpkeepError(f"{ANSWERS} does not say, in text, where the template is.", back)
        return read


def is_own(name: str) -> bool:
    """Tell whether a file is in one of the user's own places."""
    return name.startswith(OWN)
