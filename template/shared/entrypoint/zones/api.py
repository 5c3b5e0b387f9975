"""Requests to Placement."""

import os
import textwrap
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from keystoneauth1 import token_endpoint
from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session
from requests import Response

from entrypoint import client, clouds
from entrypoint.errors import StartError

URL_VARIABLE = "OS_ENDPOINT"
TOKEN_VARIABLE = "OS_TOKEN"
# The CA certificates for this URL alone. REQUESTS_CA_BUNDLE would replace those for Keystone too.
CA_VARIABLE = "OS_CACERT"
# The first version with all that this program uses: the newest part is a reserved inventory.
VERSION = "1.26"
# Another client has written at the same time, or has just created the same provider.
CONFLICTS = ("placement.concurrent_update", "placement.duplicate_name")
# Requests at the same time. More would only wait for each other in Placement.
THREADS = 8
# How often a write that conflicts with another client is tried, each time with what is there then.
ATTEMPTS = 5
# The seconds before the second attempt. Each further pause is twice as long.
PAUSE = 0.1


class ConflictError(Exception):
    """Another client has changed the provider since it was read."""


class RefusedError(StartError):
    """Placement refuses a request, such as to remove what has allocations."""


class Placement:
    """A Placement, by its URL and a token or as a service of a cloud."""

    def __init__(self) -> None:
        """Choose the Placement that the environment names."""
        self.cloud: clouds.Cloud | None = None
        if url := os.environ.get(URL_VARIABLE):
            token = os.environ.get(TOKEN_VARIABLE) or client.token()
            auth = token_endpoint.Token(client.base_url(url), token)
            path = os.environ.get(CA_VARIABLE)
            if path and not os.access(path, os.R_OK):
                raise StartError(f"{CA_VARIABLE}={path} cannot be read: mount the file")
            self._adapter: Any = Adapter(
                Session(auth, verify=path or True, timeout=client.TIMEOUT),
                service_type="placement",
                default_microversion=VERSION,
            )
        else:
            self.cloud = clouds.load()
            self._adapter = adapter(self.cloud, "placement", VERSION)

    def get(self, path: str) -> dict[str, Any]:
        """Return what Placement answers, or an empty dictionary if it has nothing there."""
        response = self._send("GET", path)
        try:
            found: dict[str, Any] = {} if response.status_code == 404 else response.json()
        except ValueError as error:
            raise self._not_found() from error
        return found

    def write(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Change something, and return what Placement answers."""
        response = self._send(method, path, **({"json": body} if body else {}))
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def _send(self, method: str, path: str, **more: Any) -> Response:
        try:
            response: Response = self._adapter.request(path, method, raise_exc=False, **more)
        except ClientException as error:
            raise StartError(f"{method} {path} failed: {error}") from error
        if response.ok or (method == "GET" and response.status_code == 404):
            return response
        try:
            [answer] = response.json()["errors"]
        except (ValueError, KeyError, TypeError):
            answer = {"detail": response.text}
        detail = textwrap.shorten(str(answer["detail"]), 300)
        refused = f"{method} {path}: {response.status_code} {detail}"
        # A Placement without the image's patch answers 500 to concurrent changes of traits.
        is_unpatched = response.status_code == 500 and path.endswith("/traits")
        if method != "GET" and (answer.get("code") in CONFLICTS or is_unpatched):
            raise ConflictError(refused)
        raise (StartError if response.status_code in (401, 403) else RefusedError)(refused)

    def _not_found(self) -> StartError:
        """Return the error for the URL of something else."""
        return StartError(
            f"no Placement answers at {self._adapter.get_endpoint()}: correct the URL"
        )

    def providers(self, **query: str) -> list[dict[str, Any]]:
        """Return the providers that a query selects."""
        answer = self.get(f"/resource_providers?{urlencode(query)}".removesuffix("?"))
        if "resource_providers" not in answer:
            raise self._not_found()
        found: list[dict[str, Any]] = answer["resource_providers"]
        return found

    def in_use(self, provider: str) -> bool:
        """Return whether a provider has allocations."""
        return bool(self.get(f"/resource_providers/{provider}/allocations").get("allocations"))


def adapter(cloud: clouds.Cloud, service: str, version: str) -> Any:
    """Return a client of a service in a cloud."""
    return Adapter(
        cloud.session,
        service_type=service,
        region_name=cloud.region,
        interface=cloud.interface,
        default_microversion=version,
    )


def at_once(call: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    """Return the results of a call for each item, with several calls at the same time."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, items))
