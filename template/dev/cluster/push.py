"""Push the image and the chart, and pin the image in values.image.yaml.

    push.py login REPOSITORY                   # as REGISTRY_USER, or as asked
    push.py push REPOSITORY ENGINE IMAGE
    push.py save ENGINE IMAGE                  # save the image of this architecture in images/
    push.py push-saved REPOSITORY FOLDER...    # push saved images, one for each architecture

The images of several architectures become one image, which the tags and the digest name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import registry

VALUES = Path("values.image.yaml")
CHART = Path("placement-chart")
SBOM = Path("sbom.cdx.json")
# All tools of this folder read this file: skopeo, helm and cosign.
CREDENTIALS = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha256(data: bytes) -> str:
    """Return the hash of some bytes."""
    return hashlib.sha256(data).hexdigest()


def login(repository: str) -> None:
    """Log in for all tools that use this registry, with the password from REGISTRY_PASSWORD."""
    command = ["skopeo", "login", f"--authfile={CREDENTIALS}", *registry.tls(repository)]
    user, password = credentials(registry.host(repository))
    if user:
        command += ["--username", user]
    if password:
        command += ["--password-stdin"]
    registry.run_attached(*command, registry.host(repository), stdin=password)


def credentials(host: str) -> tuple[str | None, str | None]:
    """Return the user and the password. Those of a CI job are for its own registry only."""
    variables = [("REGISTRY_USER", "REGISTRY_PASSWORD")]
    if host == "ghcr.io":
        variables.append(("GITHUB_ACTOR", "GITHUB_TOKEN"))
    elif host == os.environ.get("CI_REGISTRY"):
        variables.append(("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"))
    for user, password in variables:
        if os.environ.get(user) and os.environ.get(password):
            return os.environ[user], os.environ[password]
    return os.environ.get("REGISTRY_USER"), None


def save(engine: str, image: str, parent: Path) -> Path:
    """Save the image, its tag and its bill of materials in a folder for its architecture."""
    try:
        [found] = json.loads(registry.run(engine, "image", "inspect", image))
    except registry.RegistryError:
        sys.exit(f"The image {image} does not exist: run `make build` first.")
    if described_id(SBOM) != found["Id"].rpartition(":")[2]:
        sys.exit(f"{SBOM} does not describe the image {image}: run `make build` first.")
    folder = parent / str(found["Architecture"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image.tar").unlink(missing_ok=True)
    try:
        registry.run(engine, "save", "--output", str(folder / "image.tar"), image)
        tag = registry.run("dev/stack/image-tag.sh", engine, image, os.environ["RELEASE"])
    except registry.RegistryError as error:
        sys.exit(f"The image {image} cannot be saved: {error}")
    (folder / "tag").write_text(tag, encoding="utf-8")
    shutil.copy(SBOM, folder)
    return folder


def described_id(sbom: Path) -> str:
    """Return the ID of the image that a bill of materials describes, or nothing."""
    try:
        version = json.loads(sbom.read_text(encoding="utf-8"))["metadata"]["component"]["version"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return str(version).rpartition(":")[2]


def push(repository: str, folders: list[Path]) -> None:
    """Push what the registry lacks, and pin the image."""
    if not folders:
        sys.exit("IMAGES contains no saved image: run `make save` on each machine first.")
    charts, release = f"{repository}/placement", os.environ["RELEASE"]
    tag = common_tag({folder: (folder / "tag").read_text().strip() for folder in folders})
    digest = registry.try_digest(repository, tag) or push_image(repository, tag, folders)
    move_tag(repository, release, digest)
    version = chart_version()
    chart_tag = version.replace("+", "_")
    chart_digest = registry.try_digest(charts, chart_tag) or push_chart(repository, version)
    move_tag(charts, release, chart_digest)
    print(f"Image: {repository}:{tag}\n       {digest}")
    print(f"Chart: oci://{charts} {version}\n       {chart_digest}")
    pin(tag, digest, chart_digest)


def common_tag(tags: dict[Path, str]) -> str:
    """Return the tag for the images of one or several architectures, which it requires to match."""
    prefixes = {tag.rpartition("-")[0] for tag in tags.values()}
    if len(prefixes) > 1:
        found = ", ".join(f"{folder} has {tag}" for folder, tag in sorted(tags.items()))
        sys.exit(
            f"The saved images have different releases or commits: {found}. "
            "Run `make build save` on each machine from the same commit."
        )
    return f"{prefixes.pop()}-{content([tag.rpartition('-')[2] for tag in tags.values()])}"


def content(ids: list[str]) -> str:
    """Return the end of the tag, from the IDs of the images of all architectures."""
    short = sorted(each[:12] for each in ids)
    return short[0] if len(short) == 1 else sha256(" ".join(short).encode())[:12]


def push_image(repository: str, tag: str, folders: list[Path]) -> str:
    """Push the images of all architectures as one image."""
    with TemporaryDirectory() as work:
        layout = Path(work)
        for number, folder in enumerate(folders):
            archive, image = f"docker-archive:{folder / 'image.tar'}", f"oci:{layout}:{number}"
            registry.run("skopeo", "copy", "--quiet", "--format=oci", archive, image)
        write_index(layout)
        registry.copy(repository, f"oci:{layout}", f"docker://{repository}:{tag}")
    return registry.digest(repository, tag)


def write_index(layout: Path) -> None:
    """Put the images of an OCI layout into one image index, which takes their place."""
    images = [*manifests(layout)]
    platforms = [f"{each['platform']['os']}/{each['platform']['architecture']}" for each in images]
    if len({*platforms}) < len(platforms):
        sys.exit(
            f"The saved images have the platforms {' and '.join(platforms)}. "
            "Push one image of each platform."
        )
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images}
    data = json.dumps(index, sort_keys=True).encode()
    digest = sha256(data)
    (layout / "blobs/sha256" / digest).write_bytes(data)
    entry = {"mediaType": INDEX, "digest": f"sha256:{digest}", "size": len(data)}
    only = {"schemaVersion": 2, "manifests": [entry]}
    (layout / "index.json").write_text(json.dumps(only), encoding="utf-8")


def manifests(layout: Path) -> Iterator[dict[str, Any]]:
    """List the images of an OCI layout, each with its platform."""

    def blob(entry: dict[str, Any]) -> Any:
        return json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())

    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        config = blob(blob(entry)["config"])
        platform = {"architecture": config["architecture"], "os": config["os"]}
        yield {key: entry[key] for key in ("mediaType", "digest", "size")} | {"platform": platform}


def chart_version() -> str:
    """Return the version of the chart with a hash of the files that Helm packages."""
    with TemporaryDirectory() as work, tarfile.open(package_chart(work)) as package:
        files = ((member.name, package.extractfile(member)) for member in package)
        hashes = sorted(f"{name} {sha256(file.read())}" for name, file in files if file)
    [version] = re.findall(r"^version: (\S+)$", (CHART / "Chart.yaml").read_text(), re.MULTILINE)
    return f"{version}+{sha256('|'.join(hashes).encode())[:12]}"


def package_chart(folder: str, *options: str) -> str:
    """Package the chart, without the files in .helmignore."""
    try:
        registry.run("helm", "package", str(CHART), "--destination", folder, *options)
    except registry.RegistryError as error:
        sys.exit(f"{CHART} cannot be packaged: {error}")
    [file] = Path(folder).iterdir()
    return str(file)


def push_chart(repository: str, version: str) -> str:
    """Push the chart."""
    plain = ["--plain-http"] if registry.is_plain(repository) else []
    with TemporaryDirectory() as work:
        package = package_chart(work, "--version", version)
        registry.run("helm", "push", *plain, package, f"oci://{repository}")
    return registry.digest(f"{repository}/placement", version.replace("+", "_"))


def move_tag(repository: str, tag: str, digest: str) -> None:
    """Let the tag of the release name what was pushed last."""
    if registry.try_digest(repository, tag) != digest:
        source = f"docker://{repository}@{digest}"
        registry.copy(repository, source, f"docker://{repository}:{tag}")


def pin(tag: str, digest: str, chart: str) -> None:
    """Write values.image.yaml, whole or not at all."""
    new = VALUES.with_suffix(".new")
    new.write_text(
        "# The image that `make push` has pushed last, and the chart, which only Flux gets from\n"
        "# the registry. Commit this file: `make deploy` and GitOps read it.\n"
        f'image:\n  tag: "{tag}"\n  digest: {digest}\nchartDigest: "{chart}"\n',
        encoding="utf-8",
    )
    new.replace(VALUES)


def main(action: str, *arguments: str) -> None:
    """Do one of the actions; an error ends it with one line."""
    if action == "save":
        engine, image = arguments
        save(engine, image, Path("images"))
        return
    repository, *others = arguments
    registry.require(repository)
    try:
        if action == "login":
            login(repository)
        elif action == "push-saved":
            push(repository, [Path(folder) for folder in others])
        else:
            with TemporaryDirectory() as work:
                engine, image = others
                push(repository, [save(engine, image, Path(work))])
    except registry.RegistryError as error:
        sys.exit(registry.explain(repository, error))


if __name__ == "__main__":
    main(*sys.argv[1:])
