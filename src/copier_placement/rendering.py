"""The template, as Copier renders it."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from copier import VcsRef, run_copy, run_update
from copier.errors import CopierError, UnsupportedVersionError
from plumbum import ProcessExecutionError, local

from . import git_settings
from .errors import CopierTooOldError, MaintenanceError
from .repository import Repository

# Everything here passes `unsafe=True`, which is `--trust` on Copier's command line: Copier runs
# neither the Jinja extensions in extensions/ nor the migrations of copier.yml without it. An update
# trusts both versions of the template, the stored one and the new one.

COPIER = "uvx --with copier-template-extensions copier"
"""Copier alone, for what this tool cannot do."""
RENDER_AGAIN = f"{COPIER} recopy --trust --defaults --overwrite --vcs-ref :current:"
"""Render everything again from the stored answers; `git diff` then shows what differs."""
NO_TEMPLATE = "template.* must be a directory|git-tracked templates|^fatal|Unknown revision"
"""How Copier and git report that a template, or this version of it, does not exist."""


@dataclass(frozen=True)
class Rendering:
    """A folder that Copier has rendered into."""

    root: Path
    rendered_once: tuple[str, ...]
    """The beginnings of the names that Copier never renders again: the user's own places."""
    changelog: str = ""
    """What an update prints about newer versions."""

    def is_own(self, name: str) -> bool:
        """Whether a file belongs to the user once it has been rendered."""
        return name.startswith(self.rendered_once)


@contextmanager
def pristine(answers: dict[str, Any]) -> Iterator[Rendering]:
    """Render the stored answers with the version that rendered them last: no edits, no drift."""
    with TemporaryDirectory(prefix="placement-pristine.") as folder:
        with explained(answers):
            worker = run_copy(
                answers["_src_path"],
                folder,
                data={name: value for name, value in answers.items() if not name.startswith("_")},
                vcs_ref=answers["_commit"],
                defaults=True,
                unsafe=True,
                quiet=True,
            )
        yield Rendering(Path(folder), tuple(worker.template.skip_if_exists))


def update(repository: Repository, answers: dict[str, str], version: str | None) -> Rendering:
    """Update a repository in place: None keeps the template's version, "" is the newest."""
    output = io.StringIO()
    with explained(repository.answers(), version), redirect_stderr(output):
        worker = run_update(
            repository.root,
            data=answers,
            vcs_ref=VcsRef.CURRENT if version is None else version or None,
            defaults=True,
            overwrite=True,
            unsafe=True,
        )
    changelog = re.search(
        r"^What is new .*?(?=^Updating to )", output.getvalue(), re.DOTALL | re.MULTILINE
    )
    return Rendering(
        repository.root,
        tuple(worker.template.skip_if_exists),
        changelog[0].strip() if changelog else "",
    )


@contextmanager
def explained(answers: dict[str, Any], version: str | None = None) -> Iterator[None]:
    """Run Copier with its own settings of git, and turn its many errors into one with a fix."""
    try:
        with local.env(**git_settings.override(local.env.getdict())):
            yield
    except UnsupportedVersionError as error:
        fix = f"Update with the newest Copier instead: {COPIER} update --trust --defaults"
        raise CopierTooOldError(str(error), fix) from None
    except (CopierError, ProcessExecutionError, ValueError, OSError, AssertionError) as error:
        message = error.stderr if isinstance(error, ProcessExecutionError) else str(error)
        if version and re.search(f"(revision|reference|pathspec).*{re.escape(version)}", message):
            raise MaintenanceError(f"The template has no version {version}.") from None
        if not re.search(NO_TEMPLATE, message):
            raise MaintenanceError(message.strip() or repr(error)) from None
        raise MaintenanceError(
            f"Copier cannot fetch version {answers['_commit']} of the template from "
            f"{answers['_src_path']}: {message.strip().splitlines()[-1]}",
            "If the template has moved, change `_src_path` in .copier-answers.yml and commit. "
            "docs/reference/updates.md of the template lists other causes.",
        ) from None
