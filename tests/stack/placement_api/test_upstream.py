"""The image passes Placement's own API tests, all of them, on every database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.stack.placement_api.conftest import Deployment
from tests.support.containers import NEWEST, RELEASES
from tests.support.template import ROOT, load
from tests.support.upstream_gabbits import FILES, FUNCTIONAL, Service, empty, run


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Take back what the fixtures put into the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_gabbits(
    service: Service,
    name: str,
    wheel: Callable[[str], Path],
    request: pytest.FixtureRequest,
) -> None:
    deployment: Deployment = request.node.callspec.params["service"]
    requests, result = run(wheel(deployment.release), name, service)
    assert "".join(trace for _, trace in result.failures + result.errors) == ""
    assert (result.testsRun, result.skipped) == (requests, [])


@pytest.mark.parametrize("release", RELEASES)
def test_no_file_is_left_out(release: str, wheel: Callable[[str], Path]) -> None:
    """What is collected are the files of the newest release; the others have these and no more."""
    assert version("openstack-placement") == load(ROOT / f"releases/{NEWEST}.yml")["placement"]
    files = (wheel(release) / FUNCTIONAL / "gabbits").iterdir()
    assert {file.name for file in files} == {file.name for file in FILES}


# The two that follow have a service of their own.
alone = pytest.mark.parametrize(
    "service", [Deployment(NEWEST, "sqlite", "default")], ids="-".join, indirect=True
)


@alone
def test_the_request_that_gabbi_cannot_send(service: Service) -> None:
    """The one of basic-http.yaml whose content-length is no number."""
    assert service.url.port
    connection = HTTPConnection(service.url.host, service.url.port, timeout=10)
    headers = {"x-auth-token": "admin", "content-type": "application/json"}
    body = b'{"uuid": "ce13d7f1-9988-4dfd-8e16-ce071802eb36"}'
    connection.request("POST", "/resource_providers", body, {**headers, "content-length": "hi mom"})
    with closing(connection), connection.getresponse() as response:
        assert response.status == 400
        assert b"content-length header must be an integer" in response.read()


@alone
def test_a_service_forgets_what_is_no_longer_in_its_database(service: Service) -> None:
    """So that it may be emptied under it, and a file need not wait for another start."""
    new = {"resource_classes": "CUSTOM_ONE", "traits": "CUSTOM_TWO"}
    headers = {"x-auth-token": "admin", "openstack-api-version": "placement 1.39"}
    engine = sa.create_engine(service.database, poolclass=sa.NullPool)
    with httpx.Client(base_url=service.url, headers=headers) as client:
        before = {kind: client.get(f"/{kind}").json() for kind in new}
        for _ in range(2):
            for kind, name in new.items():
                assert client.get(f"/{kind}/{name}").status_code == 404
                assert client.put(f"/{kind}/{name}").status_code == 201
                assert client.get(f"/{kind}/{name}").is_success
            empty(engine)
            assert {kind: client.get(f"/{kind}").json() for kind in new} == before
