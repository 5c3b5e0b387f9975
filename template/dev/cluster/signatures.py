"""Sign the pushed image and chart, or verify them.

    signatures.py sign REPOSITORY KEY BILL...       # without a key: as the identity of a CI job
    signatures.py verify REPOSITORY SIGNER ISSUER   # with cosign.pub, if this repository has it

The bills of materials of the image are attached to it, and signed as well.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import push
import registry

PUBLIC_KEY = Path("cosign.pub")


def pushed(repository: str) -> tuple[str, str]:
    """Return the image that values.image.yaml pins, and this repository's chart in the registry."""
    text = push.VALUES.read_text(encoding="utf-8") if push.VALUES.exists() else ""
    image = re.search(r"^  digest: (sha256:[0-9a-f]{64})$", text, re.MULTILINE)
    if not image:
        sys.exit(f"{push.VALUES} pins no image: run `make push` first.")
    charts, version = f"{repository}/placement", push.chart_version()
    try:
        chart = registry.digest(charts, version.replace("+", "_"))
    except registry.RegistryError as error:
        cause = registry.explain(charts, error)
        sys.exit(f"The chart {version} is not in the registry: run `make push` first. {cause}")
    return f"{repository}@{image[1]}", f"{charts}@{chart}"


def sign(repository: str, key: str, *bills: str) -> None:
    """Sign both, and attach the bills of materials to the image."""
    image, chart = pushed(repository)
    # Without a public log, which names every image, a key works in every network.
    signer = ["--yes", *(["--key", key, "--tlog-upload=false"] if key else [])]
    registry.show("cosign", "sign", *signer, "--recursive", image, chart)
    for bill in bills:
        registry.show("cosign", "attest", *signer, "--type=cyclonedx", "--predicate", bill, image)


def verify(repository: str, signer: str, issuer: str) -> None:
    """Verify the signatures, and each byte of the image and the chart."""
    image, chart = pushed(repository)
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
                registry.copy(repository, f"docker://{each}", f"dir:{work}")
    except registry.RegistryError as error:
        sys.exit(f"The image is not verified. {registry.explain(repository, error)}")
    print(f"Verified: {image}\n          {chart}")


if __name__ == "__main__":
    action, repository, *arguments = sys.argv[1:]
    registry.require(repository)
    if action == "sign":
        sign(repository, *arguments)
    else:
        verify(repository, *arguments)
