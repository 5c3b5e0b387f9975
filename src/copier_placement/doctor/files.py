"""Files that are missing, unexpected, or different from what the template renders."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from ..rendering import RENDER_AGAIN, Rendering
from ..repository import ANSWERS, Repository
from .findings import Finding

CHART_TEMPLATES = "placement-chart/templates"


def deleted_files(repository: Repository, rendered: Rendering) -> Iterator[Finding]:
    """Find the template's files that are missing here: no update brings them back."""
    for name in files(rendered.root):
        if not (repository.root / name).is_file():
            last = repository.git("log", "-n", "1", "--format=%h", "--", name).strip()
            source = "HEAD" if repository.git_names("ls-files", "--", name) else f"{last}^"
            fix = f"git checkout {source} -- {name}" if last else RENDER_AGAIN
            yield Finding("files", f"{name} belongs to the template, but is deleted here", fix)


def foreign_files(repository: Repository, rendered: Rendering) -> Iterator[Finding]:
    """Find chart templates that neither the template nor the user owns, left from an old chart."""
    known = files(rendered.root)
    for name in files(repository.root / CHART_TEMPLATES):
        path = f"{CHART_TEMPLATES}/{name}"
        if path not in known and not name.startswith("local-"):
            problem = f"{path} is not part of the template, but Helm renders it with the chart"
            fix = f"delete it, or rename it to {CHART_TEMPLATES}/local-{Path(name).name}"
            yield Finding("files", problem, fix)


def drift(repository: Repository, rendered: Rendering) -> Iterator[Finding]:
    """Find files that differ from what the template renders, outside the user's own places.

    The files for Argo CD and Flux have placeholders, so users have to change them.
    """
    for name in files(rendered.root):
        here, there = repository.root / name, rendered.root / name
        if rendered.is_own(name) or name == ANSWERS or not here.is_file():
            continue
        if name.startswith("gitops/"):
            continue
        if there.read_bytes() != here.read_bytes():
            problem = f"{name} differs from what the template renders"
            fix = "move it to one of your own places (README.md), or keep it: updates merge it here"
            yield Finding("drift", problem, fix, difference(there, here, name))
        if there.stat().st_mode & 0o100 and not here.stat().st_mode & 0o100:
            yield Finding("drift", f"{name} is not executable", f"chmod +x {name}")


def difference(there: Path, here: Path, name: str) -> str:
    """Return the difference between two files, with line ends made visible."""
    before, after = (
        path.read_bytes().decode(errors="replace").splitlines(keepends=True)
        for path in (there, here)
    )
    lines = difflib.unified_diff(before, after, f"template/{name}", f"here/{name}", lineterm="")
    return "\n".join(line.replace("\r", "\\r").removesuffix("\n") for line in lines)


def files(folder: Path) -> list[str]:
    """List the files in a folder."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(names)
