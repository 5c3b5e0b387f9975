"""The rendered repository's files: which this variant has."""

from __future__ import annotations

from .readme import Readme


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
            "dev/stack/servers": bool(self.dev_services),
            "dev/stack/keystone": self.keystone,
            "dev/cluster/secrets.*": bool(self.cluster_secrets),
            "dev/cluster/keep-replicas.*": not self.sqlite,
        }
        for server in ("postgresql", "mariadb", "memcached", "keystone"):
            rendered[f"dev/stack/servers/{server}"] = server in self.dev_services
        rendered |= {f"docs/{page}": bool(topics) for page, topics in self.page_topics().items()}
        return [path for path, is_rendered in rendered.items() if not is_rendered]

    @property
    def makefiles(self) -> list[str]:
        """The files that the Makefile includes, next to the scripts that they run."""
        files = {
            "dev/stack/servers/servers.mk": bool(self.dev_services),
            "dev/stack/keystone/keystone.mk": self.keystone,
            "dev/cluster/secrets.mk": bool(self.cluster_secrets),
            "dev/cluster/keep-replicas.mk": not self.sqlite,
        }
        return [name for name, needed in files.items() if needed]
