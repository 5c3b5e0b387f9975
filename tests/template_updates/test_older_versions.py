"""Updates from older versions: renamed, removed and new questions and files, with migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import Maintain, publish, update
from tests.support.template import commit_all, git, load
from tests.support.work import insert, unresolved

FIRST_MIGRATION = 'def main(before: Version, after: Version) -> None:\n    """Run'


def migrate(template: Path, function: str) -> None:
    """Add a migration for 100.0.0 to the template."""
    migration = f'@migration("100.0.0")\n{function}\n\n\n'
    insert(template / "extensions/migrations.py", FIRST_MIGRATION, migration)


def test_renamed_question_keeps_its_answer(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    """Without a migration the answer is reset to the default."""
    files = [
        template / "copier.yml",
        *template.glob("extensions/**/*.py"),
        *template.rglob("*.jinja"),
    ]
    for path in files:
        path.write_text(path.read_text().replace("allow_noauth2_exposure", "let_all_in"))
    function = '''def let_all_in():
    """Use a shorter name."""
    rename_answer("allow_noauth2_exposure", "let_all_in")'''
    migrate(template, function)
    publish(template, "100.0.0")
    done = maintain(repository, "update")
    assert done.returncode == 0, done.stderr
    stored = load(repository / ".copier-answers.yml")
    assert stored["let_all_in"] is True
    assert "allow_noauth2_exposure" not in stored
    assert load(repository / "values.yaml")["allowNoauth2Exposure"] is True


def test_removed_choice_is_replaced_by_a_migration(template: Path, repository: Path) -> None:
    """The migration runs before the gate, which would refuse the old choice."""
    migrate(
        template,
        'def mariadb():\n    """Replace PostgreSQL."""\n'
        '    change_answer("database", "postgresql", "mysql")',
    )
    edits = {
        "copier.yml": ("    PostgreSQL: postgresql\n", ""),
        "extensions/deployment/answers.py": (
            '["sqlite", "postgresql", "mysql"] = "',
            '["sqlite", "mysql"] = "',
        ),
    }
    publish(template, "100.0.0", edits)
    update(repository, newest=True)
    assert load(repository / ".copier-answers.yml")["database"] == "mysql"
    assert (repository / "dev/stack/servers/mariadb").exists()


def test_new_question_has_its_default(template: Path, repository: Path) -> None:
    """The other answers stay."""
    question = "motto:\n  type: str\n  help: What is the motto?\n  default: none\n\n"
    insert(template / "copier.yml", "# ---- Repository ----\n", question)
    field = '    motto: str = "none"\n'
    insert(template / "extensions/deployment/answers.py", '    ci: Literal["github"', field)
    publish(template, "100.0.0")
    update(repository, newest=True)
    stored = load(repository / ".copier-answers.yml")
    assert (stored["motto"], stored["replicas"]) == ("none", 3)


def rename(template: Path, *, changed: bool) -> None:
    """Rename the quick check with a migration, and change its text or not."""
    git(template, "mv", "template/gabbi.yaml.jinja", "template/check.yaml.jinja")
    if changed:
        insert(template / "template/check.yaml.jinja", "tests:\n", "# A quick check.\n")
    migrate(
        template, 'def check():\n    """Rename."""\n    rename_file("gabbi.yaml", "check.yaml")'
    )
    publish(template, "100.0.0")


@pytest.mark.parametrize("changed", [False, True], ids=["same text", "new text"])
@pytest.mark.parametrize("edited", [False, True], ids=["unedited", "edited"])
def test_edits_in_a_file_that_the_template_renames_are_not_lost(
    template: Path, repository: Path, *, edited: bool, changed: bool
) -> None:
    """They move to the new name; if the template changed the file, too, they conflict visibly."""
    if edited:
        insert(repository / "gabbi.yaml", "tests:\n", "# Our line.\n")
        commit_all(repository)
    rename(template, changed=changed)
    update(repository, newest=True)
    text = (repository / "check.yaml").read_text()
    assert not (repository / "gabbi.yaml").exists()
    assert ("# Our line.\n" in text) == edited
    assert ("# A quick check.\n" in text) == changed
    assert unresolved(repository) == ({"check.yaml"} if edited or changed else set())


def test_edited_file_that_the_template_removes_is_named(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    insert(repository / "gabbi.yaml", "tests:\n", "# Our line.\n")
    commit_all(repository)
    git(template, "rm", "--quiet", "template/gabbi.yaml.jinja")
    publish(template, "100.0.0")
    done = maintain(repository, "update")
    assert "gabbi.yaml will be deleted, including your edits." in done.stdout
    assert "# Our line." in git(repository, "show", "HEAD:gabbi.yaml")


def test_file_that_user_and_template_add_is_a_conflict_with_both_texts(
    template: Path, repository: Path
) -> None:
    (repository / "RUNBOOK.md").write_text("Ours.\n")
    commit_all(repository)
    (template / "template/RUNBOOK.md").write_text("The template's.\n")
    publish(template, "100.0.0")
    update(repository, newest=True)
    text = (repository / "RUNBOOK.md").read_text()
    assert "Ours.\n" in text
    assert "The template's.\n" in text
    assert unresolved(repository) == {"RUNBOOK.md"}


def test_migrations_between_the_versions_run_once_and_in_order(
    template: Path, repository: Path
) -> None:
    """Migrations of older and of future versions do not run."""
    marks = "".join(
        f'@migration("{version}")\ndef to_{number}() -> None:\n    """{version}"""\n'
        f'    change_answer("replicas", {number}, {number + 1})\n\n\n'
        for number, version in enumerate(["99.0.0", "100.0.0", "101.0.0", "102.0.0"], 2)
    )
    insert(template / "extensions/migrations.py", FIRST_MIGRATION, marks)
    publish(template, "101.0.0")
    update(repository, newest=True)
    # From 3 replicas, 100.0.0 makes 4 and 101.0.0 makes 5; 99.0.0 and 102.0.0 do not run.
    assert load(repository / ".copier-answers.yml")["replicas"] == 5
    commit_all(repository)
    publish(template, "101.0.1")
    update(repository, newest=True)
    assert load(repository / ".copier-answers.yml")["replicas"] == 5


def test_failing_migration_changes_nothing(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    migrate(template, "def broken():\n    raise SystemExit('broken')")
    publish(template, "100.0.0")
    before = git(repository, "rev-parse", "HEAD")
    done = maintain(repository, "update")
    assert done.returncode != 0
    assert git(repository, "rev-parse", "HEAD") == before
    assert git(repository, "status", "--porcelain") == ""
    assert "Traceback" not in done.stderr


def test_too_old_copier_is_reported_with_the_fix(
    template: Path, repository: Path, maintain: Maintain
) -> None:
    """A template may need a newer Copier than the tool of the same version brings."""
    publish(template, "100.0.0", {"copier.yml": ('"9.19.1"', '"99.0"')})
    done = maintain(repository, "update")
    assert done.returncode != 0
    assert "uvx --with copier-template-extensions copier update" in done.stderr
