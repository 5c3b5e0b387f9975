"""Update locked versions: of each release, of rendered repositories, and of the maintenance tool.

- releases/<release>.txt: OpenStack's upper constraints decide the versions. The variable
  CONSTRAINTS is a URL with a page for each release (default: OpenStack's own), or a folder with a
  file <release>.txt for each.
- template/dev/: the newest versions of the packages in tools/requirements/. Keystone has the
  version of the newest release.
- pyproject.toml: the exact versions that the maintenance tool runs with.

Pass releases as arguments to lock only those.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

ROOT = Path(__file__).parent.parent
RELEASES = ROOT / "releases"
REQUIREMENTS = ROOT / "tools/requirements"
DEV = ROOT / "template/dev"
CONSTRAINTS = os.environ.get("CONSTRAINTS", "https://releases.openstack.org/constraints/upper")
# Lists in pyproject.toml, with the packages that the maintenance tool imports.
PINNED = {
    "dependencies": ("copier", "copier-template-extensions", "plumbum", "pyyaml"),
    "load": ("matplotlib", "tenacity"),
}
# The Python of the oldest supported Debian.
OLDEST_PYTHON = "3.11"


def constraints(release: str) -> str:
    """Return the URL or the path of the constraints of a release."""
    if "://" in CONSTRAINTS:
        return f"{CONSTRAINTS.rstrip('/')}/{release}"
    return str(Path(CONSTRAINTS) / f"{release}.txt")


def placement_version(release: str) -> str:
    """Return the version of Placement in a release."""
    facts = (RELEASES / f"{release}.yml").read_text(encoding="utf-8")
    found = re.search(r"^placement: (\S+)$", facts, re.MULTILINE)
    if not found:
        sys.exit(f"releases/{release}.yml: add the line `placement: <version>`")
    return found[1]


def compiled(wanted: str, *options: str) -> str:
    """Resolve packages and their dependencies for every Python version, with hashes."""
    return resolved(wanted, "--generate-hashes", *options)


def resolved(wanted: str, *options: str) -> str:
    """Resolve packages and their dependencies for every Python version."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
    command += ["--no-header", "--no-annotate", "--no-config"]
    done = subprocess.run(
        [*command, *options, "-"], input=wanted, text=True, stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        sys.exit("uv cannot resolve these packages: see above")
    return done.stdout


def lock_release(release: str) -> None:
    """Write the locked requirements of one release."""
    wanted = (RELEASES / "requirements.in").read_text(encoding="utf-8")
    wanted += f"openstack-placement=={placement_version(release)}\n"
    locked = compiled(wanted, "--constraints", constraints(release))
    header = f"# Placement {release}: every package with its hashes. Written by `make lock`.\n"
    (RELEASES / f"{release}.txt").write_text(header + locked, encoding="utf-8")


def lock_dev(name: str, folder: str, *options: str) -> None:
    """Write the locked requirements of a tool or server of rendered repositories."""
    print(f"locking {name}", flush=True)
    wanted = (REQUIREMENTS / f"{name}.in").read_text(encoding="utf-8")
    header = "# Every package with its hashes. A newer version of the template renews this file.\n"
    locked = header + compiled(wanted, *options)
    (DEV / folder / "requirements.txt").write_text(locked, encoding="utf-8")


def lock_linters() -> None:
    """Lock the linters of rendered repositories in the versions that check the template itself."""
    command = ["uv", "export", "--frozen", "--quiet", "--no-hashes", "--no-emit-project"]
    with NamedTemporaryFile(suffix=".txt") as versions:
        subprocess.run([*command, "--output-file", versions.name], cwd=ROOT, check=True)
        lock_dev("lint", "lint", "--constraints", versions.name)


def pin_tool() -> None:
    """Write the exact versions of the maintenance tool, and lock them for the tests."""
    print("pinning the maintenance tool", flush=True)
    path = ROOT / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    for name, packages in PINNED.items():
        lines = resolved("\n".join(packages), "--upgrade").splitlines()
        pins = "".join(f'  "{line}",\n' for line in lines)
        text = re.sub(rf"(?ms)^{name} = \[\n.*?^\]", f"{name} = [\n{pins}]", text)
    path.write_text(text, encoding="utf-8")
    subprocess.run(["uv", "lock", "--quiet"], cwd=ROOT, check=True)


def main() -> None:
    """Lock the given releases, or everything."""
    known = sorted(path.stem for path in RELEASES.glob("*.yml"))
    for release in sys.argv[1:] or known:
        if release not in known:
            sys.exit(f"unknown release {release}: add releases/{release}.yml first")
        print(f"locking {release} with {constraints(release)}", flush=True)
        lock_release(release)
    if not sys.argv[1:]:
        lock_dev("stack", "stack", "--upgrade")
        lock_linters()
        # Both are installed together.
        stack = str(DEV / "stack/requirements.txt")
        lock_dev("openstack", "stack/keystone", "--constraints", stack)
        lock_dev("keystone", "stack/servers/keystone", "--constraints", constraints(known[-1]))
        pin_tool()


if __name__ == "__main__":
    main()
