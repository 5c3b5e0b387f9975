"""What the rendered CI does on schedule: a newer version of the template on a branch of its own.

The remote is a real one, whose hook writes down what GitLab would read. GitHub's own command `gh`
is missing, or has no login: what comes after the push fails, and says what to do.
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
# What GitLab and GitHub set for every job, should this be one of theirs.
OF_CI = ("CI_", "GITHUB_", "GITLAB_", "GH_", "UPDATE_TOKEN")


@dataclass(frozen=True)
class Site:
    """A template, the clone of a repository rendered from it as a job has it, and their remote."""

    template: Path
    clone: Path
    remote: Path
    options: Path

    def propose(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the script as a job does, with nobody to answer."""
        kept = {name: it for name, it in os.environ.items() if not name.startswith(OF_CI)}
        # The address that GitLab has leads to this remote.
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
        """Make a newer version of the template, which begins a file with something else."""
        file = self.template / name
        file.write_text(edit + file.read_text())
        commit_all(self.template)
        git(self.template, "tag", "100.0.0")

    def branches(self) -> dict[str, str]:
        """Return the branches of the remote, each with its last commit."""
        listed = git(self.remote, "for-each-ref", "--format=%(refname:short) %(objectname)")
        return dict(line.split() for line in listed.splitlines())

    def commit(self, name: str, text: str, branch: str = "main") -> None:
        """Commit a change and push it, as somebody from elsewhere."""
        elsewhere = self.clone.with_name("elsewhere")
        git(self.clone, "clone", "--quiet", "--branch", branch, str(self.remote), str(elsewhere))
        (elsewhere / name).write_text(text)
        commit_all(elsewhere)
        git(elsewhere, "push", "--quiet", "origin", branch)
        shutil.rmtree(elsewhere)


@pytest.fixture(scope="module")
def rendered(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Render the default once."""
    folder = tmp_path_factory.mktemp("propose")
    template, repository = folder / "template", folder / "repository"
    git(folder, "clone", "--quiet", str(copier_template), str(template))
    run_copy(str(template), repository, defaults=True, unsafe=True, quiet=True)
    git(repository, "init", "--quiet", "--initial-branch", "main")
    commit_all(repository)
    return template, repository


@pytest.fixture
def site(rendered: tuple[Path, Path], tmp_path: Path) -> Site:
    """Clone it by way of a remote that takes push options and writes them down."""
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


def test_with_nothing_newer_there_is_nothing_to_propose(site: Site) -> None:
    done = site.propose()
    assert done.returncode == 0, done.stderr
    assert "nothing to propose" in done.stdout
    assert site.branches().keys() == {"main"}


def test_a_newer_version_is_pushed_once_with_what_gitlab_makes_a_merge_request_of(
    site: Site,
) -> None:
    """By a bot, on a branch of its own, and what is checked out stays."""
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


def test_the_branch_is_made_anew_until_somebody_else_works_on_it(site: Site) -> None:
    """So that it can still be merged; the bot's own commit is all that is ever replaced."""
    site.release()
    assert site.propose(**GITLAB).returncode == 0

    site.commit("values.local.yaml", "threads: 2\n")
    git(site.clone, "pull", "--quiet")
    again = site.propose(**GITLAB)
    assert again.returncode == 0, again.stderr
    assert git(site.remote, "show", f"{BRANCH}:values.local.yaml") == "threads: 2\n"
    assert git(site.remote, "rev-list", "--count", f"main..{BRANCH}") == "1\n"

    site.commit("gabbi.yaml", "# Settled by hand.\n", branch=BRANCH)
    site.commit("values.local.yaml", "threads: 3\n")
    git(site.clone, "pull", "--quiet")
    branches = site.branches()
    again = site.propose(**GITLAB)
    assert again.returncode == 0, again.stderr
    assert "somebody else has committed to the branch" in again.stdout
    assert site.branches() == branches


def test_a_conflict_leaves_no_branch_and_says_what_to_run(site: Site) -> None:
    """Nobody wants a merge request with conflict markers."""
    file = site.clone / "gabbi.yaml"
    site.commit("gabbi.yaml", "# Mine.\n" + file.read_text())
    git(site.clone, "pull", "--quiet")
    site.release()
    done = site.propose(**GITLAB)
    assert done.returncode == 1
    assert "    git switch --create update-template\n    make update\n" in done.stderr
    assert site.branches().keys() == {"main"}


def test_what_is_not_committed_is_never_touched(site: Site) -> None:
    """By hand, in a clone somebody works in."""
    site.release()
    (site.clone / "values.local.yaml").write_text("threads: 2\n")
    (site.clone / "notes.txt").write_text("mine\n")
    done = site.propose()
    assert done.returncode == 1
    assert "not committed" in done.stderr
    assert (site.clone / "values.local.yaml").read_text() == "threads: 2\n"
    assert (site.clone / "notes.txt").read_text() == "mine\n"
    assert site.branches().keys() == {"main"}


def test_without_a_token_gitlab_is_told_what_to_make(site: Site) -> None:
    site.release()
    done = site.propose(**{**GITLAB, "UPDATE_TOKEN": ""})
    assert done.returncode == 1
    assert "no UPDATE_TOKEN is set" in done.stderr
    assert "    make update\n" in done.stderr
    assert site.branches().keys() == {"main"}
    assert git(site.clone, "status", "--porcelain") == ""


def test_a_push_that_is_refused_says_what_to_set(site: Site) -> None:
    """As GitHub refuses its own token where the update changes a workflow."""
    site.release()
    hook = site.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'refusing to allow a change to a workflow'\nexit 1\n")
    hook.chmod(0o755)
    done = site.propose(GITHUB_REF_NAME="main")
    assert done.returncode == 1
    assert "refusing to allow a change to a workflow" in done.stderr
    assert "create a secret UPDATE_TOKEN" in done.stderr
    assert "    make update\n" in done.stderr
    assert git(site.clone, "status", "--porcelain") == ""


def test_without_a_pull_request_the_branch_is_there_and_the_job_says_how_to_open_one(
    site: Site,
) -> None:
    """Each time, until somebody does: a job that ended well would be the last word of it."""
    site.release()
    for _ in range(2):
        done = site.propose(GITHUB_REF_NAME="main")
        assert done.returncode == 1
        assert f"Open it by hand, from {BRANCH} to main" in done.stderr
        assert "Allow GitHub Actions to create and approve pull requests" in done.stderr
        assert site.branches().keys() == {"main", BRANCH}
