"""What the gate promises beyond the files of answers: trust, updates, and a user's own files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from copier import run_copy, run_update
from copier.errors import UserMessageError

from tests.support.template import Render, commit_all, git, load


def copier(*arguments: object, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run Copier's command line as a process of its own, with nobody to answer."""
    command = [python, "-m", "copier", *map(str, arguments)]
    return subprocess.run(
        command, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )


@pytest.fixture
def repository(copier_template: Path, tmp_path: Path) -> Path:
    """A committed repository of an operator on 2025.1 with Keystone behind an ingress."""
    answers = {
        "release": "2025.1",
        "database": "postgresql",
        "auth_strategy": "keystone",
        "exposure": "ingress",
        "replicas": 3,
    }
    destination = tmp_path / "repo"
    run_copy(
        str(copier_template), destination, data=answers, defaults=True, unsafe=True, quiet=True
    )
    commit_all(destination)
    return destination


def update(repository: Path, **data: object) -> None:
    """Update to the same version of the template with these answers."""
    run_update(repository, data=data, defaults=True, overwrite=True, unsafe=True, quiet=True)


def change_stored_answers(repository: Path, **answers: object) -> None:
    """Edit the answers file by hand, against its own advice, and commit that."""
    path = repository / ".copier-answers.yml"
    lines = [
        line for line in path.read_text().splitlines() if line.partition(":")[0] not in answers
    ]
    lines += [f"{name}: {value}" for name, value in answers.items()]
    path.write_text("\n".join(lines) + "\n")
    commit_all(repository)


def test_without_trust_nothing_is_rendered(copier_template: Path, tmp_path: Path) -> None:
    """Copier refuses by itself: exit code 4, and the word to add."""
    done = copier("copy", "--defaults", copier_template, tmp_path / "repo")
    assert done.returncode == 4
    assert "--trust" in done.stderr
    assert not (tmp_path / "repo").exists()


def test_with_trust_the_default_is_rendered(copier_template: Path, tmp_path: Path) -> None:
    """The command of the README, less where the template comes from."""
    done = copier("copy", "--trust", "--defaults", copier_template, tmp_path / "repo")
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "repo/.copier-answers.yml")["project_name"] == "placement"


def test_without_the_package_of_the_extension_copier_says_what_to_install(
    copier_template: Path, tmp_path: Path
) -> None:
    """Why the README's command has `--with copier-template-extensions`."""
    hide = "import sys; sys.modules['copier_template_extensions'] = None"
    without = f"{hide}; from copier._cli import CopierApp; CopierApp.run()"
    command = [sys.executable, "-c", without, "copy", "--trust", "--defaults"]
    done = subprocess.run(
        [*command, str(copier_template), str(tmp_path / "repo")],
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1
    assert "Make sure to install these extensions alongside Copier itself" in done.stderr
    assert not (tmp_path / "repo").exists()


def test_answers_on_the_command_line_are_text_and_still_fit(
    copier_template: Path, tmp_path: Path
) -> None:
    """`--data` gives "3" and "true"; they are a number and a truth all the same."""
    done = copier(
        *("copy", "--trust", "--defaults", "--data", "database=mysql", "--data", "replicas=3"),
        *("--data", "network_policy=true", copier_template, tmp_path / "repo"),
    )
    assert done.returncode == 0, done.stderr
    stored = load(tmp_path / "repo/.copier-answers.yml")
    assert (stored["replicas"], stored["network_policy"]) == (3, True)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"release": "2026.2"},
            "release: OpenStack cannot upgrade from 2025.1 to 2026.2 in one step",
        ),
        (
            {"auth_strategy": "noauth2"},
            "exposure: with noauth2, every client that reaches the ingress",
        ),
        ({"database": "sqlite"}, "replicas: SQLite serves a single process, not 3 replicas"),
    ],
)
def test_an_update_that_contradicts_what_is_stored_is_refused(
    repository: Path, answers: Mapping[str, object], message: str
) -> None:
    """Copier by itself would drop the stored answer, and with it the replicas or the ingress."""
    before = git(repository, "rev-parse", "HEAD")
    with pytest.raises(UserMessageError, match=message):
        update(repository, **answers)
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-parse", "HEAD") == before


def test_no_release_goes_back(repository: Path) -> None:
    """The database would not follow."""
    update(repository, release="2025.2")
    commit_all(repository)
    with pytest.raises(
        UserMessageError, match=r"2025\.1 is older than the deployed 2025\.2, and a database"
    ):
        update(repository, release="2025.1")
    assert git(repository, "status", "--porcelain") == ""


def test_a_slurp_step_and_a_changed_setting_are_taken(repository: Path) -> None:
    """What is allowed arrives in the answers and in the files."""
    update(repository, release="2026.1", replicas=5)
    stored = load(repository / ".copier-answers.yml")
    values = load(repository / "values.yaml")
    assert (stored["release"], stored["replicas"], stored["exposure"]) == ("2026.1", 5, "ingress")
    assert (values["image"]["tag"], values["replicaCount"]) == ("2026.1", 5)


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        ({"replicas": "many"}, "replicas: 'many' is not valid"),
        ({"database": "oracle"}, "database: 'oracle' is not a choice"),
        ({"keystone_auth_url": "keystone"}, "keystone_auth_url: 'keystone' is not an http"),
    ],
)
def test_a_stored_answer_edited_into_nonsense_stops_the_update(
    repository: Path, edited: Mapping[str, object], message: str
) -> None:
    """Copier by itself would take the default instead, without a word.

    The advice is followed to its end: what Copier wrote is put back, and the update goes through.
    """
    change_stored_answers(repository, **edited)
    with pytest.raises(UserMessageError, match=message) as refused:
        update(repository)
    assert "Restore what Copier wrote there (git log -p .copier-answers.yml)" in str(refused.value)
    assert git(repository, "status", "--porcelain") == ""

    git(repository, "checkout", "HEAD~1", "--", ".copier-answers.yml")
    commit_all(repository)
    update(repository, replicas=4)
    assert load(repository / ".copier-answers.yml")["replicas"] == 4


def test_a_directory_with_files_in_the_way_is_left_as_it_is(
    copier_template: Path, tmp_path: Path
) -> None:
    """Where nobody is there to be asked, every file that would be replaced is named."""
    mine = {"Makefile": "mine:\n", "gabbi.yaml": "mine: true\n", "notes.txt": "mine\n"}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    done = copier("copy", "--trust", "--defaults", copier_template, tmp_path)
    assert done.returncode == 1
    assert "Makefile: exists already" in done.stderr
    assert "gabbi.yaml: exists already" in done.stderr
    assert "notes.txt" not in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == mine


def test_a_directory_with_other_files_is_joined(copier_template: Path, tmp_path: Path) -> None:
    """What the template does not render stays, the user's own values included."""
    (tmp_path / "notes.txt").write_text("mine\n")
    (tmp_path / "values.local.yaml").write_text("threads: 2\n")
    done = copier("copy", "--trust", "--defaults", copier_template, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine\n"
    assert (tmp_path / "values.local.yaml").read_text() == "threads: 2\n"


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("dev/keystone.sh", ()),  # rendered with Keystone only
        ("dev/Dockerfile", ()),  # dev/Dockerfile.jinja of the template, with a server only
        (".gitlab-ci.yml", ()),  # GitHub is the default
        (".github/workflows/ci.yml", ("--data", "ci=gitlab")),
        ("gabbits/local/README.md", ()),  # rendered once, kept from then on
        ("gabbi.yaml", ("--exclude", "gabbi.yaml")),
        ("gabbi.yaml", ("--skip", "gabbi.yaml")),
    ],
)
def test_a_file_that_the_answers_exclude_is_not_in_the_way(
    name: str, answers: tuple[str, ...], copier_template: Path, tmp_path: Path
) -> None:
    """Copier would leave it alone, so the gate does not refuse it."""
    mine = tmp_path / "repo" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    done = copier(*("copy", "--trust", "--defaults", *answers), copier_template, tmp_path / "repo")
    assert done.returncode == 0, done.stderr
    assert mine.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("dev/keystone.sh", ("--data", "auth_strategy=keystone")),
        ("dev/Dockerfile", ("--data", "database=mysql")),
        (".github/workflows/ci.yml", ()),
    ],
)
def test_a_file_that_would_be_replaced_is_in_the_way(
    name: str, answers: tuple[str, ...], copier_template: Path, tmp_path: Path
) -> None:
    """The same files, with answers that render them."""
    mine = tmp_path / "repo" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    done = copier(*("copy", "--trust", "--defaults", *answers), copier_template, tmp_path / "repo")
    assert done.returncode == 1
    assert f"{name}: exists already" in done.stderr
    assert mine.read_text() == "mine\n"


def test_the_users_own_values_are_rendered_once(repository: Path) -> None:
    """An update leaves values.local.yaml alone, whatever it changes."""
    (repository / "values.local.yaml").write_text("threads: 2\n")
    commit_all(repository)
    update(repository, replicas=4)
    assert load(repository / "values.local.yaml") == {"threads": 2}


def test_the_same_answers_give_the_same_bytes(
    render: Render, copier_template: Path, tmp_path: Path
) -> None:
    """No date, no random number and no host name gets into a rendered file."""
    run_copy(str(copier_template), tmp_path / "again", defaults=True, unsafe=True, quiet=True)
    first, again = render({}), tmp_path / "again"
    files = {path.relative_to(first) for path in first.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    for file in files:
        assert (first / file).read_bytes() == (again / file).read_bytes(), file


@pytest.fixture
def newer(copier_template: Path, tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Make a newer version of the template: files in which one text becomes another."""

    def newer(edits: Mapping[str, str]) -> Path:
        template = tmp_path / "newer"
        git(tmp_path, "clone", "--quiet", str(copier_template), str(template))
        files = [template / "copier.yml", *template.glob("extensions/**/*.py")]
        for old, new in edits.items():
            [file] = [it for it in files if re.search(old, it.read_text(), re.MULTILINE)]
            file.write_text(re.sub(old, new, file.read_text(), flags=re.MULTILINE))
        commit_all(template)
        git(template, "tag", "100.0.0")
        return template

    return newer


def take(repository: Path, template: Path, **data: object) -> None:
    """Update to another version of the template, found at another place."""
    answers = repository / ".copier-answers.yml"
    answers.write_text(re.sub(r"_src_path: .*", f"_src_path: {template}", answers.read_text()))
    commit_all(repository)
    update(repository, **data)


def test_a_retired_question_does_not_stop_an_update(
    repository: Path, newer: Callable[[Mapping[str, str]], Path]
) -> None:
    """Copier gives what is stored to its temporary copies as if somebody had answered it."""
    template = newer(
        {
            r"^network_policy:\n(  .*\n)+": "",
            r"^    network_policy: .*\n": "",
            r"not deployment\.network_policy": "True",
        }
    )
    take(repository, template, replicas=4)
    stored = load(repository / ".copier-answers.yml")
    assert "network_policy" not in stored
    assert (stored["_commit"], stored["replicas"]) == ("100.0.0", 4)
    assert load(repository / "values.yaml")["replicaCount"] == 4


def test_a_stored_answer_that_a_new_rule_refuses_stops_the_update(
    repository: Path, newer: Callable[[Mapping[str, str]], Path]
) -> None:
    """Until it is answered anew, as the message says."""
    template = newer({r"whole_number\(0, MOST_REPLICAS\)": "whole_number(0, 2)"})
    message = "replicas: 3 is not valid; use a whole number from 0 to 2\n.* --data NAME=VALUE"
    with pytest.raises(UserMessageError, match=message):
        take(repository, template)
    assert git(repository, "status", "--porcelain") == ""
    update(repository, replicas=2)
    assert load(repository / ".copier-answers.yml")["replicas"] == 2


def test_a_retired_release_is_left_by_a_step_that_openstack_supports(
    repository: Path, newer: Callable[[Mapping[str, str]], Path]
) -> None:
    """Who is still on it can go on, though nobody can begin with it."""
    template = newer(
        {r"^    for path in sorted(.*)$": r'    for path in sorted\1 if path.stem != "2025.1"'}
    )
    with pytest.raises(UserMessageError, match=r"release: '2025\.1' is not available"):
        take(repository, template)
    with pytest.raises(UserMessageError, match=r"to 2026\.2 in one step; use 2025\.2 or 2026\.1"):
        update(repository, release="2026.2")
    assert git(repository, "status", "--porcelain") == ""
    update(repository, release="2026.1")
    assert load(repository / ".copier-answers.yml")["release"] == "2026.1"


def test_the_documented_copier_command_changes_an_answer(repository: Path) -> None:
    """As it stands there, but for the Copier that runs it."""
    page = (repository / "docs/upgrades.md").read_text()
    command = re.search(r"^uvx .* copier (update [^`]+)\n```", page, re.MULTILINE)
    assert command
    name, _, value = command[1].rpartition("--data ")[2].partition("=")
    arguments = shlex.split(command[1].replace("\\\n", ""))
    done = subprocess.run(
        [sys.executable, "-m", "copier", *arguments],
        cwd=repository,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(load(repository / ".copier-answers.yml")[name]) == value
