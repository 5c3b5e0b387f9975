"""The template, as Copier renders it."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from copier import VcsRef, run_copy, run_update
from copier.errors import CopierError, UnsupportedVersionError
from plumbum import ProcessExecutionError
from repository import Repository, UpkeepError

BY_HAND = "uvx --with copier-template-extensions copier"
NO_TEMPLATE = "template.* must be a directory|git-tracked templates|^fatal|Unknown revision"
"""How Copier and git say that there is no template, or not that version of it."""
ANEW = f"{BY_HAND} recopy --trust --defaults --overwrite --vcs-ref :current:"
"""Render everything as it was rendered last; what differs is then in `git diff`."""


@contextmanager
def explained(answers: dict[str, Any], version: str | None = None) -> Iterator[None]:
    """Say what to do where Copier fails, which it does in a dozen ways."""
    try:
        yield
    except UnsupportedVersionError as error:
        do = f"This once, update by the newest Copier: {BY_HAND} update --trust --defaults"
        raise UpkeepError(str(error), do) from None
    except (CopierError, ProcessExecutionError, ValueError, OSError, AssertionError) as error:
        said = error.stderr if isinstance(error, ProcessExecutionError) else str(error)
        if version and re.search(f"(revision|reference|pathspec).*{re.escape(version)}", said):
            raise UpkeepError(f"The template has no version {version}.") from None
        if not re.search(NO_TEMPLATE, said):
            raise UpkeepError(said.strip() or repr(error)) from None
        raise UpkeepError(
            f"Copier cannot take version {answers['_commit']} of the template from "
            f"{answers['_src_path']}: {said.strip().splitlines()[-1]}",
            "If the template has moved, write its new place into .copier-answers.yml after "
            "`_src_path:`, and commit. See also docs/reference/updates.md of the template.",
        ) from None


@contextmanager
def pristine(answers: dict[str, Any]) -> Iterator[Path]:
    """Render the stored answers by the version they were rendered by, as if nobody had edited."""
    with TemporaryDirectory(prefix="placement-pristine.") as folder:
        with explained(answers):
            run_copy(
                answers["_src_path"],
                folder,
                data={name: value for name, value in answers.items() if not name.startswith("_")},
                vcs_ref=answers["_commit"],
                defaults=True,
                unsafe=True,
                quiet=True,
            )
        yield Path(folder)


def update(repository: Repository, changed: dict[str, str], version: str | None) -> str:
    """Update what is there; return what the template says has changed since.

    Without a version it stays at its own; "" is the newest.
    """
    said = io.StringIO()
    with explained(repository.answers(), version), redirect_stderr(said):
        run_update(
            repository.root,
            data=changed,
            vcs_ref=VcsRef.CURRENT if version is None else version or None,
            defaults=True,
            overwrite=True,
            unsafe=True,
        )
    news = re.search(
        r"^What is new .*?(?=^Updating to )", said.getvalue(), re.DOTALL | re.MULTILINE
    )
    return news[0].strip() if news else ""
