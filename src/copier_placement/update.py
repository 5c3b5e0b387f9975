"""`make set` and `make update`: update a scratch work tree, show the difference, then apply it."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import rendering
from .errors import NOTHING_CHANGED, MaintenanceError
from .repository import Repository

MARKER = "<<<<<<< before updating"
"""How Copier begins both versions of a conflict."""


@dataclass
class Preview:
    """The result of an update of the last commit."""

    base: str
    """The last commit."""
    tree: str
    """The resulting git tree."""
    changelog: str = ""
    """What the template reports about its newer versions."""
    unmerged: str = ""
    """The index entries of the files in conflict, as `git ls-files --unmerged -z` prints them."""
    versions: tuple[str, str] = ("", "")
    """The version of the template before and after."""
    deleted: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    @property
    def conflicts(self) -> list[str]:
        """The names of the files in conflict."""
        entries = filter(None, self.unmerged.split("\0"))
        return sorted({entry.partition("\t")[2] for entry in entries})


def run(
    repository: Repository, answers: dict[str, str] | None = None, version: str | None = None
) -> int:
    """Show an update and apply it; the exit code is 1 if conflicts remain."""
    repository.check_git()
    repository.check_clean()
    preview = new_preview(repository, answers or {}, version)
    if preview.tree == repository.git("rev-parse", f"{preview.base}^{{tree}}").strip():
        print("There is nothing to change: this repository is up to date.")
        return 0
    check_untracked(repository, preview)
    show(repository, preview)
    if not confirm():
        raise MaintenanceError(f"{NOTHING_CHANGED}.")
    apply(repository, preview)
    print_next_steps(preview)
    return 1 if preview.conflicts else 0


def new_preview(repository: Repository, answers: dict[str, str], version: str | None) -> Preview:
    """Update the last commit in a scratch work tree."""
    with repository.scratch() as scratch:
        before = scratch.answers()
        rendered = rendering.update(scratch, answers, version)
        after = scratch.answers()
        if unused := sorted(answers.keys() - after.keys()):
            verb = "are" if len(unused) > 1 else "is"
            raise MaintenanceError(
                f"{NOTHING_CHANGED}: {', '.join(unused)} {verb} not used with these answers.",
                "docs/reference/questions.md of the template lists what each depends on.",
            )
        unmerged = scratch.git("ls-files", "--unmerged", "--full-name", "-z")
        conflicts = scratch.git_names("diff", "--relative", "--name-only", "--diff-filter=U")
        # Executable files stay executable even if git is configured to ignore that.
        scratch.git("-c", "core.fileMode=true", "add", "--all", "--force", ".")
        for name in scratch.staged("A"):
            # The user's own file, which git ignores, so that the scratch work tree lacks it.
            if rendered.is_own(name) and (repository.root / name).exists():
                scratch.git("rm", "--cached", "--quiet", name)
        check_merged(scratch, conflicts)
        return Preview(
            base=scratch.git("rev-parse", "HEAD").strip(),
            tree=scratch.git("write-tree").strip(),
            changelog=rendered.changelog,
            unmerged=unmerged,
            versions=(str(before["_commit"]), str(after["_commit"])),
            deleted=scratch.staged("D"),
            added=scratch.staged("A"),
        )


def check_merged(scratch: Repository, conflicts: list[str]) -> None:
    """Refuse an update that would lose an edit, or hide a conflict."""
    for name in scratch.staged("A"):
        if name.endswith(".rej"):
            edited = name.removesuffix(".rej")
            raise MaintenanceError(
                f"{NOTHING_CHANGED}: the update cannot merge your edits of {edited}.",
                "Undo them, run the update, and repeat them.",
            )
    for name in scratch.staged("M"):
        before, after = (scratch.git("show", f"{version}:./{name}") for version in ("HEAD", ""))
        if not is_text(before):
            raise MaintenanceError(
                f"{NOTHING_CHANGED}: {name} is not text in UTF-8, so the update would lose your "
                "edits of it.",
                "Convert the file to UTF-8 without NUL bytes, and commit it.",
            )
        if MARKER in after and MARKER not in before and name not in conflicts:
            raise MaintenanceError(
                f"{NOTHING_CHANGED}: the update leaves conflict markers in {name}, and git does "
                "not know of the conflict.",
                f"Undo your edits of {name}, run the update, and repeat them.",
            )


def is_text(content: str) -> bool:
    """Whether git compares this content as text, and Copier can decode it."""
    return "\0" not in content and not any("\udc80" <= letter <= "\udcff" for letter in content)


def check_untracked(repository: Repository, preview: Preview) -> None:
    """Refuse to overwrite an untracked file, such as one that git ignores."""
    blocked = [name for name in preview.added if is_blocked(repository.root, name)]
    if blocked:
        raise MaintenanceError(
            f"{NOTHING_CHANGED}: the update adds files that exist here and that git ignores: "
            f"{', '.join(blocked)}",
            "Move your files elsewhere, or commit them: git add --force",
        )


def is_blocked(root: Path, name: str) -> bool:
    """Whether something has the place of a new file, or of a folder that holds it."""
    folders = [root / folder for folder in Path(name).parents][:-1]
    not_folders = (
        os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir())
        for folder in folders
    )
    return os.path.lexists(root / name) or any(not_folders)


def show(repository: Repository, preview: Preview) -> None:
    """Print the difference and, last, what needs attention."""
    # On a terminal git adds colours and a pager; to leave the pager early is not an error.
    command = ["git", "diff", "--no-ext-diff", "--relative", preview.base, preview.tree]
    subprocess.run(command, cwd=repository.root, check=False)
    before, after = preview.versions
    if before != after:
        print(f"\nThe template changes from version {before} to {after}.")
    if preview.changelog:
        print(f"\n{preview.changelog}")
    edited = edited_files(repository, preview)
    for name in preview.deleted:
        edits = ", including your edits. They remain in the last commit" if name in edited else ""
        print(f"\n{name} will be deleted{edits}.")
    for name in preview.conflicts:
        print(f"\nConflict: you and the template changed the same lines of {name}.")


def edited_files(repository: Repository, preview: Preview) -> set[str]:
    """Return the deleted files that differ from what the template had rendered."""
    if not preview.deleted:
        return set()
    with rendering.pristine(repository.answers()) as rendered:
        return {
            name
            for name in preview.deleted
            if not (rendered.root / name).is_file()
            or repository.git("hash-object", "--path", name, str(rendered.root / name))
            != repository.git("rev-parse", f"{preview.base}:./{name}")
        }


def confirm() -> bool:
    """Ask for confirmation on a terminal; without a terminal, continue."""
    if not sys.stdin or not sys.stdin.isatty():
        return True
    print("\nApply these changes? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def apply(repository: Repository, preview: Preview) -> None:
    """Make the index and the work tree equal to the preview; no signal stops this half-way."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    if repository.git("rev-parse", "HEAD").strip() != preview.base:
        raise MaintenanceError(f"{NOTHING_CHANGED}: HEAD has moved in the meantime. Try again.")
    repository.git("read-tree", "-m", "-u", preview.base, preview.tree)
    if preview.unmerged:
        stages = [entry for entry in preview.unmerged.split("\0") if entry]
        merged = [f"0 {'0' * 40}\t{name}" for name in preview.conflicts]
        repository.git("update-index", "-z", "--index-info", stdin="\0".join(merged + stages))


def print_next_steps(preview: Preview) -> None:
    """Print how to keep the changes and how to undo them."""
    if preview.conflicts:
        print(
            f"\nThe update is applied, with conflicts in {len(preview.conflicts)} file(s): "
            f"{', '.join(preview.conflicts)}.\nChoose between the versions inside the conflict "
            "markers, run `git add` on each file, then `git commit`."
        )
    else:
        print("\nThe changes are applied and staged. Show them: git diff --cached")
        print("Keep them: git commit")
    if "Makefile" in (Path(name).name for name in preview.conflicts):
        print(
            "make cannot run until the conflict in Makefile is resolved. "
            "Use `dev/maintain doctor` instead of `make doctor`."
        )
    print("Undo them: git restore --source HEAD --staged --worktree .")
