"""What Argo CD or Flux needs from this repository."""

from collections.abc import Iterator
from pathlib import Path

from .findings import Finding

# The placeholders in gitops/, and what replaces each.
PLACEHOLDERS = {
    "https://git.example.com/placement.git": "set it to the URL of this repository",
    "OWNER/REPOSITORY": "set it to the repository on GitHub whose workflow signs the chart",
    "oci://localhost/": "make set image_repository=registry.example.com/cloud/placement",
}


def unready_gitops(root: Path) -> Iterator[Finding]:
    """Find placeholders in the files that are in use, and files that Flux cannot do without."""
    environments = list(root.glob("environments/*/values.yaml"))
    unused = {"application.yaml", "sync.yaml"} if environments else {"applicationset.yaml"}
    files = [file for file in root.glob("gitops/*/*.yaml") if file.name not in unused]
    if (root / "gitops").is_dir():
        files += root.glob("environments/*/sync.yaml")
    for file in sorted(files):
        text = file.read_text(encoding="utf-8")
        for placeholder, fix in PLACEHOLDERS.items():
            if placeholder in text:
                name = file.relative_to(root)
                yield Finding("gitops", f"{name} contains the placeholder {placeholder}", fix)
    kustomization = root / "gitops/flux/kustomization.yaml"
    if kustomization.is_file():
        pins = root / "values.image.yaml"
        if not pins.is_file() or "chartDigest:" not in pins.read_text(encoding="utf-8"):
            yield Finding("gitops", f"{pins.name} does not pin the chart for Flux", "make push")
        if "cosign.pub" in kustomization.read_text() and not (root / "cosign.pub").is_file():
            fix = "cosign generate-key-pair (docs/registry.md)"
            yield Finding("gitops", "cosign.pub is missing, so Flux cannot verify the chart", fix)
