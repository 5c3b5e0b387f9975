"""What the commands of the registry decide on this host: logins, tags, versions and signatures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import push
import registry
import signatures
from tests.support.template import Render

OWN = {"REGISTRY_USER": "me", "REGISTRY_PASSWORD": "mine"}
GITHUB = {"GITHUB_ACTOR": "actor", "GITHUB_TOKEN": "token"}
GITLAB = {
    "CI_REGISTRY": "gitlab.example.com",
    "CI_REGISTRY_USER": "job",
    "CI_REGISTRY_PASSWORD": "token",
}
ID = "0123456789ab" + "c" * 52
DIGEST = f"sha256:{'1' * 64}"
PLACEMENT = "registry.example.com/cloud/placement"


@pytest.mark.parametrize(
    ("host", "env", "expected"),
    [
        ("registry.example.com", {**OWN, **GITHUB, **GITLAB}, ("me", "mine")),
        ("registry.example.com", {**GITHUB, **GITLAB}, (None, None)),
        ("registry.example.com", {"REGISTRY_USER": "me"}, ("me", None)),
        ("ghcr.io", {**GITHUB, "REGISTRY_USER": "", "REGISTRY_PASSWORD": ""}, ("actor", "token")),
        ("ghcr.io", {**OWN, **GITHUB}, ("me", "mine")),
        ("ghcr.io", {"GITHUB_TOKEN": "token"}, (None, None)),
        ("gitlab.example.com", GITLAB, ("job", "token")),
    ],
)
def test_only_the_registry_of_the_ci_service_gets_a_token_of_a_job(
    host: str,
    env: dict[str, str],
    expected: tuple[str | None, str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user without a password is asked for it."""
    for name in (*OWN, *GITHUB, *GITLAB):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    user, password = push.credentials(host)
    assert (user or None, password) == expected


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_is_refused(host: str) -> None:
    registry.require("quay.io/org/placement")
    with pytest.raises(SystemExit, match="Choose another registry"):
        registry.require(f"{host}/org/placement")


def test_images_with_one_tag_have_the_same_release_and_commit() -> None:
    """The tag does not depend on the order of the folders."""
    first, second = Path("amd64"), Path("arm64")
    assert push.common_tag({first: "2026.2-abc-1"}) == "2026.2-abc-1"
    tag = push.common_tag({first: "2026.2-abc-1", second: "2026.2-abc-2"})
    assert tag == push.common_tag({first: "2026.2-abc-2", second: "2026.2-abc-1"})
    assert tag.startswith("2026.2-abc-")
    for other in ("2026.1-abc-2", "2026.2-def-2", "2026.2-2"):
        with pytest.raises(SystemExit, match=f"amd64 has 2026.2-abc-1, arm64 has {other}"):
            push.common_tag({first: "2026.2-abc-1", second: other})


def test_two_images_of_one_platform_are_refused(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / "config").write_text('{"architecture": "amd64", "os": "linux"}')
    (blobs / "image").write_text('{"config": {"digest": "sha256:config"}}')
    entry = {"mediaType": "x", "digest": "sha256:image", "size": 1}
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"manifests": [entry, entry]}))
    with pytest.raises(SystemExit, match="the platforms linux/amd64 and linux/amd64"):
        push.write_index(tmp_path)
    index.write_text(json.dumps({"manifests": [entry]}))
    push.write_index(tmp_path)


@pytest.fixture
def path(render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a repository, and use it as the current directory."""
    path = tmp_path / "repository"
    shutil.copytree(render({"image_repository": PLACEMENT}), path)
    monkeypatch.chdir(path)
    return path


def test_version_of_the_chart_changes_with_what_helm_packages(path: Path) -> None:
    """Files that a file manager, an editor or a merge leaves are not packaged."""
    version = push.chart_version()
    for name in (".DS_Store", ".values.yaml.swp", "templates/pdb.yaml~", "values.yaml.orig"):
        (path / "placement-chart" / name).write_text("x")
    assert push.chart_version() == version
    (path / "placement-chart/templates/mine.yaml").write_text("# A comment\n")
    assert push.chart_version() != version


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"metadata": {"component": 1}}', None])
def test_damaged_list_of_packages_describes_no_image(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "sbom.cdx.json"
    if text is not None:
        file.write_text(text)
    assert push.described_id(file) == ""


def test_only_the_list_of_the_pinned_image_is_signed(tmp_path: Path) -> None:
    file = tmp_path / "sbom.cdx.json"
    version = {"version": f"sha256:{ID}"}
    file.write_text(json.dumps({"metadata": {"component": version}}))
    signatures.require_descriptions(f"2026.2-abc-{ID[:12]}", (str(file),))
    with pytest.raises(SystemExit, match=r"does not describe the image 2026.2-abc-000000000000"):
        signatures.require_descriptions("2026.2-abc-000000000000", (str(file),))


@pytest.mark.parametrize("ci", ["", "true"])
def test_nobody_signs_without_a_key_except_a_job_without_a_public_key(
    ci: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    if ci:
        with pytest.raises(SystemExit, match="run `make push` first"):
            signatures.sign(PLACEMENT, "", "sbom.cdx.json")
        (path / "cosign.pub").write_text("a public key\n")
    with pytest.raises(SystemExit, match="COSIGN_KEY is not set"):
        signatures.sign(PLACEMENT, "", "sbom.cdx.json")


@pytest.mark.parametrize(
    ("version", "valid"), [("v2.6.0", True), ("devel", True), ("v3.0.2", False)]
)
def test_cosign_3_is_refused(version: str, valid: bool) -> None:
    if valid:
        signatures.require_cosign_2(version)
    else:
        with pytest.raises(SystemExit, match="Install cosign 2"):
            signatures.require_cosign_2(version)


def test_image_that_is_verified_is_the_one_that_is_deployed(path: Path) -> None:
    """The values of the environment override values.image.yaml, in any spelling of YAML."""
    (path / "values.image.yaml").write_text(
        f'image:\n    tag: "2026.2-a"\n    digest: "{DIGEST}"\n'
    )
    (path / "production.yaml").write_text("image: {repository: mirror.example.com/placement}\n")
    files = ["--values=values.yaml", "--values=values.image.yaml"]
    image = signatures.image_values(*files)
    assert (image["repository"], image["digest"]) == (PLACEMENT, DIGEST)
    image = signatures.image_values(*files, "--values=production.yaml")
    assert (image["repository"], image["digest"]) == ("mirror.example.com/placement", DIGEST)
    with pytest.raises(SystemExit, match="has no digest"):
        signatures.image_values(files[0])
