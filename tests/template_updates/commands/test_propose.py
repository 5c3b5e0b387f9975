"""What the rendered CI does on a schedule: push a branch with the newest version of the template.

The remote is a real one, with a hook that records what GitLab would read. GitHub's own command `gh`
is missing, or has no login, so opening a pull request fails and prints what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from copier import run_copy

from tests.support.template import commit_all, git
from tests.support.work import insert

BRANCH = "update-template-100.0.0"
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_BRANCH": "main",
    "CI_SERVER_PROTOCOL": "https",
    "CI_SERVER_FQDN": "gitlab.example.com",
    "CI_PROJECT_PATH": "cloud/placement",
    "UPDATE_TOKEN": "glpat-secret",
}
PUSHED_TO = "https://update:glpat-secret@gitlab.example.com/cloud/placement.git"
# Set by GitLab and GitHub for every job, so also where a job of theirs runs these tests.
CI_VARIABLES = ("CI_", "GITHUB_", "GITLAB_", "GH_", "UPDATE_TOKEN")


@dataclass(frozen=True)
class Site:
    """A template, a repository rendered from it as a CI job clones it, and its remote."""

    template: Path
    clone: Path
    remote: Path
    options: Path

    def propose(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a CI job does, without a terminal."""
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(CI_VARIABLES)
        }
        # GitLab's URL leads to this remote.
        redirected = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.remote}.insteadOf",
            "GIT_CONFIG_VALUE_0": PUSHED_TO,
        }
        return subprocess.run(
            ["dev/maintain", "propose-update"],
            cwd=self.clone,
            env={**kept, **redirected, **env},
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
        )

    def release(self, edit: str = "# Newer.\n", name: str = "template/gabbi.yaml.jinja") -> None:
        """Publish a newer version of the template, in which a file starts differently."""
        file = self.template / name
        file.write_text(edit + file.read_text())
        commit_all(self.template)
        git(self.template, "tag", "100.0.0")

    def branches(self) -> dict[str, str]:
        """Return the last commit of each branch of the remote."""
        listed = git(self.remote, "for-each-ref", "--format=%(refname:short) %(objectname)")
        return dict(line.split() for line in listed.splitlines())

    def commit(self, name: str, text: str, branch: str = "main") -> None:
        """Commit and push a change from another clone."""
        elsewhere = self.clone.with_name("elsewhere")
        git(self.clone, "clone", "--quiet", "--branch", branch, str(self.remote), str(elsewhere))
        (elsewhere / name).write_text(text)
        commit_all(elsewhere)
        git(elsewhere, "push", "--quiet", "origin", branch)
        shutil.rmtree(elsewhere)


@pytest.fixture(scope="module")
def rendered(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Render the default once, from a template of its own."""
    folder = tmp_path_factory.mktemp("propose")
    template, repository = folder / "template", folder / "repository"
    git(folder, "clone", "--quiet", str(copier_template), str(template))
    run_copy(str(template), repository, defaults=True, unsafe=True, quiet=True)
    git(repository, "init", "--quiet", "--initial-branch", "main")
    commit_all(repository)
    return template, repository


@pytest.fixture
def site(rendered: tuple[Path, Path], tmp_path: Path) -> Site:
    """Clone the repository through a remote that accepts push options and records them."""
    template, repository = rendered
    site = Site(template, tmp_path / "clone", tmp_path / "remote.git", tmp_path / "options")
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(site.remote))
    git(site.remote, "config", "receive.advertisePushOptions", "true")
    hook = site.remote / "hooks/post-receive"
    hook.write_text(f'#!/bin/sh\nenv | sed -n "s/^GIT_PUSH_OPTION_[0-9]*=//p" >>{site.options}\n')
    hook.chmod(0o755)
    git(tmp_path, "clone", "--quiet", str(site.remote), str(site.clone))
    git(template, "checkout", "--quiet", "--detach", "99.99.99")
    subprocess.run(["git", "tag", "--delete", "100.0.0"], cwd=template, check=False)
    return site


def test_current_repository_has_nothing_to_propose(site: Site) -> None:
    done = site.propose()
    assert done.returncode == 0, done.stderr
    assert "nothing to propose" in done.stdout
    assert site.branches().keys() == {"main"}


def test_newer_version_is_pushed_once_with_the_options_for_a_gitlab_merge_request(
    site: Site,
) -> None:
    """The bot commits to a branch of its own, and the work tree stays as it was."""
    site.release()
    done = site.propose(**GITLAB)
    assert done.returncode == 0, done.stderr
    assert site.options.read_text().splitlines() == [
        "merge_request.create",
        "merge_request.target=main",
        "merge_request.title=Update the template to 100.0.0",
        "merge_request.remove_source_branch",
    ]
    assert git(site.remote, "show", f"{BRANCH}:gabbi.yaml").startswith("# Newer.\n")
    answers = yaml.safe_load(git(site.remote, "show", f"{BRANCH}:.copier-answers.yml"))
    assert answers["_commit"] == "100.0.0"
    log = git(site.remote, "log", "--format=%an %cn", f"main..{BRANCH}")
    assert log == "Template update Template update\n"
    assert git(site.clone, "status", "--porcelain") == ""
    assert git(site.clone, "rev-parse", "HEAD").strip() == site.branches()["main"]
    assert "glpat-secret" not in done.stdout + done.stderr

    branches = site.branches()
    again = site.propose(**GITLAB)
    assert again.returncode == 0, again.stderr
    assert f"the branch {BRANCH} is already pushed" in again.stdout
    assert site.branches() == branches
    assert site.options.read_text().count("merge_request.create") == 1


def test_tokens_never_reach_the_code_of_the_template(site: Site, tmp_path: Path) -> None:
    """Nobody has reviewed the new version when an update runs it."""
    seen = tmp_path / "environment"
    insert(
        site.template / "extensions/migrations.py",
        'if __name__ == "__main__":\n',
        f'Path("{seen}").write_text(str(__import__("os").environ))\n',
    )
    site.release()
    done = site.propose(**GITLAB, GH_TOKEN="ghp")
    assert done.returncode == 0, done.stderr
    environment = seen.read_text()
    assert "CI_PROJECT_PATH" in environment
    assert "UPDATE_TOKEN" not in environment
    assert "GH_TOKEN" not in environment


def test_branch_is_replaced_until_somebody_else_commits_to_it(site: Site) -> None:
    """A replaced branch can still be merged; only the bot's own commit is ever replaced."""
    site.release()
    assert site.propose(**GITLAB).returncode == 0

    site.commit("values.local.yaml", "threads: 2\n")
    git(site.clone, "pull", "--quiet")
    again = site.propose(**GITLAB)
    assert again.returncode == 0, again.stderr
    assert git(site.remote, "show", f"{BRANCH}:values.local.yaml") == "threads: 2\n"
    assert git(site.remote, "rev-list", "--count", f"main..{BRANCH}") == "1\n"

    site.commit("gabbi.yaml", "# Resolved by hand.\n", branch=BRANCH)
    site.commit("values.local.yaml", "threads: 3\n")
    git(site.clone, "pull", "--quiet")
    branches = site.branches()
    again = site.propose(**GITLAB)
    assert again.returncode == 0, again.stderr
    assert "somebody else has committed to the branch" in again.stdout
    assert site.branches() == branches


def test_conflict_pushes_no_branch_and_prints_the_commands_to_run(site: Site) -> None:
    """A merge request with conflict markers would help nobody."""
    file = site.clone / "gabbi.yaml"
    site.commit("gabbi.yaml", "# Mine.\n" + file.read_text())
    git(site.clone, "pull", "--quiet")
    site.release()
    done = site.propose(**GITLAB)
    assert done.returncode == 1
    assert "    git switch --create update-template\n    make update\n" in done.stderr
    assert site.branches().keys() == {"main"}


def test_uncommitted_changes_are_never_touched(site: Site) -> None:
    """A developer may run the command in a clone with work in progress."""
    site.release()
    (site.clone / "values.local.yaml").write_text("threads: 2\n")
    (site.clone / "notes.txt").write_text("mine\n")
    done = site.propose()
    assert done.returncode == 1
    assert "not committed" in done.stderr
    assert (site.clone / "values.local.yaml").read_text() == "threads: 2\n"
    assert (site.clone / "notes.txt").read_text() == "mine\n"
    assert site.branches().keys() == {"main"}


def test_missing_gitlab_token_is_reported(site: Site) -> None:
    site.release()
    done = site.propose(**{**GITLAB, "UPDATE_TOKEN": ""})
    assert done.returncode == 1
    assert "no UPDATE_TOKEN is set" in done.stderr
    assert "    make update\n" in done.stderr
    assert site.branches().keys() == {"main"}
    assert git(site.clone, "status", "--porcelain") == ""


def test_refused_push_names_the_settings_to_check(site: Site) -> None:
    """GitHub refuses its own token if the update changes a workflow."""
    site.release()
    hook = site.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'refusing to allow a change to a workflow'\nexit 1\n")
    hook.chmod(0o755)
    done = site.propose(GITHUB_REF_NAME="main")
    assert done.returncode == 1
    assert "refusing to allow a change to a workflow" in done.stderr
    assert "create the secret UPDATE_TOKEN" in done.stderr
    assert "    make update\n" in done.stderr
    assert git(site.clone, "status", "--porcelain") == ""


def test_failed_pull_request_leaves_the_branch_and_explains_how_to_open_one(
    site: Site,
) -> None:
    """The job fails every week until somebody opens it; a successful one would be forgotten."""
    site.release()
    for _ in range(2):
        done = site.propose(GITHUB_REF_NAME="main")
        assert done.returncode == 1
        assert f"Open one from {BRANCH} to main by hand" in done.stderr
        assert "Allow GitHub Actions to create and approve pull requests" in done.stderr
        assert site.branches().keys() == {"main", BRANCH}
