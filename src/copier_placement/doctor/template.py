"""The stored answers, and the template's newest version."""

from collections.abc import Iterator

from ..errors import CopierTooOldError, MaintenanceError
from ..repository import ANSWERS, Repository
from ..update import new_preview
from .findings import Finding


def unused_answers(stored: dict[str, object], used: dict[str, object]) -> Iterator[Finding]:
    """Find stored answers to questions that are not asked; Copier would not have stored them."""
    for name in sorted(stored.keys() - used.keys()):
        fix = f"delete the line from {ANSWERS}, or change the answer it depends on with `make set`"
        yield Finding("answers", f"{name} is not used with these answers", fix)


def newer_version(repository: Repository) -> Iterator[Finding]:
    """Try an update to the newest version, as `make update` does."""
    try:
        preview = new_preview(repository, {}, "")
    except CopierTooOldError as error:
        # `make update` runs the tool of the newest version, with the Copier that it needs.
        problem = f"a newer version of the template is available ({error.problem})"
        yield Finding("template", problem, "make update")
        return
    except MaintenanceError as error:
        fix = error.fix or "change the answer (make set NAME=value), commit, then make update"
        yield Finding("template", f"an update is refused: {error.problem}", fix)
        return
    before, after = preview.versions
    if before != after:
        number = len(preview.conflicts)
        conflicts = f"; the update has conflicts in {number} file(s)" if number else ""
        problem = f"version {after} is available, this is {before}{conflicts}"
        yield Finding("template", problem, "make update", preview.changelog)
