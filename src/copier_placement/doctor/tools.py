"""The tools that a rendered repository needs."""

import shutil
import subprocess
from collections.abc import Iterator

from .findings import Finding

TOOLS = {
    "make": "to run the commands of this repository",
    "docker or podman": "to build and run the image",
    "helm": "to install the chart: https://helm.sh/docs/intro/install",
}
CLUSTER_TOOLS = {
    "kubectl": "to reach the cluster: https://kubernetes.io/docs/tasks/tools",
    "python3": "to deploy to the cluster",
}
HELM_UNITTEST = "https://github.com/helm-unittest/helm-unittest"


def missing_tools(*, cluster: bool) -> Iterator[Finding]:
    """Find the tools that are not installed."""
    for tool, purpose in (TOOLS | CLUSTER_TOOLS if cluster else TOOLS).items():
        if not any(shutil.which(name) for name in tool.split(" or ")):
            yield Finding("tools", f"{tool} is missing", f"install it {purpose}")
    if shutil.which("helm") and not has_helm_unittest():
        fix = f"install it to test the chart: {HELM_UNITTEST}"
        yield Finding("tools", "helm-unittest is missing", fix)


def has_helm_unittest() -> bool:
    """Whether helm-unittest is installed, by itself or as a plugin of Helm."""
    plugin = ["helm", "unittest", "--help"]
    return (
        bool(shutil.which("helm-unittest"))
        or not subprocess.run(plugin, capture_output=True, check=False).returncode
    )
