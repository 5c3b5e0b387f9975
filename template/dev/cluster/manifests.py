"""The manifests that Helm renders."""

from __future__ import annotations

import difflib
import json
import re
import sys

from kubectl import Kubectl, Object


def parse(kubectl: Kubectl, manifests: str) -> list[Object]:
    """Return the objects. kubectl reads the YAML, as Python's own library does not."""
    # One document after the other, without commas.
    documents = re.sub(r"^}$(?=\n{)", "},", convert(kubectl, manifests, "json"), flags=re.M)
    objects: list[Object] = json.loads(f"[{documents}]")
    return objects


def convert(kubectl: Kubectl, manifests: str, kind: str) -> str:
    """Return manifests as JSON or YAML."""
    command = ("patch", "--local", "--type=merge", "--patch={}", "--filename=-")
    return kubectl.output(*command, f"--output={kind}", stdin=manifests)


def image(objects: list[Object]) -> str:
    """Return the image of Placement's Deployment."""
    images = [
        container["image"]
        for item in objects
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
        if container["name"] == "placement"
    ]
    if len(images) != 1:
        sys.exit(
            f"The chart renders {len(images)} containers named placement in Deployments, not 1. "
            "Check `enabled` and `extraObjects` in your values, and your local-*.yaml templates."
        )
    return str(images[0])


def print_difference(kubectl: Kubectl, before: str, after: list[Object]) -> None:
    """Print how the objects change, if there were some before."""
    if before:
        texts = (lines(kubectl, parse(kubectl, before)), lines(kubectl, after))
        for line in difflib.unified_diff(*texts, "deployed", "new", lineterm=""):
            print(line)


def lines(kubectl: Kubectl, objects: list[Object]) -> list[str]:
    """Return all objects except Secrets as YAML."""
    shown = [item for item in objects if item["kind"] != "Secret"]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": shown})
    return (
        convert(kubectl, listed, "yaml").replace("\napiVersion:", "\n---\napiVersion:").splitlines()
    )
