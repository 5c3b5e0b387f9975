"""Say what is not well with this repository, and what to do about it."""

import difflib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import change
import rendering
from repository import ANSWERS, Repository, UpkeepError, is_own

TOOLS = {
    "make": "runs everything here",
    "docker or podman": "builds and runs the image",
    "helm": "installs the chart: https://helm.sh/docs/intro/install",
}
KUBECTL = {"kubectl": "talks to the cluster: https://kubernetes.io/docs/tasks/tools"}


@dataclass
class Finding:
    """One thing that is not well."""

    check: str
    what: str
    do: str = ""
    detail: str = ""


def run(
    repository: Repository, namespace: str, secrets: list[str], *, cluster: bool, as_json: bool
) -> int:
    """Look at everything; the exit code is 0 only if all is well."""
    findings = [
        *missing_tools(TOOLS | KUBECTL if cluster else TOOLS),
        *in_the_repository(repository),
        *(missing_secrets(namespace, secrets) if cluster else ()),
    ]
    if as_json:
        print(json.dumps({"well": not findings, "findings": [*map(asdict, findings)]}, indent=2))
    else:
        tell(findings)
    return 1 if findings else 0


def tell(findings: list[Finding]) -> None:
    """Print the findings for a person."""
    for finding in findings:
        print(f"{finding.check}: {finding.what}")
        if finding.do:
            print(f"  -> {finding.do}")
        if finding.detail:
            print("\n" + "".join(f"    {line}\n" for line in finding.detail.splitlines()))
    print(f"{len(findings)} not well." if findings else "All is well.")


def missing_tools(tools: dict[str, str]) -> Iterator[Finding]:
    """Find the tools that are not installed."""
    for tool, purpose in tools.items():
        if not any(shutil.which(name) for name in tool.split(" or ")):
            yield Finding("tools", f"{tool} is missing, which {purpose}")
    if shutil.which("helm") and not has_helm_unittest():
        where = "https://github.com/helm-unittest/helm-unittest"
        yield Finding("tools", f"helm-unittest is missing, which tests the chart: {where}")


def has_helm_unittest() -> bool:
    """Tell whether it is there, by itself or as a plugin of Helm."""
    plugin = ["helm", "unittest", "--help"]
    return (
        bool(shutil.which("helm-unittest"))
        or not subprocess.run(plugin, capture_output=True, check=False).returncode
    )


def in_the_repository(repository: Repository) -> Iterator[Finding]:
    """Look at it by itself, beside what the template renders, and beside its newest version."""
    try:
        repository.check_git()
    except UpkeepError as error:
        yield Finding("git", error.what, error.do)
        return
    yield from unsettled_conflicts(repository)
    try:
        answers = repository.answers()
        with rendering.pristine(answers) as untouched:
            yield from idle_answers(answers, Repository(untouched).answers())
            yield from deleted_files(repository, untouched)
            yield from foreign_files(repository, untouched)
            yield from drift(repository, untouched)
    except UpkeepError as error:
        do = error.do or f"put back what Copier wrote there: git log -p {ANSWERS}"
        yield Finding("answers", error.what, do)
        return
    try:
        yield from newer_version(repository)
    except UpkeepError as error:
        do = error.do or "answer anew (make set NAME=value), commit, and then make update"
        yield Finding("template", f"an update is refused: {error.what}", do)


def unsettled_conflicts(repository: Repository) -> Iterator[Finding]:
    """Find what an update has left to be settled."""
    marks = ("grep", "--untracked", "--name-only", "-E", "-e", "^(<{7}|>{7}) ")
    try:
        names = set(repository.names(*marks))
    except UpkeepError:  # git grep fails where it finds nothing
        names = set()
    names |= set(repository.names("diff", "--relative", "--name-only", "--diff-filter=U"))
    for name in sorted(names):
        do = "choose between the versions that stand there, and `git add` it"
        yield Finding("conflicts", f"{name} has a conflict that is not settled", do)
    for name in repository.names("ls-files", "--cached", "--others", "--", "*.rej"):
        do = f"put by hand into {name.removesuffix('.rej')} what is missing there, and remove it"
        yield Finding("conflicts", f"{name} holds changes that an update could not make", do)


def idle_answers(stored: dict[str, object], used: dict[str, object]) -> Iterator[Finding]:
    """Find the answers to questions that are not asked, which somebody must have written there."""
    for name in sorted(stored.keys() - used.keys()):
        do = f"remove the line from {ANSWERS}, or answer by `make set` what it depends on"
        yield Finding("answers", f"{name} has no effect: with these answers nobody asks for it", do)


def deleted_files(repository: Repository, untouched: Path) -> Iterator[Finding]:
    """Find the files that the template has and this repository has not: they stay away for ever."""
    for name in files(untouched):
        if not (repository.root / name).is_file():
            last = repository.git("log", "-n", "1", "--format=%h", "--", name).strip()
            tracked = repository.names("ls-files", "--", name)
            source = "HEAD" if tracked else f"{last}^"
            do = f"git checkout {source} -- {name}" if last else rendering.ANEW
            yield Finding("files", f"{name} is of the template, and is deleted here", do)


def foreign_files(repository: Repository, untouched: Path) -> Iterator[Finding]:
    """Find the chart's templates that are neither the template's nor the user's own."""
    folder = "placement-chart/templates"
    known = files(untouched)
    for name in files(repository.root / folder):
        path = f"{folder}/{name}"
        if path not in known and not name.startswith("local-"):
            what = f"{path} is not of the template, and Helm renders it beside the template's"
            yield Finding("files", what, f"remove it, or call it {folder}/local-{Path(name).name}")


def drift(repository: Repository, untouched: Path) -> Iterator[Finding]:
    """Find the files that differ from what the template renders; the user's own places may."""
    for name in files(untouched):
        here, there = repository.root / name, untouched / name
        if is_own(name) or name == ANSWERS or not here.is_file():
            continue
        if there.read_bytes() != here.read_bytes():
            do = "an update merges it; better, move it to one of your own places (README.md)"
            what = f"{name} differs from what the template renders"
            yield Finding("drift", what, do, difference(there, here, name))
        if there.stat().st_mode & 0o100 and not here.stat().st_mode & 0o100:
            yield Finding("drift", f"{name} cannot be executed", f"chmod +x {name}")


def difference(there: Path, here: Path, name: str) -> str:
    """Show what was edited, line ends included."""
    before, after = (
        path.read_bytes().decode(errors="replace").splitlines(keepends=True)
        for path in (there, here)
    )
    lines = difflib.unified_diff(before, after, f"template/{name}", f"here/{name}", lineterm="")
    return "\n".join(line.replace("\r", "\\r").removesuffix("\n") for line in lines)


def files(folder: Path) -> list[str]:
    """List the files in a folder."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(names)


def newer_version(repository: Repository) -> Iterator[Finding]:
    """Try an update to the newest version, as `make update` does."""
    found = change.preview(repository, {}, "")
    before, after = found.versions
    if before == after:
        return
    settle = f", and {len(found.conflicting)} files to settle" if found.conflicting else ""
    yield Finding(
        "template", f"{after} is out, and this is {before}{settle}", "make update", found.news
    )


def missing_secrets(namespace: str, secrets: list[str]) -> Iterator[Finding]:
    """Find the Secrets that the pods need and the current Kubernetes context has not."""
    for secret in secrets:
        name, keys = secret.split(":")[:2]
        command = ["kubectl", "--namespace", namespace, "get", "secret", name, "--output=json"]
        try:
            done = subprocess.run(command, text=True, capture_output=True, check=False)
        except FileNotFoundError:
            return  # which is a finding of its own
        if done.returncode and not re.search(r"\(NotFound\)", done.stderr):
            yield Finding("cluster", f"kubectl cannot tell: {done.stderr.strip()}")
            return
        try:
            there = json.loads(done.stdout or "{}").get("data") or {}
        except ValueError:
            yield Finding("cluster", f"kubectl cannot tell: {done.stdout.strip()}")
            return
        absent = [key for key in keys.split(",") if key not in there]
        if absent:
            what = f"the Secret {name} in {namespace} has no {' and no '.join(absent)}"
            yield Finding("cluster", what, "make secrets")
