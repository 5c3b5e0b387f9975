"""Write examples/: rendered files of a few variants, whose diff shows the effect of a change.

Run by `make examples`. A test passes another folder as an argument and compares it with examples/.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.rendering import ROOT, render

# Together, they cover both CI services, every database, every auth strategy and every exposure.
VARIANTS = (
    "default",
    "air-gapped",
    "mysql-autoscale-ingress",
    "keystone-application-credential-gateway",
)
# It is a copy of a file in releases/, and long.
OMITTED = "placement-requirements.txt"


def drop_source(answers: Path) -> None:
    """Remove the template's place and commit from the stored answers: they differ in each clone."""
    lines = answers.read_text(encoding="utf-8").splitlines(keepends=True)
    answers.write_text("".join(line for line in lines if line[0] != "_"), encoding="utf-8")


def files(repository: Path) -> list[str]:
    """List the files of a rendering."""
    return sorted(
        path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()
    )


def manifests(repository: Path) -> str:
    """Return the manifests that Helm renders from the chart."""
    command = ["helm", "template", "placement", "placement-chart"]
    command += ["--values", "values.yaml", "--values", "values.local.yaml"]
    done = subprocess.run(command, cwd=repository, text=True, stdout=subprocess.PIPE, check=True)
    return done.stdout


def write(variant: str, folder: Path) -> None:
    """Write the example of a variant."""
    with tempfile.TemporaryDirectory() as scratch:
        repository = render(variant, Path(scratch))
        drop_source(repository / ".copier-answers.yml")
        names = files(repository)
        for name in names:
            # A file without Jinja is the same in every rendering.
            if not (ROOT / "template" / name).exists() and name != OMITTED:
                example = folder / name
                example.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(repository / name, example)
        (folder / "files.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        (folder / "manifests.yaml").write_text(manifests(repository), encoding="utf-8")


def main() -> None:
    """Replace the examples once all of them are rendered."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "examples"
    with tempfile.TemporaryDirectory() as scratch:
        for variant in VARIANTS:
            write(variant, Path(scratch, variant))
        for old in folder.glob("*/files.txt"):  # also a variant that is no longer an example
            shutil.rmtree(old.parent)
        shutil.copytree(scratch, folder, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
