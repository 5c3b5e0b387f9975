"""`dev/maintain` installs the tool of the right version, from each kind of source of a template."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from copier._vcs import get_latest_tag

from tests.support.containers import Output
from tests.support.repositories import publish
from tests.support.template import ROOT, Render, commit_all, git, load
from tests.support.work import copy_and_commit

SCRIPT = ROOT / "template/dev/maintain"
# A `uv` that prints how it was called, instead of installing anything.
PRINT_ARGUMENTS = """#!/bin/sh
[ "$5" = --help ] || printf '%s\\n' "$@"
"""
HOSTS = [
    ("https://github.com/cloud/template", "git+https://github.com/cloud/template"),
    ("https://git.example.com/template.git", "git+https://git.example.com/template.git"),
    ("ssh://git@example.com:2222/template.git", "git+ssh://git@example.com:2222/template.git"),
    ("git@github.com:cloud/template.git", "git+ssh://git@github.com/cloud/template.git"),
    ("me@example.com:cloud/template.git", "git+ssh://me@example.com/cloud/template.git"),
    ("gh:cloud/template", "git+https://github.com/cloud/template"),
    ("gl:cloud/group/template", "git+https://gitlab.com/cloud/group/template"),
    ("git+https://example.com/template", "git+https://example.com/template"),
    ("git+ssh://git@example.com/template", "git+ssh://git@example.com/template"),
    ("git+git@example.com:template", "git+ssh://git@example.com/template"),
]


def maintain(repository: Path, *arguments: str, **environment: str) -> Output:
    """Run dev/maintain without the tests' own copy of the tool."""
    inherited = {name: text for name, text in os.environ.items() if name != "COPIER_PLACEMENT"}
    return subprocess.run(
        ["dev/maintain", *arguments],
        cwd=repository,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )


def write_answers(repository: Path, source: str, version: str) -> None:
    """Write the stored answers as the template's file for them does."""
    stored = {"_commit": version, "_src_path": source, "project_name": "placement"}
    text = yaml.dump(stored, indent=4, allow_unicode=True, default_flow_style=False)
    (repository / ".copier-answers.yml").write_text(f"# By Copier.\n{text}", encoding="utf-8")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a folder with dev/maintain alone."""
    folder = tmp_path / "repo"
    (folder / "dev").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "dev")
    return folder


@pytest.fixture
def tool_of(script: Path, tmp_path: Path) -> Callable[..., str]:
    """Return the requirement that uv is asked to install the tool from."""
    uv = tmp_path / "bin/uv"
    uv.parent.mkdir()
    uv.write_text(PRINT_ARGUMENTS)
    uv.chmod(0o755)

    def tool_of(*arguments: str) -> str:
        path = f"{uv.parent}:{os.environ['PATH']}"
        done = maintain(script, *arguments, PATH=path)
        assert done.returncode == 0, done.stderr
        *command, requirement, program = done.stdout.splitlines()[:5]
        assert command == ["tool", "run", "--from"]
        assert [program, *done.stdout.splitlines()[5:]] == ["copier-placement", *arguments]
        return requirement.removeprefix("copier-placement")

    return tool_of


@pytest.mark.parametrize(("source", "url"), HOSTS)
def test_source_on_a_host_becomes_a_git_url(
    script: Path, tool_of: Callable[..., str], source: str, url: str
) -> None:
    """Copier accepts each form, and uv only URLs."""
    write_answers(script, source, "1.2.0")
    assert tool_of("set", "replicas=3") == f" @ {url}@1.2.0"


@pytest.mark.parametrize("source", ["../it's a template #1 @ home: 100%", "../" + "long " * 30])
def test_relative_path_with_special_characters_becomes_a_file_url(
    script: Path, tool_of: Callable[..., str], tmp_path: Path, source: str
) -> None:
    """Copier stores the path quoted, or on more than one line."""
    path = tmp_path / source.removeprefix("../")
    path.mkdir()
    write_answers(script, source, "1.2.0")
    quoted = path.as_posix().replace("%", "%25").replace(" ", "%20")
    quoted = quoted.replace("#", "%23").replace("@", "%40")
    assert tool_of("doctor", "--json") == f" @ git+file://{quoted}@1.2.0"


@pytest.mark.parametrize(
    ("version", "revision"),
    [("v1.2.0", "v1.2.0"), ("1.2.0-3-gabcdef0", "abcdef0"), ("abcdef0", "abcdef0")],
)
def test_stored_version_becomes_a_tag_or_a_commit(
    script: Path, tool_of: Callable[..., str], version: str, revision: str
) -> None:
    """Between two versions Copier stores what `git describe` prints."""
    write_answers(script, "gh:cloud/template", version)
    for arguments in (["set", "replicas=3"], ["doctor"]):
        assert tool_of(*arguments).endswith(f"@{revision}")
    assert tool_of("update", version).endswith(f"@{revision}")


def test_load_test_is_installed_with_its_extra(script: Path, tool_of: Callable[..., str]) -> None:
    write_answers(script, "gh:cloud/template", "1.2.0")
    assert tool_of("load") == "[load] @ git+https://github.com/cloud/template@1.2.0"


@pytest.mark.parametrize(
    "tags",
    [
        ["1.9.0", "1.10.0", "2.0.0rc1", "3.0.0.dev1", "nightly", "release-4"],
        ["v0.9", "v0.10.1", "v0.10"],
        ["2.0.0rc1", "nightly"],
        [],
    ],
    ids=lambda tags: " ".join(tags) or "none",
)
def test_update_runs_the_tool_of_the_version_that_copier_chooses(
    script: Path, tool_of: Callable[..., str], tmp_path: Path, tags: list[str]
) -> None:
    """The newest final release, or HEAD without one."""
    template = tmp_path / "template"
    template.mkdir()
    commit_all(template)
    for tag in tags:
        git(template, "tag", tag)
    head = git(template, "rev-parse", "HEAD").strip()
    write_answers(script, str(template), "0.1.0")
    newest = get_latest_tag(str(template))
    revision = head if newest == "HEAD" else newest
    for arguments in (["update"], ["update", ""], ["update", "--help"]):
        assert tool_of(*arguments) == f" @ git+file://{template}@{revision}"


# ---- Really installed ----


@pytest.fixture
def installable(render: Render, template: Path, tmp_path: Path) -> Path:
    """Return a repository that was rendered from a template with the tool in it."""

    def use_template(repository: Path) -> None:
        answers = repository / ".copier-answers.yml"
        source = f"_src_path: {template}"
        answers.write_text(re.sub("^_src_path: .*$", source, answers.read_text(), flags=re.M))

    return copy_and_commit(render({}), tmp_path / "repo", use_template)


@pytest.mark.parametrize("form", ["{path}", "../{name}", "git+file://{path}", "file://{path}/.git"])
def test_tool_is_installed_from_a_local_template(
    installable: Path, template: Path, tmp_path: Path, form: str
) -> None:
    """No remote and no network is needed for the template itself."""
    moved = template.rename(tmp_path / "a template")
    source = form.format(path=moved, name=moved.name)
    if "://" in source:
        source = source.replace(" ", "%20")
    write_answers(installable, source, "99.99.99")
    done = maintain(installable, "set", "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: copier-placement set" in done.stdout


def test_newer_template_fixes_a_fault_of_the_older_tool(installable: Path, template: Path) -> None:
    """The stored version is broken, and `update` still works, because it runs the newest tool."""
    working = "    repository.check_git()\n    repository.check_clean()\n    preview ="
    broken = f'    raise SystemExit("broken")\n{working}'
    publish(template, "100.0.0", {"src/copier_placement/update.py": (working, broken)})
    answers = installable / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("_commit: 99.99.99", "_commit: 100.0.0"))
    commit_all(installable)
    assert "broken" in maintain(installable, "set", "replicas=0").stderr
    edits = {
        "src/copier_placement/update.py": (broken, working),
        "template/gabbi.yaml.jinja": ("tests:\n", "# Newer.\ntests:\n"),
    }
    publish(template, "101.0.0", edits)
    done = maintain(installable, "update")
    assert done.returncode == 0, done.stderr
    assert load(answers)["_commit"] == "101.0.0"
    assert "# Newer.\n" in (installable / "gabbi.yaml").read_text()


# ---- Refused ----


def test_without_network_the_message_names_what_is_missing(
    installable: Path, tmp_path: Path
) -> None:
    """The template is there, but uv cannot download the packages that the tool needs."""
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    done = maintain(installable, "set", "network_policy=true", **offline)
    assert done.returncode == 1
    assert "uv downloads the template, and the tool's dependencies from PyPI" in done.stderr
    assert "To update with Copier alone: uvx --with copier-template-ext" in done.stderr


@pytest.mark.parametrize("arguments", [["update"], ["set", "replicas=3"]])
def test_unreachable_template_is_reported(script: Path, arguments: list[str]) -> None:
    write_answers(script, "https://127.0.0.1:1/template.git", "1.2.0")
    done = maintain(script, *arguments)
    assert done.returncode == 1
    assert "cannot be installed from https://127.0.0.1:1/template.git" in done.stderr
    assert "change _src_path in .copier-answers.yml" in done.stderr


def test_repository_as_its_own_template_is_refused(script: Path) -> None:
    """Copier stores `.` for a copy that was made from within the template."""
    write_answers(script, ".", "1.2.0")
    done = maintain(script, "doctor")
    assert done.returncode == 1
    assert "_src_path is '.'" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("missing", ["git", "uv"])
def test_missing_program_is_named(script: Path, tmp_path: Path, missing: str) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in {"dirname", "sh", "git", "uv"} - {missing}:
        (few / name).symlink_to(str(shutil.which(name)))
    done = maintain(script, "update", PATH=str(few))
    assert done.returncode == 1
    assert f"{missing} is missing. Install it: https://" in done.stderr


@pytest.mark.parametrize("text", [None, "- replicas\n", "replicas: 3\n"])
def test_answers_without_a_template_are_refused(script: Path, text: str | None) -> None:
    if text is not None:
        (script / ".copier-answers.yml").write_text(text)
    done = maintain(script, "update")
    assert done.returncode == 1
    assert "git log -p .copier-answers.yml" in done.stderr
