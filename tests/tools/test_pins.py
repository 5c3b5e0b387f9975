"""The maintenance tool is installed from pyproject.toml alone, so each package is pinned there."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tests.support.template import ROOT

PACKAGES = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def required(name: str) -> set[str]:
    """Return the names and versions of all packages that a package needs, directly or not."""
    found: set[str] = set()
    names = [name]
    while names:
        found.add(name := names.pop())
        for package in PACKAGES:
            if package["name"] == name:
                new = {entry["name"] for entry in package.get("dependencies", ())} - found
                names.extend(new)
    return found


def pins(requirements: list[str]) -> dict[str, set[str]]:
    """Return the exact versions of each package; a version may depend on the Python."""
    read: dict[str, set[str]] = {}
    for requirement in requirements:
        pin = re.fullmatch(r"([a-z0-9-]+)==(\S+)( ; python_full_version .*)?", requirement)
        assert pin, requirement
        read.setdefault(pin[1], set()).add(pin[2])
    return read


def locked(name: str) -> set[Any]:
    """Return the versions of a package in uv.lock."""
    return {package["version"] for package in PACKAGES if package["name"] == name}


def test_every_package_of_the_tool_is_pinned() -> None:
    """`make lock` writes the lists; the tests run with the same versions."""
    extra = PROJECT["optional-dependencies"]["load"]
    pinned = pins([*PROJECT["dependencies"], *extra])
    assert pinned.keys() >= required("copier-template-extensions")
    assert pinned.keys() >= required("matplotlib") | {"tenacity", "plumbum", "pyyaml"}
    assert {name: locked(name) for name in pinned} == pinned


def test_build_backend_is_pinned_to_the_version_of_uv() -> None:
    """The package is built with the version of uv that tools/bootstrap installs."""
    uv = re.search(r"^uv==(\S+)", (ROOT / "tools/uv.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert uv
    assert PYPROJECT["build-system"]["requires"] == [f"uv_build=={uv[1]}"]
