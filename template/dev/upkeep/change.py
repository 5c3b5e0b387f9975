"""Change answers, or the version of the template: first in a scratch work tree, then here."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import rendering
from repository import Repository, UpkeepError, is_own


@dataclass
class Preview:
    """What an update makes of the last commit."""

    base: str
    """The commit."""
    tree: str
    """The git tree that comes of it."""
    news: str = ""
    """What the template says has changed in it."""
    conflicts: str = ""
    """What git's index says of files in which both have changed the same lines."""
    versions: tuple[str, str] = ("", "")
    """The version of the template before and after."""
    gone: list[str] = field(default_factory=list)
    """The files that are no longer there."""
    added: list[str] = field(default_factory=list)
    """The files that are new."""

    @property
    def conflicting(self) -> list[str]:
        """The names of the files in conflict."""
        entries = filter(None, self.conflicts.split("\0"))
        return sorted({entry.partition("\t")[2] for entry in entries})


def run(
    repository: Repository, answers: dict[str, str] | None = None, version: str | None = None
) -> int:
    """Show what an update does, and do it; the exit code is 1 where a conflict is left."""
    repository.check_git()
    repository.check_clean()
    found = preview(repository, answers or {}, version)
    if found.tree == repository.git("rev-parse", f"{found.base}^{{tree}}").strip():
        print("There is nothing to change: it is all like this already.")
        return 0
    check_nothing_in_the_way(repository, found)
    show(repository, found)
    if not agreed():
        raise UpkeepError("Nothing is changed.")
    take(repository, found)
    return tell_how_to_go_on(found)


def preview(repository: Repository, answers: dict[str, str], version: str | None) -> Preview:
    """Update the last commit in a scratch work tree."""
    with repository.scratch() as scratch:
        before = scratch.answers()
        news = rendering.update(scratch, answers, version)
        after = scratch.answers()
        if unheard := sorted(answers.keys() - after.keys()):
            raise UpkeepError(
                f"Nothing is changed: with these answers nobody asks for {', '.join(unheard)}.",
                "docs/reference/questions.md of the template says when it is asked.",
            )
        conflicts = scratch.git("ls-files", "--unmerged", "--full-name", "-z")
        # Executable files have to stay so, also where git is told not to look.
        scratch.git("-c", "core.fileMode=true", "add", "--all", "--force", ".")
        for name in scratch.changed("A"):
            if is_own(name) and (repository.root / name).exists():  # and git ignores it
                scratch.git("rm", "--cached", "--quiet", name)
        return Preview(
            base=scratch.git("rev-parse", "HEAD").strip(),
            tree=scratch.git("write-tree").strip(),
            news=news,
            conflicts=conflicts,
            versions=(str(before["_commit"]), str(after["_commit"])),
            gone=scratch.changed("D"),
            added=scratch.changed("A"),
        )


def check_nothing_in_the_way(repository: Repository, found: Preview) -> None:
    """Refuse to write over a file that git does not know, such as one that it ignores."""
    there = [name for name in found.added if is_in_the_way(repository.root, name)]
    if there:
        raise UpkeepError(
            "Nothing is changed: the template has files now that git ignores here: "
            f"{', '.join(there)}",
            "Move yours away, or commit them: git add --force",
        )


def is_in_the_way(root: Path, name: str) -> bool:
    """Tell whether there is something in the place of a file, or of a folder that it is in."""
    folders = [root / it for it in Path(name).parents]
    taken = (os.path.lexists(it) and (it.is_symlink() or not it.is_dir()) for it in folders[:-1])
    return os.path.lexists(root / name) or any(taken)


def show(repository: Repository, found: Preview) -> None:
    """Print the difference and, last, what needs attention."""
    # git chooses colours and a pager, where there is a terminal; to leave the pager is no failure.
    command = ["git", "diff", "--no-ext-diff", "--relative", found.base, found.tree]
    subprocess.run(command, cwd=repository.root, check=False)
    before, after = found.versions
    if before != after:
        print(f"\nThe template goes from {before} to {after}.")
    if found.news:
        print(f"\n{found.news}")
    edited = edited_files(repository, found)
    for name in found.gone:
        with_it = ", with what you have changed in it: only the last commit has it then"
        print(f"\nThis file goes: {name}{with_it if name in edited else ''}")
    for name in found.conflicting:
        print(f"\nYou and the template have changed the same lines: {name}")


def edited_files(repository: Repository, found: Preview) -> set[str]:
    """Choose from the files that go those that are not as the template had rendered them."""
    if not found.gone:
        return set()
    with rendering.pristine(repository.answers()) as untouched:
        return {
            name
            for name in found.gone
            if not (untouched / name).is_file()
            or repository.git("hash-object", "--path", name, str(untouched / name))
            != repository.git("rev-parse", f"{found.base}:./{name}")
        }


def agreed() -> bool:
    """Ask, where there is somebody to ask."""
    if not sys.stdin or not sys.stdin.isatty():
        return True
    print("\nMake these changes? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def take(repository: Repository, found: Preview) -> None:
    """Make the index and the work tree like the preview, in one go that no signal stops."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    if repository.git("rev-parse", "HEAD").strip() != found.base:
        raise UpkeepError("Nothing is changed: there is a new commit meanwhile. Try again.")
    repository.git("read-tree", "-m", "-u", found.base, found.tree)
    if found.conflicts:
        stages = [entry for entry in found.conflicts.split("\0") if entry]
        merged = [f"0 {'0' * 40}\t{name}" for name in found.conflicting]
        repository.git("update-index", "-z", "--index-info", given="\0".join(merged + stages))


def tell_how_to_go_on(found: Preview) -> int:
    """Say how to keep the changes and how to take them back."""
    if found.conflicting:
        print(
            f"\nDone, but for {len(found.conflicting)} of the files, where your version and the "
            "template's now stand\nbetween conflict markers. Settle that in each, `git add` it, "
            "and `git commit`."
        )
    else:
        print("\nDone, and not committed yet: `git diff --cached` shows it, `git commit` keeps it.")
    if "Makefile" in (Path(name).name for name in found.conflicting):
        instead = "dev/.venv-upkeep/bin/python dev/upkeep doctor"
        print(f"Until Makefile is settled, make cannot run; instead of make doctor: {instead}")
    print("To take it all back: git restore --source HEAD --staged --worktree .")
    return 1 if found.conflicting else 0
