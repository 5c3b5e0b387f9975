"""The manifests that Helm renders."""

from __future__ import annotations

import difflib
import json
import re

from kubectl import Kubectl, Object


def parse(kubectl: Kubectl, manifests: str) -> list[Object]:
    """Return the objects. kubectl reads the YAML, as Python's own library does not."""
    command = ("patch", "--local", "--type=merge", "--patch={}", "--filename=-", "--output=json")
    # One document after the other, without commas.
    documents = re.sub(r"^}$(?=\n{)", "},", kubectl.output(*command, stdin=manifests), flags=re.M)
    objects: list[Object] = json.loads(f"[{documents}]")
    return objects


def image(objects: list[Object]) -> str:
    """Return the image of Placement's Deployment."""
    [image] = (
        container["image"]
        for item in objects
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
        if container["name"] == "placement"
    )
    return str(image)


def print_difference(before: str, after: str) -> None:
    """Print how manifests change, if there were some before."""
    if before:
        texts = (lines(before), lines(after))
        print(*difflib.unified_diff(*texts, "deployed", "new", lineterm=""), sep="\n")


def lines(manifests: str) -> list[str]:
    """Return the lines of all manifests except Secrets."""
    parts = re.split(r"^---$", manifests, flags=re.MULTILINE)
    shown = [part for part in parts if "\nkind: Secret\n" not in part]
    return [line for part in shown for line in part.strip().splitlines()]
