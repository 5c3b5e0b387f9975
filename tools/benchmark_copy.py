"""Time `copier copy` of the default answers, and a change of one setting by Copier and `make set`.

Prints medians with their range, and ratios: of `make set` to the update, of all others to
`copier --version`. An empty template shows what Copier itself needs: it renders as many files,
without content, questions and extensions. Run it with `uv run python -m tools.benchmark_copy`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 10
SETTING = "network_policy=true"
# Python keeps what it has compiled, as on a user's machine, and the user's settings do not matter.
ENVIRONMENT = {**os.environ, "COPIER_SETTINGS_PATH": os.devnull}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
COPY = ("copier", "copy", "--trust", "--defaults", "--quiet", "--vcs-ref=HEAD")
UPDATE = ("copier", "update", "--trust", "--defaults", "--quiet", "--vcs-ref=:current:")


def seconds(*command: str | Path, cwd: Path | None = None) -> float:
    """Time one run of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, env=ENVIRONMENT)
    return time.perf_counter() - start


def commit(repository: Path) -> None:
    """Commit all files, as an update requires."""
    for arguments in ("init", "add --all --force", "-c user.name=x -c user.email=x commit -m x"):
        subprocess.run(
            ["git", "-C", repository, *arguments.split()], check=True, capture_output=True
        )


def write_empty_template(rendered: Path, template: Path) -> None:
    """Write a template of empty files with the names of the rendered ones."""
    for path in rendered.rglob("*"):
        if path.is_file() and path.name != ".copier-answers.yml":
            file = template / "template" / path.relative_to(rendered)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    answers = template / "template" / "{{ _copier_conf.answers_file }}.jinja"
    answers.write_text("{{ _copier_answers | to_nice_yaml }}", encoding="utf-8")
    (template / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    commit(template)


def report(name: str, times: list[float], base: list[float]) -> None:
    """Print the times, and their ratios to those of another command in the same rounds."""
    ratios = [one / other for one, other in zip(times, base, strict=True)]
    print(
        f"{name}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f} s; "
        f"ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    )


def main() -> None:
    """Run the commands in turn, so that all of them meet the same load of the machine."""
    times: dict[str, list[float]] = {}

    def measure(name: str, *command: str | Path, cwd: Path | None = None) -> None:
        times.setdefault(name, []).append(seconds(*command, cwd=cwd))

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        template, empty = folder / "template", folder / "empty"
        # As a host sends it, without the unpacked objects of a developer's clone.
        subprocess.run(["git", "clone", "--quiet", ROOT.as_uri(), template], check=True)
        seconds(*COPY, template, folder / "rendered")
        write_empty_template(folder / "rendered", empty)
        for run in range(RUNS + 1):
            one, other = folder / f"{run}", folder / f"{run}-empty"
            measure("copier --version", "copier", "--version")
            measure("copier copy", *COPY, template, one)
            measure("copier copy, empty template", *COPY, empty, other)
            commit(one)
            commit(other)
            measure("copier update", *UPDATE, f"--data={SETTING}", cwd=one)
            measure("copier update, empty template", *UPDATE, cwd=other)
            subprocess.run(["git", "-C", one, "reset", "--quiet", "--hard"], check=True)
            measure("make set", "make", "set", SETTING, cwd=one)
            shutil.rmtree(one)
            shutil.rmtree(other)
    # The first round compiles Copier and installs the maintenance tool.
    later = {name: measured[1:] for name, measured in times.items()}
    for name, measured in later.items():
        base = "copier update" if name == "make set" else "copier --version"
        report(name, measured, later[base])


if __name__ == "__main__":
    main()
