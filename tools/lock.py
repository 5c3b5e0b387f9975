"""Update locked versions: of each release, of rendered repositories, and of the maintenance tool.

- releases/<release>.txt: OpenStack's upper constraints decide the versions. The variable
  CONSTRAINTS is a URL with a page for each release (default: OpenStack's own), or a folder with a
  file <release>.txt for each. The lines of releases/<release>.overrides replace constraints.
  Packages that are not the newest on the index are printed with the reason.
- template/dev/: the newest versions of the packages in tools/requirements/. Keystone has the
  version of the newest release, and so has Nova, which only a test installs.
- pyproject.toml: the exact versions that the maintenance tool runs with.

Pass releases as arguments to lock only those.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.request import urlopen

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

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


def constraints_page(release: str) -> str:
    """Return the URL or the path of the constraints of a release."""
    if "://" in CONSTRAINTS:
        return f"{CONSTRAINTS.rstrip('/')}/{release}"
    return str(Path(CONSTRAINTS) / f"{release}.txt")


def read_constraints(release: str) -> str:
    """Return OpenStack's constraints of a release."""
    page = constraints_page(release)
    try:
        if "://" not in page:
            return Path(page).read_text(encoding="utf-8")
        with urlopen(page, timeout=60) as answer:  # noqa: S310 # the maintainer's own URL
            return str(answer.read(), "utf-8")
    except OSError as error:
        sys.exit(f"{page} cannot be read: {error}; set CONSTRAINTS to a URL or a folder")


def parse(text: str, source: str) -> list[Requirement]:
    """Parse the lines of a requirements file, without its comments and hashes."""
    lines = [line.removesuffix(" \\") for line in text.splitlines() if line and line[0] not in "# "]
    try:
        return [Requirement(line) for line in lines]
    except InvalidRequirement as error:
        sys.exit(f"{source}: {' '.join(str(error).split())}")


def names(requirements: Iterable[Requirement]) -> set[str]:
    """Return the names of packages, each in one spelling."""
    return {canonicalize_name(requirement.name) for requirement in requirements}


def versions(requirements: Iterable[Requirement]) -> dict[str, Version]:
    """Return the version of each pinned package; the newest if it depends on the platform."""
    found: dict[str, Version] = {}
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        for pin in requirement.specifier:
            found[name] = max(Version(pin.version), found.get(name, Version("0")))
    return found


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


def read_overrides(release: str, constraints: list[Requirement]) -> list[Requirement]:
    """Return the lines that replace constraints of a release, unless one is superfluous."""
    path = RELEASES / f"{release}.overrides"
    overrides = parse(path.read_text(encoding="utf-8") if path.exists() else "", path.name)
    constrained = versions(constraints)
    for override in overrides:
        name = canonicalize_name(override.name)
        if [pin.operator for pin in override.specifier] != ["=="] or "*" in str(override):
            sys.exit(f"{path.name}: {override} is no exact version; write {name}==VERSION")
        if name not in constrained:
            sys.exit(f"{path.name}: no constraint names {name}; correct or remove the line")
        if (constraint := constrained[name]) >= versions([override])[name]:
            sys.exit(f"{path.name}: the constraint of {name} is {constraint}; remove {override}")
    return overrides


def lock_release(release: str) -> None:
    """Write the locked requirements of one release, and print which are not the newest and why."""
    wanted = (RELEASES / "requirements.in").read_text(encoding="utf-8")
    wanted += f"openstack-placement=={placement_version(release)}\n"
    constraints = parse(read_constraints(release), constraints_page(release))
    overrides = read_overrides(release, constraints)
    kept = [one for one in constraints if canonicalize_name(one.name) not in names(overrides)]
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{line}\n" for line in [*kept, *overrides])
        file.flush()
        locked = compiled(wanted, "--constraints", file.name)
    header = f"# Placement {release}: every package with its hashes. Written by `make lock`.\n"
    (RELEASES / f"{release}.txt").write_text(header + locked, encoding="utf-8")
    reasons = dict.fromkeys(versions(parse(wanted, "requirements.in")), "pinned in releases/")
    reasons |= dict.fromkeys(names(kept), "OpenStack's constraint")
    reasons |= dict.fromkeys(names(overrides), f"releases/{release}.overrides")
    print_outdated(versions(parse(locked, "uv")), reasons)


def print_outdated(locked: dict[str, Version], reasons: dict[str, str]) -> None:
    """Print each package that has a newer version on the index, and what holds it back."""
    newest = versions(parse(resolved("\n".join(locked), "--no-deps"), "uv"))
    for name, version in locked.items():
        if version < newest[name]:
            reason = reasons.get(name, "a requirement of another package")
            print(f"  {name} {version}, newest {newest[name]}: {reason}")


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
        print(f"locking {release} with {constraints_page(release)}", flush=True)
        lock_release(release)
    if not sys.argv[1:]:
        lock_dev("stack", "stack", "--upgrade")
        lock_linters()
        # Both are installed together.
        stack = str(DEV / "stack/requirements.txt")
        lock_dev("openstack", "stack/keystone", "--constraints", stack)
        newest = constraints_page(known[-1])
        lock_dev("keystone", "stack/servers/keystone", "--constraints", newest)
        lock_dev("nova", str(ROOT / "tests/support/nova"), "--constraints", newest)
        pin_tool()


if __name__ == "__main__":
    main()
