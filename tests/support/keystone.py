"""Users of a real Keystone."""

from __future__ import annotations

from typing import Any

from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session


class User:
    """A user with a new session of Keystone, and so with a new token."""

    def __init__(self, cloud: dict[str, Any], **auth: str) -> None:
        """Log in as a user of clouds.yaml, or with other credentials."""
        self._session: Any = Session(auth=Password(**{**cloud["auth"], **auth}))
        self.token = str(self._session.get_token())
        self.id = str(self._session.get_user_id())
        self.project = str(self._session.get_project_id())

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Send a request to Keystone."""
        url = f"{self._session.auth.auth_url}{path}"
        return self._session.request(url, method, **more)

    def create(self, kind: str, path: str, **fields: str) -> dict[str, Any]:
        """Create a resource in Keystone and return it."""
        created: dict[str, Any] = self.call("POST", path, json={kind: fields}).json()[kind]
        return created
