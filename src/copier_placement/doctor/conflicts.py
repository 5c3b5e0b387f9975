"""Conflicts that an update left behind."""

from collections.abc import Iterator

from ..errors import MaintenanceError
from ..repository import Repository
from .findings import Finding


def unresolved_conflicts(repository: Repository) -> Iterator[Finding]:
    """Find conflict markers, unmerged files, and rejected changes."""
    markers = ("grep", "--untracked", "--name-only", "-E", "-e", "^(<{7}|>{7}) ")
    try:
        names = set(repository.git_names(*markers))
    except MaintenanceError:  # git grep fails if nothing matches
        names = set()
    names |= set(repository.git_names("diff", "--relative", "--name-only", "--diff-filter=U"))
    for name in sorted(names):
        fix = "choose between the versions inside its conflict markers, then `git add` it"
        yield Finding("conflicts", f"{name} has an unresolved conflict", fix)
    for name in repository.git_names("ls-files", "--cached", "--others", "--", "*.rej"):
        fix = f"apply them to {name.removesuffix('.rej')} by hand, then delete {name}"
        yield Finding("conflicts", f"{name} holds changes that an update could not apply", fix)
