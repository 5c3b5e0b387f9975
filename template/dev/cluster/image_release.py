"""The release of the image that a deployment pins, before anything changes.

The digest does not show it, so the labels of the image are read from the registry. An image without
a digest has the release in its tag.
"""

from __future__ import annotations

import os
import re
import sys

import registry

LABEL = "org.opencontainers.image.ref.name"
# The chart's label of every object, which has the tag also if the pods use the digest.
TAG = re.compile(r'app\.kubernetes\.io/version: "([^"]*)"')

ABSENT = re.compile("manifest unknown|not found", re.I)
PIN = "Run `make build push`, which pins an image of this repository in values.image.yaml"


def check(image: str) -> None:
    """Exit if an image with a digest has another release than this repository."""
    repository, _, digest = image.partition("@")
    if not digest:
        return
    try:
        releases = {each.get(LABEL, "unknown") for each in registry.labels(repository, digest)}
    except registry.RegistryError as error:
        advice = f". {PIN}, or delete values.image.yaml." if ABSENT.search(str(error)) else ""
        sys.exit(f"{registry.explain(repository, error)}{advice}")
    wanted = os.environ["RELEASE"]
    if releases != {wanted}:
        sys.exit(
            f"The image {image} has the release {' and '.join(sorted(releases))}, but this "
            f"repository has {wanted}. {PIN}."
        )


def description(manifests: str) -> str:
    """Describe the image for `helm history`."""
    found = TAG.search(manifests)
    return f"Image {found[1]}" if found else "No image"
