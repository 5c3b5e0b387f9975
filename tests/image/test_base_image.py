"""The base image, and the locked requirements."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.image.conftest import certificates
from tests.support.containers import NEWEST, RELEASES
from tests.support.servers import BASE_IMAGE
from tests.support.template import ROOT, Render, load

SCRIPT = ROOT / "template/dev/stack/base-image.sh"
CAS = "/etc/ssl/certs/ca-certificates.crt"


def base_image(engine: str, image: str) -> subprocess.CompletedProcess[str]:
    """Run the script that provides a base image."""
    command = [str(SCRIPT), engine, image]
    return subprocess.run(command, text=True, capture_output=True, check=False)


def test_existing_base_image_is_kept(engine: str, newest: str) -> None:
    done = base_image(engine, newest)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{newest}\n", "")


def test_build_with_a_pinned_digest_that_no_registry_has(
    engine: str, newest: str, render: Render, tmp_path: Path
) -> None:
    """The host uses the image that it has pulled or created under the same name."""
    repository = shutil.copytree(render({"release": NEWEST}), tmp_path / "repository")
    dockerfile = repository / "Dockerfile"
    pinned = f"{BASE_IMAGE}@sha256:{'0' * 64}"
    text = dockerfile.read_text(encoding="utf-8")
    assert f"\nARG BASE_IMAGE={BASE_IMAGE}\n" in text
    dockerfile.write_text(text.replace(f"={BASE_IMAGE}\n", f"={pinned}\n"), encoding="utf-8")
    command = ["make", "-C", str(repository), "build", f"ENGINE={engine}", f"IMAGE={newest}"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{pinned} cannot be pulled: using this host's {BASE_IMAGE}" in done.stderr


def test_base_image_that_cannot_be_pulled_is_refused(engine: str) -> None:
    done = base_image(engine, "registry.invalid/team/base:1")
    assert done.returncode == 1
    assert "only debian:<suite>[-slim] can be created here" in done.stderr


def test_unknown_debian_suite_is_refused(engine: str) -> None:
    done = base_image(engine, "registry.invalid/debian:nosuchsuite-slim")
    assert done.returncode == 1
    assert "'nosuchsuite' is a Debian suite" in done.stderr


UPGRADE = "apt-get -qq update; apt-get -qq install --reinstall ca-certificates >&2"


@pytest.mark.only_all
def test_created_base_image_trusts_the_cas_of_this_machine(engine: str) -> None:
    """Also after an upgrade of ca-certificates, so that the build works behind a proxy."""
    name = f"registry.invalid/{uuid.uuid4().hex}/debian:trixie-slim"
    done = base_image(engine, f"{name}@sha256:{'0' * 64}")
    try:
        assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr
        command = [engine, "run", "--rm", name, "sh", "-c", f"{UPGRADE}; cat {CAS}"]
        trusted = certificates(subprocess.check_output(command, text=True))
    finally:
        subprocess.run([engine, "rmi", "--force", name], capture_output=True, check=True)
    assert trusted >= certificates(Path(CAS).read_text(encoding="utf-8"))


@pytest.mark.parametrize("release", RELEASES)
def test_every_package_is_locked_with_hashes(release: str) -> None:
    lock = (ROOT / f"releases/{release}.txt").read_text(encoding="utf-8")
    wanted = (ROOT / "releases/requirements.in").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", lock)[1:]
    assert len(entries) > 60
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    placement = load(ROOT / f"releases/{release}.yml")["placement"]
    assert f"\nopenstack-placement=={placement} " in lock
    pinned = re.findall(r"^uwsgi==(\S+)$", wanted, re.MULTILINE)
    assert re.findall(r"^uwsgi==(\S+)", lock, re.MULTILINE) == pinned
    overrides = (ROOT / f"releases/{release}.overrides").read_text(encoding="utf-8")
    for override in re.findall(r"^\w.*$", overrides, re.MULTILINE):
        assert f"\n{override} " in lock
