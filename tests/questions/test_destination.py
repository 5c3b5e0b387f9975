"""Files of the user's in the destination of a first copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from extensions.deployment import Deployment
from extensions.gate import REFUSED_FILES, rendered_files
from tests.support.template import ROOT, VALID, Render, RunCopier
from tests.support.variants import VARIANTS

VALID_NAMES = {file.stem for file in VALID}
COPY = ("copy", "--trust", "--defaults")
KEYSTONE_FILES = (
    "dev/stack/keystone/write_clouds.py",
    "dev/stack/servers/keystone/Dockerfile",  # in the template: Dockerfile.jinja
    "docs/keystone.md",  # in the template: keystone.md.jinja
)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            answers,
            id=name,
            marks=pytest.mark.xdist_group(name) if name in VALID_NAMES else pytest.mark.only_all,
        )
        for name, answers in VARIANTS.items()
    ],
)
def test_gate_knows_which_files_copier_renders(answers: dict[str, object], render: Render) -> None:
    repository = render(answers)
    files = {
        path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()
    }
    expected = rendered_files(ROOT / "template", Deployment(**answers))
    assert files - {".copier-answers.yml"} == set(expected)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), (*KEYSTONE_FILES, ".gitlab-ci.yml", "gabbits/local/README.md")),
        (("--data", "ci=gitlab"), (".github/workflows/ci.yml",)),
        (("--exclude", "gabbi.yaml"), ("gabbi.yaml",)),
        (("--skip", "gabbi.yaml"), ("gabbi.yaml",)),
    ],
    ids=["default", "gitlab", "exclude", "skip"],
)
def test_files_that_copier_leaves_alone_are_accepted(
    arguments: tuple[str, ...],
    names: tuple[str, ...],
    plain_template: Path,
    run_copier: RunCopier,
    tmp_path: Path,
) -> None:
    """Files that these answers exclude, and those that are rendered only if they are missing."""
    write_own_files(tmp_path / "repo", names)
    code, said = run_copier(*COPY, *arguments, plain_template, tmp_path / "repo")
    assert code == 0, said
    assert all((tmp_path / "repo" / name).read_text() == "mine\n" for name in names)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ("Makefile", "gabbi.yaml", ".github/workflows/ci.yml")),
        (("--data", "auth_strategy=keystone"), KEYSTONE_FILES),
        (("--data", "ci=gitlab"), (".gitlab-ci.yml",)),
    ],
    ids=["default", "keystone", "gitlab"],
)
def test_files_that_copier_would_replace_are_refused(
    arguments: tuple[str, ...],
    names: tuple[str, ...],
    plain_template: Path,
    run_copier: RunCopier,
    tmp_path: Path,
) -> None:
    """The refusal names each of them, and the destination is unchanged."""
    write_own_files(tmp_path / "repo", (*names, "notes.txt"))
    code, said = run_copier(*COPY, *arguments, plain_template, tmp_path / "repo")
    assert code == 1
    assert REFUSED_FILES in said
    assert all(f"{name}: exists already" in said for name in names)
    assert "notes.txt" not in said
    files = [path for path in (tmp_path / "repo").rglob("*") if path.is_file()]
    assert len(files) == len(names) + 1
    assert all(path.read_text() == "mine\n" for path in files)


def test_other_files_are_kept(plain_template: Path, run_copier: RunCopier, tmp_path: Path) -> None:
    """Copier adds the rendered files to a folder that has files of the user's."""
    write_own_files(tmp_path / "repo", ("notes.txt", "values.local.yaml"))
    code, said = run_copier(*COPY, plain_template, tmp_path / "repo")
    assert code == 0, said
    assert (tmp_path / "repo/notes.txt").read_text() == "mine\n"
    assert (tmp_path / "repo/values.local.yaml").read_text() == "mine\n"
    assert (tmp_path / "repo/Makefile").exists()


def write_own_files(repository: Path, names: tuple[str, ...]) -> None:
    """Write files of the user's."""
    for name in names:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("mine\n")
