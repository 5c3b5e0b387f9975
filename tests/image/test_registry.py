"""The tag of an image, and its way to a registry: push, signature and verification.

The registry is a real one, on a port of this host and with a password.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import image_release
from tests.support.containers import IMAGES, NEWEST, RELEASES, Output, succeed
from tests.support.registries import USER, Registry, credentials
from tests.support.repositories import make
from tests.support.servers import PASSWORD
from tests.support.template import Render, commit_all, git, load

pytestmark = pytest.mark.xdist_group("registry")

NAME = "cloud/placement"
LOGIN = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}
TAG = rf"{re.escape(NEWEST)}-[0-9a-f]{{12}}"


@dataclass(frozen=True)
class Repo:
    """A repository, whose image has been built under another name, and an environment for make."""

    path: Path
    repository: str
    image: str
    env: dict[str, str]

    @property
    def all_env(self) -> dict[str, str]:
        """Return the environment of this repository's commands."""
        return {**os.environ, **self.env}

    def make(self, *arguments: str, **env: str) -> Output:
        """Run make, whether it succeeds or not."""
        return make(self.path, *arguments, f"IMAGE={self.image}", **{**self.env, **env})

    def succeed(self, *arguments: str, **env: str) -> str:
        """Run make, which has to succeed, and return the output."""
        done = self.make(*arguments, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    def refuse(self, *arguments: str, **env: str) -> str:
        """Run make, which has to fail with one line, and return the line."""
        before = self.pinned()
        done = self.make(*arguments, **env)
        assert done.returncode != 0
        assert PASSWORD not in done.stdout + done.stderr
        assert self.pinned() == before
        [line] = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        return line

    def pinned(self) -> Any:
        """Return the content of values.image.yaml."""
        file = self.path / "values.image.yaml"
        return load(file) if file.exists() else None


@pytest.fixture(scope="module")
def repo(
    engine: str,
    render: Render,
    built: Callable[[str], Path],
    registry: Registry,
    with_cosign: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Repo:
    """Copy a repository whose image is in no registry yet."""
    path = tmp_path_factory.mktemp("registry") / "repository"
    shutil.copytree(render({"image_repository": f"{registry.host}/{NAME}"}), path)
    commit_all(path)
    shutil.copy(built(NEWEST) / "sbom.cdx.json", path)
    env = credentials(tmp_path_factory.mktemp("docker"))
    return Repo(
        path,
        f"{registry.host}/{NAME}",
        f"{IMAGES}:{NEWEST}",
        {**env, **with_cosign, "ENGINE": engine},
    )


@pytest.fixture(scope="module")
def pushed(repo: Repo, registry: Registry) -> Repo:
    """Push and sign the image and the chart."""
    repo.succeed("login", **LOGIN)
    output = repo.succeed("push")
    pinned = repo.pinned()
    assert output.count(pinned["image"]["digest"]) == 1
    assert output.count(pinned["image"]["tag"]) == 1
    subprocess.run(["cosign", "generate-key-pair"], cwd=repo.path, env=repo.all_env, check=True)
    assert "cosign.key" not in git(repo.path, "status", "--porcelain")
    repo.succeed("sign", "COSIGN_KEY=cosign.key")
    return repo


def test_push_pins_what_is_in_the_registry(pushed: Repo, registry: Registry) -> None:
    """The moving tag of the release and the tag of this image name the pinned digest."""
    image = pushed.pinned()["image"]
    assert re.fullmatch(TAG, image["tag"])
    for tag in (image["tag"], NEWEST):
        assert registry.manifest(NAME, tag).headers["docker-content-digest"] == image["digest"]
    [manifest] = registry.manifest(NAME, image["digest"]).json()["manifests"]
    config = registry.manifest(NAME, manifest["digest"]).json()["config"]["digest"]
    assert config.removeprefix("sha256:").startswith(image["tag"].rpartition("-")[2])


def test_chart_comes_back_from_the_registry(pushed: Repo, tmp_path: Path) -> None:
    """Its version is the only difference."""
    chart = f"oci://{pushed.repository}/placement"
    [version] = re.findall(rf"^Chart: {re.escape(chart)} (\S+)$", pushed.succeed("push"), re.M)
    command = ["helm", "pull", chart, "--plain-http", "--version", version, "--untar"]
    subprocess.run(command, cwd=tmp_path, env=pushed.all_env, capture_output=True, check=True)
    pulled, local = (
        {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "placement", pushed.path / "placement-chart")
    )
    metadata, expected = load(pulled.pop("Chart.yaml")), load(local.pop("Chart.yaml"))
    assert version.startswith(f"{expected['version']}+")
    assert metadata == {**expected, "version": version}
    assert pulled.keys() <= local.keys()
    assert {name for name in local.keys() - pulled.keys() if not name.startswith("tests/")} <= {
        ".helmignore"
    }
    for name, path in pulled.items():
        assert path.read_bytes() == local[name].read_bytes(), name


def test_second_push_writes_nothing(pushed: Repo, registry: Registry) -> None:
    before, pinned = registry.files(), pushed.pinned()
    pushed.succeed("push")
    assert registry.files() == before
    assert pushed.pinned() == pinned


def test_one_changed_byte_is_not_verified(pushed: Repo, registry: Registry, tmp_path: Path) -> None:
    """Neither of the image, nor of its parts, nor of the chart."""
    pushed.succeed("verify")
    index = pushed.pinned()["image"]["digest"]
    [manifest] = registry.manifest(NAME, index).json()["manifests"]
    parts = registry.manifest(NAME, manifest["digest"]).json()
    chart = registry.manifest(f"{NAME}/placement", NEWEST)
    for digest in (
        index,
        manifest["digest"],
        parts["config"]["digest"],
        parts["layers"][-1]["digest"],
        chart.headers["docker-content-digest"],
        chart.json()["layers"][0]["digest"],
    ):
        registry.change_byte(digest, tmp_path)
        assert "not verified" in pushed.refuse("verify")
        registry.change_byte(digest, tmp_path)
    pushed.succeed("verify")
    other = f"HELM_ARGS=--set image.digest=sha256:{'0' * 64}"
    assert "not verified" in pushed.refuse("verify", other)


def test_image_without_the_signature_is_not_verified(pushed: Repo, tmp_path: Path) -> None:
    """Another key, and an image that nobody has signed."""
    repo = replace(pushed, path=tmp_path / "repository")
    shutil.copytree(pushed.path, repo.path)
    for file in repo.path.glob("cosign.*"):
        file.unlink()
    assert "There is no cosign.pub" in repo.refuse("verify")
    subprocess.run(["cosign", "generate-key-pair"], cwd=repo.path, env=repo.all_env, check=True)
    assert "not verified" in repo.refuse("verify")


def test_release_of_a_pinned_image_is_checked(
    pushed: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make deploy` calls this before anything changes."""
    for name, value in pushed.env.items():
        monkeypatch.setenv(name, value)
    image = f"{pushed.repository}@{pushed.pinned()['image']['digest']}"
    monkeypatch.setenv("RELEASE", NEWEST)
    image_release.check(image)
    monkeypatch.setenv("RELEASE", RELEASES[0])
    image_release.check(f"{pushed.repository}:{NEWEST}")
    with pytest.raises(SystemExit, match=f"has the release {NEWEST}, but .* has {RELEASES[0]}"):
        image_release.check(image)
    with pytest.raises(SystemExit, match=r"manifest unknown.*or delete values.image.yaml"):
        image_release.check(f"{pushed.repository}@sha256:{'0' * 64}")


def test_refused_push_names_the_cause(repo: Repo, tmp_path: Path) -> None:
    """In one line, and values.image.yaml remains as it was."""
    missing = replace(repo, image="localhost/none:1")
    assert "localhost/none:1 does not exist: run `make build`" in missing.refuse("push")
    other = "REPOSITORY=localhost/placement"
    for target in ("login", "push", "sign", "verify"):
        assert "localhost/placement contains no registry" in repo.refuse(target, other)
    away = repo.refuse("push", "REPOSITORY=127.0.0.1:1/placement")
    assert away == "The registry 127.0.0.1:1 does not answer: connection refused"
    nobody = credentials(tmp_path)
    assert repo.refuse("push", **nobody).endswith("Run `make login`.")
    wrong = {**nobody, **LOGIN, "REGISTRY_PASSWORD": "wrong"}
    assert repo.refuse("login", **wrong)


def test_chart_that_cannot_be_pushed_pins_nothing(pushed: Repo, tmp_path: Path) -> None:
    repo = replace(pushed, path=tmp_path / "repository")
    shutil.copytree(pushed.path, repo.path)
    (repo.path / "values.image.yaml").unlink()
    chart = repo.path / "placement-chart/Chart.yaml"
    chart.write_text(chart.read_text().replace("\nversion: ", "\nversion: x"))
    assert "placement-chart cannot be packaged" in repo.refuse("push")


def test_images_of_two_architectures_become_one(
    pushed: Repo,
    registry: Registry,
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The image for arm64 is an empty one here, because it is not run. Its label has no release."""
    repo = replace(pushed, path=tmp_path / "repository")
    shutil.copytree(pushed.path, repo.path)
    single = repo.pinned()
    repo.succeed("save")
    [here] = (repo.path / "images").iterdir()
    other = here.with_name("arm64" if here.name == "amd64" else "amd64")
    shutil.copytree(here, other)
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nLABEL a={here.name}\n")
    name = f"{IMAGES}-{other.name}"
    succeed(engine, "build", f"--platform=linux/{other.name}", "--tag", name, tmp_path)
    succeed(engine, "save", "--output", tmp_path / "image.tar", name)
    shutil.move(tmp_path / "image.tar", other / "image.tar")
    assert "IMAGES contains no saved image" in repo.refuse("push", "IMAGES=none/*")
    (other / "tag").write_text("0-0123456789ab\n")
    assert "different releases or commits" in repo.refuse("push", "IMAGES=images/*")
    (other / "tag").write_text(f"{NEWEST}-0123456789ab\n")
    assert "does not describe" in repo.refuse("sign", "COSIGN_KEY=cosign.key", "IMAGES=images/*")
    sbom = json.loads((other / "sbom.cdx.json").read_text())
    sbom["metadata"]["component"]["version"] = f"sha256:0123456789ab{'0' * 52}"
    (other / "sbom.cdx.json").write_text(json.dumps(sbom))
    repo.succeed("push", "IMAGES=images/*")
    image = repo.pinned()["image"]
    assert re.fullmatch(TAG, image["tag"])
    assert image != single
    found = registry.manifest(NAME, image["tag"]).json()["manifests"]
    platforms = {(entry["platform"]["os"], entry["platform"]["architecture"]) for entry in found}
    assert platforms == {("linux", "amd64"), ("linux", "arm64")}
    repo.succeed("sign", "COSIGN_KEY=cosign.key", "IMAGES=images/*")
    repo.succeed("verify")
    for name, value in {**repo.env, "RELEASE": NEWEST}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"has the release {NEWEST} and unknown"):
        image_release.check(f"{repo.repository}@{image['digest']}")


def test_tag_follows_from_the_content(
    built: Callable[[str], Path], engine: str, tmp_path: Path
) -> None:
    """The same content has the same tag, with the commit that last changed it."""
    path = tmp_path / "repository"
    shutil.copytree(built(NEWEST), path)
    commit_all(path)
    name = f"{IMAGES}-tags"

    def build() -> str:
        done = make(path, "build", f"IMAGE={name}:1", ENGINE=engine)
        assert done.returncode == 0, done.stderr
        [tag] = re.findall(r"This image alone has the tag (\S+)\.$", done.stdout, re.M)
        own, moving = (image_id(engine, f"{name}:{each}") for each in (tag, "1"))
        assert own == moving
        return str(tag)

    try:
        tags = [build()]
        revision = git(path, "rev-parse", "HEAD")[:12]
        assert re.fullmatch(rf"{re.escape(NEWEST)}-{revision}-[0-9a-f]{{12}}", tags[0])
        (path / "README.md").write_text("An edit outside the image\n")
        commit_all(path)
        assert build() == tags[0]
        with (path / "shared/startup.sh").open("a") as file:
            file.write("# An edit\n")
        tags.append(build())
        # The commit is not known yet.
        assert re.fullmatch(TAG, tags[1])
        assert not tags[0].endswith(tags[1].partition("-")[2])
    finally:
        names = [f"{name}:{tag}" for tag in ("1", *tags)]
        subprocess.run([engine, "rmi", *names], capture_output=True, check=False)


def image_id(engine: str, image: str) -> str:
    """Return the ID of an image."""
    command = [engine, "image", "inspect", "--format", "{{.Id}}", image]
    return subprocess.check_output(command, text=True)
