"""The image: its name, and the version of Placement in it."""

from __future__ import annotations

from ..releases import RELEASES
from .answers import Topic


class Image(Topic):
    """Values that follow from the release and the image's name."""

    @property
    def placement_version(self) -> str:
        """The version of openstack-placement in this release (source: releases/)."""
        return str(RELEASES[self.release]["placement"])

    @property
    def image(self) -> str:
        """The image that `make build` builds: one for each release, never `latest`."""
        return f"{self.image_repository}:{self.release}"

    @property
    def image_is_local(self) -> bool:
        """Whether the image's name names no registry from which another host could pull it."""
        return self.image_repository.startswith("localhost/")
