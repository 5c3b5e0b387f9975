"""The rendered repository's files: which this variant has."""

from __future__ import annotations

from .readme import SERVER_TITLES, Readme

MAKEFILES = {
    "dev/stack/servers": "dev/stack/servers/servers.mk",
    "dev/stack/keystone": "dev/stack/keystone/keystone.mk",
    "dev/cluster/secrets.*": "dev/cluster/secrets.mk",
}
"""The paths that hold a file which the Makefile includes, next to the scripts that it runs."""

UPSTREAM_FIXES = {
    "capacity-check-log": "2025.2",
    "changes-when-over-capacity": "2025.1",
    "wide-provider-trees": "2025.2",
}
"""Patches with upstream's own fixes, and the only release that PyPI has without the fix."""


class Files(Readme):
    """Which paths of template/ are rendered."""

    @property
    def excluded_paths(self) -> list[str]:
        """The paths that this variant does not have, as patterns of .gitignore.

        copier.yml (`_exclude`) and the gate read them from here.
        """
        rendered = {
            ".github": self.ci == "github",
            ".gitlab-ci.yml": self.ci == "gitlab",
            "dev/ci": self.ci != "none",
            "renovate.json": self.ci != "none",
            "gitops": self.gitops != "none",
            "gitops/argocd": self.gitops == "argocd",
            "gitops/flux": self.gitops == "flux",
            "dev/stack/servers": bool(self.dev_services),
            "dev/stack/keystone": self.keystone,
            "dev/cluster/secrets.*": bool(self.cluster_secrets),
        }
        for server in SERVER_TITLES:
            rendered[f"dev/stack/servers/{server}"] = server in self.dev_services
        for patch, release in UPSTREAM_FIXES.items():
            rendered[f"image/patches/{patch}.patch"] = self.release == release
        rendered |= {f"docs/{page}": bool(topics) for page, topics in self.page_topics().items()}
        return [path for path, is_rendered in rendered.items() if not is_rendered]

    @property
    def makefiles(self) -> list[str]:
        """The files that the Makefile includes: those on the paths that this variant has."""
        excluded = self.excluded_paths
        return [file for path, file in MAKEFILES.items() if path not in excluded]
