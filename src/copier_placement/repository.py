"""A rendered repository in git, and its answers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from .errors import MaintenanceError

ANSWERS = ".copier-answers.yml"


class Repository:
    """A rendered repository: a git work tree, or a folder of one."""

    def __init__(self, root: Path) -> None:
        """Use the folder that holds the answers."""
        self.root = root

    def git(self, *arguments: str, stdin: str | None = None) -> str:
        """Run git here without the user's hooks, and return its output."""
        settings = ("-c", f"core.hooksPath={os.devnull}", "-c", "color.ui=false")
        done = subprocess.run(
            ["git", *settings, *arguments],
            cwd=self.root,
            input=stdin,
            text=True,
            errors="surrogateescape",
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise MaintenanceError(f"git {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def git_names(self, command: str, *arguments: str) -> list[str]:
        """Run git with `-z` and return the file names in its output."""
        return [name for name in self.git(command, "-z", *arguments).split("\0") if name]

    def staged(self, status: str) -> list[str]:
        """List the files that the index adds (A) or deletes (D)."""
        options = ("--cached", "--relative", "--no-renames", "--name-only")
        return self.git_names("diff", *options, f"--diff-filter={status}", "HEAD")

    def check_git(self) -> None:
        """Refuse a folder without a commit: an update compares with what was committed."""
        try:
            self.git("rev-parse", "--verify", "HEAD^{commit}")
        except MaintenanceError as error:
            raise MaintenanceError(
                "This folder is not in git, or has no commit. An update needs one to merge your "
                f"changes ({error.problem}).",
                "git init && git add --all && git commit --message 'Start'",
            ) from None

    def check_clean(self) -> None:
        """Refuse uncommitted changes: an update would mix with them."""
        changed = self.git("status", "--porcelain", "--", ".").splitlines()
        if changed:
            raise MaintenanceError(
                "Some changes are not committed. Commit them (git add --all && git commit) or "
                "stash them (git stash --include-untracked):",
                "\n".join(changed[:20]),
            )
        if "true" in self.git("config", "--default=false", "--get", "core.sparseCheckout"):
            raise MaintenanceError(
                "This is a sparse checkout. An update would miss the files outside it.",
                "git sparse-checkout disable",
            )

    @contextmanager
    def scratch(self) -> Iterator["Repository"]:
        """Check out the last commit into another work tree while the block runs."""
        self.git("worktree", "prune")
        within = self.git("rev-parse", "--show-prefix").strip()
        with TemporaryDirectory(prefix="placement-update.") as folder:
            tree = Path(folder, "tree")
            self.git("worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
            try:
                yield Repository(tree / within)
            finally:
                with suppress(MaintenanceError):  # git forgets it when its folder is deleted
                    self.git("worktree", "remove", "--force", str(tree))

    def answers(self) -> dict[str, Any]:
        """Read the stored answers, with Copier's own `_src_path` and `_commit`."""
        path = self.root / ANSWERS
        fix = f"Restore what Copier wrote there: git log -p {ANSWERS}"
        try:
            answers = yaml.safe_load(path.read_bytes())
        except FileNotFoundError:
            raise MaintenanceError(f"{ANSWERS} is missing.", fix) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise MaintenanceError(f"{ANSWERS} cannot be read: {error}", fix) from None
        if not isinstance(answers, dict) or not all(isinstance(name, str) for name in answers):
            raise MaintenanceError(f"{ANSWERS} is not a mapping of names to answers.", fix)
        if not all(isinstance(answers.get(name), str) for name in ("_src_path", "_commit")):
            raise MaintenanceError(
                f"{ANSWERS} does not name the template and its version (_src_path, _commit).", fix
            )
        return answers
