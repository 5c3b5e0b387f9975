"""From an older version of the template: what it renamed, removed or forbade, with migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import make, publish, update
from tests.support.template import commit_all, git, load
from tests.support.work import insert, unsettled

FIRST_MIGRATION = 'def main(before: Version, after: Version) -> None:\n    """Run'


def migrate(template: Path, function: str) -> None:
    """Write a migration for 100.0.0 into the template, as its developers would."""
    migration = f'@migration("100.0.0")\n{function}\n\n\n'
    insert(template / "extensions/migrations.py", FIRST_MIGRATION, migration)


def test_a_renamed_question_keeps_its_answer(template: Path, repository: Path) -> None:
    """Without a migration the answer would be the default again."""
    files = [
        template / "copier.yml",
        *template.glob("extensions/**/*.py"),
        *template.rglob("*.jinja"),
    ]
    for path in files:
        path.write_text(path.read_text().replace("allow_noauth2_exposure", "let_all_in"))
    function = '''def let_all_in():
    """Say it shorter."""
    rename_answer("allow_noauth2_exposure", "let_all_in")'''
    migrate(template, function)
    publish(template, "100.0.0")
    done = make(repository, "update")
    assert done.returncode == 0, done.stderr
    stored = load(repository / ".copier-answers.yml")
    assert stored["let_all_in"] is True
    assert "allow_noauth2_exposure" not in stored
    assert load(repository / "values.yaml")["allowNoauth2Exposure"] is True


def test_a_choice_that_is_gone_is_answered_by_a_migration(template: Path, repository: Path) -> None:
    """Before the gate looks at it, which would refuse it otherwise."""
    migrate(
        template,
        'def mariadb():\n    """PostgreSQL is no more."""\n'
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


def test_an_added_question_has_its_default(template: Path, repository: Path) -> None:
    """And what was answered stays."""
    question = "motto:\n  type: str\n  help: What is on the wall?\n  default: none\n\n"
    insert(template / "copier.yml", "# ---- Repository ----\n", question)
    field = '    motto: str = "none"\n'
    insert(template / "extensions/deployment/answers.py", '    ci: Literal["github"', field)
    publish(template, "100.0.0")
    update(repository, newest=True)
    stored = load(repository / ".copier-answers.yml")
    assert (stored["motto"], stored["replicas"]) == ("none", 3)


def rename(template: Path, *, changed: bool) -> None:
    """Call the quick look otherwise, with its migration, and say more in it or not."""
    git(template, "mv", "template/gabbi.yaml.jinja", "template/look.yaml.jinja")
    if changed:
        insert(template / "template/look.yaml.jinja", "tests:\n", "# A look, and no more.\n")
    migrate(template, 'def look():\n    """Rename."""\n    rename_file("gabbi.yaml", "look.yaml")')
    publish(template, "100.0.0")


@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "with another text"])
@pytest.mark.parametrize("edited", [False, True], ids=["untouched", "edited"])
def test_edits_in_a_file_that_the_template_renames_are_not_lost(
    template: Path, repository: Path, *, edited: bool, changed: bool
) -> None:
    """They go along, and what differs is shown in both versions; the old file is no more."""
    if edited:
        insert(repository / "gabbi.yaml", "tests:\n", "# Our line.\n")
        commit_all(repository)
    rename(template, changed=changed)
    update(repository, newest=True)
    text = (repository / "look.yaml").read_text()
    assert not (repository / "gabbi.yaml").exists()
    assert ("# Our line.\n" in text) == edited
    assert ("# A look, and no more.\n" in text) == changed
    assert unsettled(repository) == ({"look.yaml"} if edited or changed else set())


def test_a_file_that_the_template_drops_goes_by_name(template: Path, repository: Path) -> None:
    insert(repository / "gabbi.yaml", "tests:\n", "# Our line.\n")
    commit_all(repository)
    git(template, "rm", "--quiet", "template/gabbi.yaml.jinja")
    publish(template, "100.0.0")
    done = make(repository, "update")
    assert "gabbi.yaml will be deleted, including your edits." in done.stdout
    assert "# Our line." in git(repository, "show", "HEAD:gabbi.yaml")


def test_a_file_that_both_have_added_keeps_what_the_user_wrote(
    template: Path, repository: Path
) -> None:
    """The template comes to have a file that the user has had for long."""
    (repository / "RUNBOOK.md").write_text("Ours.\n")
    commit_all(repository)
    (template / "template/RUNBOOK.md").write_text("The template's.\n")
    publish(template, "100.0.0")
    update(repository, newest=True)
    text = (repository / "RUNBOOK.md").read_text()
    assert "Ours.\n" in text
    assert unsettled(repository) == {"RUNBOOK.md"} or "The template's.\n" in text


def test_migrations_between_the_versions_run_once_and_in_order(
    template: Path, repository: Path
) -> None:
    """Those of older versions, and those that are still to come, do not."""
    marks = "".join(
        f'@migration("{version}")\ndef to_{number}() -> None:\n    """{version}"""\n'
        f'    change_answer("replicas", {number}, {number + 1})\n\n\n'
        for number, version in enumerate(["99.0.0", "100.0.0", "101.0.0", "102.0.0"], 2)
    )
    insert(template / "extensions/migrations.py", FIRST_MIGRATION, marks)
    publish(template, "101.0.0")
    update(repository, newest=True)
    # 3 of ours: not by 99.0.0 (2 to 3), by 100.0.0 (3 to 4) and 101.0.0 (4 to 5), no further.
    assert load(repository / ".copier-answers.yml")["replicas"] == 5
    commit_all(repository)
    publish(template, "101.0.1")
    update(repository, newest=True)
    assert load(repository / ".copier-answers.yml")["replicas"] == 5


def test_a_migration_that_fails_changes_nothing(template: Path, repository: Path) -> None:
    migrate(template, "def broken():\n    raise SystemExit('cannot be')")
    publish(template, "100.0.0")
    before = git(repository, "rev-parse", "HEAD")
    done = make(repository, "update")
    assert done.returncode != 0
    assert git(repository, "rev-parse", "HEAD") == before
    assert git(repository, "status", "--porcelain") == ""
    assert "Traceback" not in done.stderr


def test_an_older_copier_is_told_to_be_renewed(template: Path, repository: Path) -> None:
    """The newest version may want more than what is locked here: the way out is said."""
    publish(template, "100.0.0", {"copier.yml": ('"9.19.1"', '"99.0"')})
    done = make(repository, "update")
    assert done.returncode != 0
    assert "uvx --with copier-template-extensions copier update" in done.stderr
