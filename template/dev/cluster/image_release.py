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


def check(image: str) -> None:
    """Exit if an image with a digest has another release than this repository."""
    repository, _, digest = image.partition("@")
    if not digest:
        return
    try:
        release = registry.labels(repository, digest).get(LABEL, "unknown")
    except registry.RegistryError as error:
        sys.exit(registry.explain(repository, error))
    wanted = os.environ["RELEASE"]
    if release != wanted:
        sys.exit(
            f"The image {image} has the release {release}, but this repository has {wanted}. "
            "Run `make build push`, which pins an image in values.image.yaml."
        )


def description(manifests: str) -> str:
    """Describe the image for `helm history`."""
    found = TAG.search(manifests)
    return f"Image {found[1]}" if found else "No image"
