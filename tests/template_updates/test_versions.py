"""Repositories of every released version can be updated to this one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from copier import run_copy, run_update

from tests.support.template import ROOT, commit_all, git, load

HEAD = "1000.0.0"
NEXT = "1000.0.1"
VERSIONS = [*git(ROOT, "tag").split(), HEAD]
# One with GitHub and one with GitLab. Every version has both files, with the same meaning.
VARIANTS = ["mysql-autoscale-ingress", "postgresql-fixed"]

OWN_VALUES = "threads: 2\n"
OWN_SECTION = "\n## On call\n\nThe cloud team.\n"


@pytest.fixture(scope="session")
def versions(
    copier_template: Path,
    copier_template_paths: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Clone the template with all its tags, and add the work tree as two more versions."""
    clone = tmp_path_factory.mktemp("versions") / "template"
    git(ROOT, "clone", "--quiet", str(ROOT), str(clone))
    for name in copier_template_paths:
        git(clone, "rm", "-r", "--quiet", "--ignore-unmatch", name)
        source, target = copier_template / name, clone / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    for version in (HEAD, NEXT):
        commit_all(clone)
        git(clone, "tag", version)
    return clone


def answers(version: str, variant: str) -> dict[str, object]:
    """Read a file of answers from a version of the template."""
    name = f"tests/answers/valid/{variant}.yml"
    if version == HEAD:
        return dict(load(ROOT / name))
    return dict(yaml.safe_load(git(ROOT, "show", f"{version}:{name}")))


def copy(template: Path, version: str, data: dict[str, object], to: Path) -> None:
    """Render a version of the template."""
    run_copy(str(template), to, data=data, defaults=True, unsafe=True, quiet=True, vcs_ref=version)


def add_users_work(repository: Path) -> None:
    """Write own values, and a section at the end of README.md."""
    (repository / "values.local.yaml").write_text(OWN_VALUES, encoding="utf-8")
    with (repository / "README.md").open("a", encoding="utf-8") as readme:
        readme.write(OWN_SECTION)


def contents(repository: Path) -> dict[str, bytes]:
    """Read all files except git's."""
    return {
        path.relative_to(repository).as_posix(): path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(repository).parts
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_update_to_this_version_equals_a_fresh_copy_with_the_users_work(
    version: str, variant: str, versions: Path, tmp_path: Path
) -> None:
    """No conflict, no leftover file, and no lost answer."""
    repository, fresh = tmp_path / "repository", tmp_path / "fresh"
    copy(versions, version, answers(version, variant), repository)
    add_users_work(repository)
    commit_all(repository)
    run_update(repository, defaults=True, overwrite=True, unsafe=True, quiet=True, vcs_ref=NEXT)

    stored = load(repository / ".copier-answers.yml")
    assert stored["_commit"] == NEXT
    questions = {name: answer for name, answer in stored.items() if not name.startswith("_")}
    copy(versions, NEXT, questions | answers(HEAD, variant), fresh)
    add_users_work(fresh)
    assert contents(repository) == contents(fresh)
