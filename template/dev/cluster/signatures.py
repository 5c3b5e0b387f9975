"""Sign the pushed image and chart, or verify them.

    signatures.py sign REPOSITORY KEY SBOM...       # without a key: as the identity of a CI job
    signatures.py verify REPOSITORY SIGNER ISSUER HELM_ARGUMENT...

`verify` checks the image that Helm deploys with these arguments, with cosign.pub if it exists.

The bills of materials of the image are attached to it, and signed as well.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import push
import registry

PUBLIC_KEY = Path("cosign.pub")


def image_values(*arguments: str) -> dict[str, str]:
    """Return the values of the image that Helm deploys with these arguments."""
    command = ("helm", "install", "placement", str(push.CHART), "--dry-run=client")
    try:
        rendered = registry.run(*command, "--output=json", *arguments)
    except registry.RegistryError as error:
        sys.exit(f"{push.CHART} cannot be rendered: {error}")
    image: dict[str, str] = json.loads(rendered)["config"]["image"]
    if not image.get("digest"):
        sys.exit(f"The image {image['repository']} has no digest: run `make push` first.")
    return image


def pushed_chart(repository: str) -> str:
    """Return this repository's chart in the registry."""
    charts, version = f"{repository}/placement", push.chart_version()
    try:
        chart = registry.digest(charts, version.replace("+", "_"))
    except registry.RegistryError as error:
        cause = registry.explain(charts, error)
        sys.exit(f"The chart {version} is not in the registry: run `make push` first. {cause}")
    return f"{charts}@{chart}"


def require_cosign_2(version: str) -> None:
    """Exit if cosign is newer, because it has other options. A build without a version is used."""
    if re.match(r"v([3-9]|\d\d)", version):
        sys.exit(
            f"cosign {version} is not supported. Install cosign 2: {registry.MISSING['cosign']}"
        )


def require_descriptions(tag: str, sboms: tuple[str, ...]) -> None:
    """Exit if the bills of materials do not describe the image with this tag."""
    if not tag.endswith("-" + push.content([push.described_id(Path(sbom)) for sbom in sboms])):
        sys.exit(
            f"{' and '.join(sboms)} does not describe the image {tag} in {push.VALUES}: run "
            "`make push` after `make build`."
        )


def sign(repository: str, key: str, *sboms: str) -> None:
    """Sign both, and attach the bills of materials to the image."""
    if not key and (PUBLIC_KEY.exists() or not os.environ.get("CI")):
        sys.exit(
            "COSIGN_KEY is not set. Set it to the private key, as in COSIGN_KEY=cosign.key. Only a "
            f"CI job can sign without a key, in a repository without {PUBLIC_KEY}."
        )
    if not push.VALUES.exists():
        sys.exit(f"{push.VALUES} does not exist: run `make push` first.")
    pinned = image_values("--values=values.yaml", f"--values={push.VALUES}")
    chart = pushed_chart(repository)
    require_descriptions(pinned["tag"], sboms)
    image = f"{repository}@{pinned['digest']}"
    # Without a public log, which names every image, a key works in every network.
    signer = ["--yes", *(["--key", key, "--tlog-upload=false"] if key else [])]
    registry.run_attached("cosign", "sign", *signer, "--recursive", image, chart)
    attest = ("cosign", "attest", *signer, "--type=cyclonedx")
    for sbom in sboms:
        registry.run_attached(*attest, "--predicate", sbom, image)


def verify(repository: str, signer: str, issuer: str, *arguments: str) -> None:
    """Verify the signatures, and each byte of the image and the chart."""
    values, chart = image_values(*arguments), pushed_chart(repository)
    image = f"{values['repository']}@{values['digest']}"
    if PUBLIC_KEY.exists():
        trust = ["--key", str(PUBLIC_KEY), "--private-infrastructure"]
    elif signer and issuer:
        trust = ["--certificate-identity", signer, "--certificate-oidc-issuer", issuer]
    else:
        sys.exit(f"There is no {PUBLIC_KEY}. Add it, or set SIGNER and ISSUER.")
    try:
        registry.run("cosign", "verify", *trust, image, chart)
        registry.run("cosign", "verify-attestation", "--type=cyclonedx", *trust, image)
        for each in (image, chart):
            with TemporaryDirectory() as work:  # skopeo compares each part with its digest
                registry.copy(each, f"docker://{each}", f"dir:{work}")
    except registry.RegistryError as error:
        sys.exit(f"The image is not verified. {registry.explain(repository, error)}")
    print(f"Verified: {image}\n          {chart}")


if __name__ == "__main__":
    action, repository, *arguments = sys.argv[1:]
    registry.require(repository)
    require_cosign_2(json.loads(registry.run("cosign", "version", "--json"))["gitVersion"])
    if action == "sign":
        sign(repository, *arguments)
    else:
        verify(repository, *arguments)
