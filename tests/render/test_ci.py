"""The rendered CI: what each service is asked to do, and that its own commands do it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from extensions.deployment import Deployment
from tests.render.conftest import Repo
from tests.render.test_readme import targets
from tests.support.template import ROOT, Render, load
from tests.support.variants import every_variant

# What a step begins with: nothing that brings a tool of its own, in whatever version.
KNOWN = {"apt-get", "dev/ci/install-tools", "dev/maintain", "gh", "make"}
STEPS = ["make lint", "make build", "make up", "make test", "make chart-test"]


def workflows(repo: Repo) -> dict[str, Any]:
    """Return GitHub's workflows by their names."""
    return {path.name: load(path) for path in (repo.path / ".github/workflows").glob("*")}


def jobs(repo: Repo) -> dict[str, Any]:
    """Return the jobs of both services, GitLab's with what they extend."""
    if repo.deployment.ci == "gitlab":
        read = load(repo.path / ".gitlab-ci.yml")
        named = {name: it for name, it in read.items() if name not in ("include", ".debian")}
        return {name: read[it["extends"]] | it for name, it in named.items()}
    return {name: job for it in workflows(repo).values() for name, job in it["jobs"].items()}


def commands(job: dict[str, Any]) -> list[str]:
    """Return the commands of a job, line by line, whichever service runs them."""
    steps = [step["run"] for step in job.get("steps", []) if "run" in step]
    return "\n".join([*steps, *job.get("before_script", []), *job.get("script", [])]).splitlines()


@every_variant
def test_each_service_has_its_files_and_none_has_none(repo: Repo) -> None:
    there = {
        path.relative_to(repo.path).as_posix()
        for pattern in (".github/**/*", ".gitlab*", "dev/ci/install-tools")
        for path in repo.path.glob(pattern)
        if path.is_file()
    }
    scripts = {"dev/ci/install-tools"}
    assert (
        there
        == {
            "github": {".github/workflows/ci.yml", ".github/workflows/update.yml", *scripts},
            "gitlab": {".gitlab-ci.yml", *scripts},
            "none": set(),
        }[repo.deployment.ci]
    )


@every_variant
def test_each_file_is_what_its_service_reads(repo: Repo) -> None:
    """By the schema of each, and by actionlint, which reads scripts and permissions, too."""
    checks = {
        "github": [
            ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
            ["actionlint"],
        ],
        "gitlab": [["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"]],
        "none": [],
    }[repo.deployment.ci]
    files = [".gitlab-ci.yml"] if repo.deployment.ci == "gitlab" else []
    files += [f".github/workflows/{name}" for name in workflows(repo)]
    for check in checks:
        done = subprocess.run(
            [*check, *files], cwd=repo.path, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@every_variant
def test_nothing_may_more_than_it_needs(repo: Repo) -> None:
    """Only the job that proposes an update may write, and no token is left in a clone."""
    may_write = {"propose": {"contents": "write", "pull-requests": "write"}}
    for workflow in workflows(repo).values():
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert job.get("permissions") == may_write.get(name)
            checkouts = [it for it in job["steps"] if "actions/checkout" in it.get("uses", "")]
            assert [it["with"]["persist-credentials"] for it in checkouts] == [False]


@every_variant
def test_what_others_make_is_pinned(repo: Repo) -> None:
    """Actions by commit and version, images by digest, tools by dev/ci/install-tools."""
    for path in (repo.path / ".github").rglob("*.yml"):
        used = re.findall(r"uses: (.*)", path.read_text())
        assert used
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[0-9.]+", it) for it in used), used
    for job in jobs(repo).values():
        image = job.get("image", job.get("container"))
        assert (image is None) == (repo.deployment.ci == "github")
        assert image is None or re.fullmatch(r"[a-z./-]+:[a-z-]+@sha256:[0-9a-f]{64}", image)
        assert {it.removeprefix("sudo ").split()[0] for it in commands(job)} <= KNOWN


@every_variant
def test_a_change_is_tested_and_a_schedule_proposes_an_update(repo: Repo) -> None:
    """Never both in one pipeline, and each step that is a target can be made."""
    if repo.deployment.ci == "none":
        return
    test, update = jobs(repo).values()
    assert [it for it in commands(test) if it.startswith("make")] == STEPS
    assert {it.removeprefix("make ") for it in STEPS} <= targets(repo)
    assert "dev/maintain propose-update" in commands(update)
    if repo.deployment.ci == "gitlab":
        scheduled = '$CI_PIPELINE_SOURCE == "schedule"'
        assert test["rules"][0] == {"if": scheduled, "when": "never"}
        assert update["rules"] == [{"if": scheduled}]
        assert update["resource_group"]
    else:
        read = workflows(repo)
        # YAML 1.1 reads the word `on` as true.
        assert read["ci.yml"][True].keys() == {"push", "pull_request"}
        assert read["update.yml"][True].keys() == {"schedule", "workflow_dispatch"}
        assert read["update.yml"]["concurrency"]


@dataclass(frozen=True)
class Job:
    """A copy of a rendered repository, and a PATH with the installed tools and no linter."""

    repo: Repo
    tools: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as both services do: a shell that ends with the first failure."""
        return subprocess.run(
            ["sh", "-euc", command],
            cwd=self.repo.path,
            env={**os.environ, "PATH": f"{self.tools}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
        )


@pytest.fixture(scope="module", params=["github", "gitlab"])
def job(
    request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory
) -> Job:
    """Copy a variant that has most kinds of files, for each service."""
    answers = {**load(ROOT / "tests/answers/valid/keystone-password.yml"), "ci": request.param}
    path = tmp_path_factory.mktemp("job")
    shutil.copytree(render(answers), path / "repository")
    (path / "tools").mkdir()
    for tool in ("uv", "helm", "helm-unittest"):
        (path / "tools" / tool).symlink_to(str(shutil.which(tool)))
    return Job(Repo(path / "repository", Deployment(**answers)), path / "tools")


def test_the_steps_that_need_no_engine_pass_as_they_stand_there(job: Job) -> None:
    """The others are what the tests of the backends make."""
    test, _ = jobs(job.repo).values()
    steps = [it for it in commands(test) if it in ("make lint", "make chart-test")]
    assert len(steps) == 2
    for step in steps:
        done = job.run(step)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "added", "complaint"),
    [
        ("placement-chart/values.yaml", "mine:   true\n", "too many spaces after colon"),
        ("dev/mine.sh", "#!/bin/sh\necho $1\n", "SC2086"),
        ("image/root.sh", "echo $1\n", "SC2086"),
        ("Dockerfile", "RUN cd /tmp\n", "DL3003"),
        ("dev/stack/servers/keystone/Dockerfile", "RUN cd /tmp\n", "DL3003"),
    ],
)
def test_lint_finds_what_is_wrong(job: Job, name: str, added: str, complaint: str) -> None:
    file = job.repo.path / name
    before = file.read_text() if file.exists() else ""
    file.write_text(before + added)
    done = job.run("make lint")
    file.unlink()
    if before:
        file.write_text(before)
    assert done.returncode == 2
    assert complaint in done.stdout


TOOLS = ROOT / "template/dev/ci/install-tools"


def install(script: Path, into: Path, *tools: str) -> subprocess.CompletedProcess[str]:
    """Run dev/ci/install-tools."""
    into.mkdir(exist_ok=True)
    return subprocess.run(
        [script, into, *tools],
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_versions_are_those_that_the_template_is_tested_with() -> None:
    """Each is stated here once, and where the template itself gets it once."""
    text = TOOLS.read_text()
    modules = (ROOT / "tools/go.mod").read_text()
    for module, url in (
        ("helm.sh/helm/v4", "https://get.helm.sh/helm-{}-linux"),
        ("github.com/helm-unittest/helm-unittest", "helm-unittest/releases/download/{}/"),
    ):
        version = re.search(rf"^\s{re.escape(module)} (\S+) // indirect$", modules, re.MULTILINE)
        assert version
        assert url.format(version[1]) in text
    uv = re.search(r"^uv==(\S+) --hash=(sha256:[0-9a-f]{64})$", text, re.MULTILINE)
    assert uv
    locked = (ROOT / "tools/uv.txt").read_text()
    assert f"uv=={uv[1]} " in locked
    assert f"--hash={uv[2]}" in locked


def test_uv_is_installed_by_its_hash(tmp_path: Path) -> None:
    """From the registry itself, and not where the hash is another one."""
    done = install(TOOLS, tmp_path / "bin", "uv")
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "bin/uv", "--version"], check=True).returncode == 0

    wrong = tmp_path / "install-tools"
    wrong.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", TOOLS.read_text()))
    wrong.chmod(0o755)
    refused = install(wrong, tmp_path / "none", "uv")
    assert refused.returncode != 0
    assert "HASH" in refused.stderr
    assert list((tmp_path / "none").iterdir()) == []


@pytest.mark.parametrize(
    ("tool", "member"), [("helm", "linux-amd64/helm"), ("helm-unittest", "untt-linux-amd64")]
)
def test_an_archive_is_installed_by_its_checksum(tool: str, member: str, tmp_path: Path) -> None:
    """An archive laid out as the real one: refused while its checksum is not the one expected."""
    archive, script = tmp_path / "archive.tgz", tmp_path / "install-tools"
    with tarfile.open(archive, "w:gz", compresslevel=1) as made:
        made.add(str(shutil.which(tool)), member)
    text, replaced = re.subn(
        rf"https://\S+/{tool}-(?:v\d|linux)\S+", archive.as_uri(), TOOLS.read_text()
    )
    assert replaced == 1
    script.write_text(text)
    script.chmod(0o755)
    refused = install(script, tmp_path / "bin", tool)
    assert refused.returncode == 1
    assert "has another checksum than dev/ci/install-tools expects" in refused.stderr
    assert list((tmp_path / "bin").iterdir()) == []

    sums = {len(hashlib.new(it).hexdigest()): it for it in ("sha256", "sha512")}
    block = re.search(rf"\n        {tool}\)\n(.*?);;", text, re.DOTALL)
    assert block
    expected = re.search(r"\b[0-9a-f]{64,}\b", block[1])
    assert expected
    found = hashlib.new(sums[len(expected[0])], archive.read_bytes()).hexdigest()
    script.write_text(text.replace(expected[0], found))
    done = install(script, tmp_path / "bin", tool)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "bin" / tool, "--help"], capture_output=True, check=True)


def test_an_unknown_tool_is_refused(tmp_path: Path) -> None:
    done = install(TOOLS, tmp_path / "bin", "kubectl")
    assert done.returncode == 1
    assert "there is no tool 'kubectl': uv, helm or helm-unittest" in done.stderr
