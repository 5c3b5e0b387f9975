"""What the rendered CI does on a schedule: push a branch with the newest version of the template.

Two jobs do so, each in a clone of its own. The first runs the newest version, and the second has
the token. The remote is a real one, with a hook that records what GitLab would read. GitHub's own
command `gh` is missing, or has no login, so opening a pull request fails and prints what to do.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from copier import run_copy

from tests.support import processes
from tests.support.containers import Output
from tests.support.repositories import edit_answers
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
PUSHED_TO = "https://gitlab.example.com/cloud/placement.git"
# Set by GitLab and GitHub for every job, so also where a job of theirs runs these tests.
CI_VARIABLES = ("CI_", "GITHUB_", "GITLAB_", "GH_", "UPDATE_TOKEN")


@dataclass(frozen=True)
class Site:
    """A template, a repository rendered from it as a CI job clones it, and its remote."""

    template: Path
    clone: Path
    remote: Path
    options: Path

    @property
    def patch(self) -> Path:
        """The artifact that the first job hands to the second one."""
        return self.clone.with_name("update.patch")

    def run(self, action: str, **env: str) -> Output:
        """Run a job's command, without a terminal."""
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
            ["dev/ci/template-update", action, self.patch],
            cwd=self.clone,
            env={**kept, **redirected, **env},
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
        )

    def make_patch(self) -> None:
        """Run the first job in a shallow clone, which nothing else uses."""
        job = replace(self, clone=self.clone.with_name("first-job"))
        source = self.clone.as_uri()
        git(self.clone, "clone", "--quiet", "--depth=1", "--branch=main", source, str(job.clone))
        done = job.run("make")
        shutil.rmtree(job.clone)
        assert done.returncode == 0, done.stdout + done.stderr

    def propose(self, **env: str) -> Output:
        """Run both jobs, the first one unless its patch exists; return the second one's output."""
        if not self.patch.exists():
            self.make_patch()
        return self.run("propose", **env)

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
    """Clone the repository, with its template at the version that rendered it."""
    return new_site(*rendered, tmp_path)


def new_site(template: Path, repository: Path, folder: Path) -> Site:
    """Clone the repository through a remote that accepts push options and records them."""
    site = Site(template, folder / "clone", folder / "remote.git", folder / "options")
    git(folder, "clone", "--quiet", "--bare", str(repository), str(site.remote))
    git(site.remote, "config", "receive.advertisePushOptions", "true")
    hook = site.remote / "hooks/post-receive"
    hook.write_text(f'#!/bin/sh\nenv | sed -n "s/^GIT_PUSH_OPTION_[0-9]*=//p" >>{site.options}\n')
    hook.chmod(0o755)
    git(folder, "clone", "--quiet", str(site.remote), str(site.clone))
    git(template, "checkout", "--quiet", "--detach", "99.99.99")
    subprocess.run(["git", "tag", "--delete", "100.0.0"], cwd=template, check=False)
    return site


@pytest.fixture(scope="module")
def patch(rendered: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Run the first job once."""
    site = new_site(*rendered, tmp_path_factory.mktemp("patch"))
    site.release()
    site.make_patch()
    return site.patch.read_bytes()


@pytest.fixture
def updated(patch: bytes, site: Site) -> Site:
    """Return a site whose first job has run."""
    site.patch.write_bytes(patch)
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


@pytest.mark.parametrize("token", ["GH_TOKEN", "GITHUB_TOKEN", "UPDATE_TOKEN"])
def test_job_with_a_token_does_not_run_the_newest_version(site: Site, token: str) -> None:
    """Nobody has reviewed that version, and any process of a job can read its token."""
    site.release()
    done = site.run("make", **{token: "glpat-secret"})
    assert done.returncode == 1
    assert "this job must not have the token" in done.stderr
    assert "glpat-secret" not in done.stdout + done.stderr
    assert not site.patch.exists()


def test_job_with_the_token_runs_nothing_of_the_newest_version(site: Site, tmp_path: Path) -> None:
    """Every program of the repository would leave a trace."""
    trace = tmp_path / "trace"
    for name in ("dev/ci/template-update", "dev/maintain", "dev/ci/install-tools"):
        file = site.template / "template" / name
        file.write_text(f"#!/bin/sh\ntouch {trace}\n" + file.read_text())
    insert(
        site.template / "extensions/migrations.py",
        'if __name__ == "__main__":\n',
        f'Path("{trace}").touch()\n',
    )
    site.release()
    site.make_patch()
    assert trace.exists()
    trace.unlink()
    done = site.run("propose", **GITLAB)
    assert done.returncode == 0, done.stderr
    assert BRANCH in site.branches()
    assert not trace.exists()
    assert git(site.clone, "status", "--porcelain") == ""


def add(name: str, mode: str = "100644") -> bytes:
    """Return a patch that adds a file, as a hostile job writes it."""
    return (
        f"diff --git a/{name} b/{name}\nnew file mode {mode}\n--- /dev/null\n+++ b/{name}\n"
        f"@@ -0,0 +1 @@\n+Subproject commit {'1' * 40}\n"
    ).encode()


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (add(".git/hooks/pre-push", "100755"), "invalid path"),
        (add(".GIT/config"), "invalid path"),
        (add("git~1/config"), "invalid path"),
        (add("dev/.git/config"), "invalid path"),
        (add("../outside"), "invalid path"),
        (add("/outside"), "invalid path"),
        (add(".github/workflows/evil.yml"), "changes workflows, .*evil.yml"),
        (add("link", "120000"), "adds a link or a submodule: .*link"),
        (add("module", "160000"), "adds a link or a submodule: .*module"),
        (b"\x00\xff" * 9000, "the patch does not apply"),
    ],
    ids=range(10),
)
def test_hostile_patch_is_refused(site: Site, patch: bytes, message: str) -> None:
    """It reaches neither the remote nor a file, and no token is printed."""
    site.patch.write_bytes(patch)
    before = contents(site)
    done = site.run("propose", **GITLAB)
    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr
    assert "glpat-secret" not in done.stdout + done.stderr
    assert site.branches().keys() == {"main"}
    assert contents(site) == before


@pytest.mark.parametrize("version", ["$(touch x)", "--mirror", "1.0:refs/heads/main", "../main"])
def test_hostile_version_in_a_patch_is_refused(site: Site, version: str) -> None:
    """It would become the name of a branch, and an argument of git and gh."""
    edit_answers(site.clone, r"(?m)^_commit: .*$", f"_commit: {version}")
    site.patch.write_text(git(site.clone, "diff"))
    git(site.clone, "checkout", "--quiet", ".")
    done = site.run("propose", **GITLAB)
    assert done.returncode == 1
    assert f"no valid version of the template: {version}" in done.stderr
    assert site.branches().keys() == {"main"}


def contents(site: Site) -> dict[Path, bytes]:
    """Return all files of the second job's clone, except git's objects."""
    files = (path for path in site.clone.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if "objects" not in path.parts}


def test_token_is_sent_to_the_server_alone(updated: Site) -> None:
    """No URL, argument or output has it, also when the server refuses it or does not answer."""
    authorizations: list[str | None] = []
    arguments: set[str] = set()

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorizations.append(self.headers["authorization"])
            arguments.update(processes.arguments())
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="GitLab"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"127.0.0.1:{server.server_port}"
        local = {**GITLAB, "CI_SERVER_PROTOCOL": "http", "CI_SERVER_FQDN": address}
        refused = updated.run("propose", **local)
        server.shutdown()
    silent = updated.run("propose", **local)
    login = base64.b64encode(b"update:glpat-secret").decode()
    assert authorizations == [None, f"Basic {login}"]
    assert any("ls-remote" in argument for argument in arguments)
    for done in (refused, silent):
        assert done.returncode == 1
        assert "the remote does not answer" in done.stderr
        arguments |= {done.stdout, done.stderr}
    assert not [text for text in arguments if "glpat-secret" in text]


def test_patch_is_downloaded_from_the_api_of_gitlab(site: Site, tmp_path: Path) -> None:
    """Only the job of this pipeline that ran the newest version is used."""
    project = tmp_path / "api/projects/1"
    jobs = [{"id": 3, "name": "test"}, {"id": 4, "name": "update"}]
    for name, text in (
        ("pipelines/2/jobs", json.dumps(jobs)),
        ("jobs/3/artifacts/update.patch", "wrong"),
        ("jobs/4/artifacts/update.patch", "right"),
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "api")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        numbers = {"CI_API_V4_URL": url, "CI_PROJECT_ID": "1", "CI_PIPELINE_ID": "2"}
        done = site.run("download", **GITLAB, **numbers)
        missing = site.run("download", **GITLAB, **{**numbers, "CI_PIPELINE_ID": "9"})
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert site.patch.read_text() == "right"
    assert missing.returncode == 1
    assert "Check UPDATE_TOKEN" in missing.stderr
    assert "glpat-secret" not in missing.stderr


def test_branch_is_replaced_until_somebody_else_commits_to_it(site: Site) -> None:
    """A replaced branch can still be merged; only the bot's own commit is ever replaced."""
    site.release()
    assert site.propose(**GITLAB).returncode == 0

    site.commit("values.local.yaml", "threads: 2\n")
    git(site.clone, "pull", "--quiet")
    site.patch.unlink()
    again = site.propose(**GITLAB)
    assert again.returncode == 0, again.stderr
    assert git(site.remote, "show", f"{BRANCH}:values.local.yaml") == "threads: 2\n"
    assert git(site.remote, "rev-list", "--count", f"main..{BRANCH}") == "1\n"

    site.commit("gabbi.yaml", "# Resolved by hand.\n", branch=BRANCH)
    site.commit("values.local.yaml", "threads: 3\n")
    git(site.clone, "pull", "--quiet")
    site.patch.unlink()
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
    done = site.run("make")
    assert done.returncode == 1
    assert "    git switch --create update-template\n    make update\n" in done.stderr
    assert site.branches().keys() == {"main"}


def test_uncommitted_changes_are_never_touched(site: Site) -> None:
    """A developer may run the command in a clone with work in progress."""
    site.release()
    (site.clone / "values.local.yaml").write_text("threads: 2\n")
    (site.clone / "notes.txt").write_text("mine\n")
    done = site.run("make")
    assert done.returncode == 1
    assert "not committed" in done.stderr
    assert (site.clone / "values.local.yaml").read_text() == "threads: 2\n"
    assert (site.clone / "notes.txt").read_text() == "mine\n"
    assert site.branches().keys() == {"main"}


def test_missing_gitlab_token_is_reported(updated: Site) -> None:
    done = updated.propose(**{**GITLAB, "UPDATE_TOKEN": ""})
    assert done.returncode == 1
    assert "UPDATE_TOKEN is not set" in done.stderr
    assert "    make update\n" in done.stderr
    assert updated.branches().keys() == {"main"}
    assert git(updated.clone, "status", "--porcelain") == ""


def test_refused_push_names_the_settings_to_check(updated: Site) -> None:
    """A token may have expired, or lack a permission."""
    hook = updated.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'permission denied'\nexit 1\n")
    hook.chmod(0o755)
    done = updated.propose(GITHUB_REF_NAME="main")
    assert done.returncode == 1
    assert "permission denied" in done.stderr
    assert "Check UPDATE_TOKEN, or the permissions of the job" in done.stderr
    assert "    make update\n" in done.stderr
    assert git(updated.clone, "status", "--porcelain") == ""


def test_failed_pull_request_leaves_the_branch_and_explains_how_to_open_one(
    updated: Site,
) -> None:
    """The job fails every week until somebody opens it; a successful one would be forgotten."""
    for _ in range(2):
        done = updated.propose(GITHUB_REF_NAME="main")
        assert done.returncode == 1
        assert f"Open one from {BRANCH} to main by hand" in done.stderr
        assert "Allow GitHub Actions to create and approve pull requests" in done.stderr
        assert updated.branches().keys() == {"main", BRANCH}
