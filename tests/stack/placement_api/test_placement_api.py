"""The image passes all of Placement's own API tests on every database."""

from __future__ import annotations

import json
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
from tests.support.placement_gabbits import FILES, FUNCTIONAL, Service, empty, run
from tests.support.template import ROOT, load


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Restore the environment, which the fixtures change."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_gabbits_of_placement_pass(
    service: Service,
    name: str,
    wheel: Callable[[str], Path],
    request: pytest.FixtureRequest,
) -> None:
    deployment: Deployment = request.node.callspec.params["service"]
    requests, result = run(wheel(deployment.release), name, service)
    assert "".join(trace for _, trace in result.failures + result.errors) == ""
    assert (result.testsRun, result.skipped) == (requests, [])
    if service.comparison:
        assert service.comparison.different == []


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_has_the_same_files(release: str, wheel: Callable[[str], Path]) -> None:
    """The tests above are collected from the files of the newest release."""
    assert version("openstack-placement") == load(ROOT / f"releases/{NEWEST}.yml")["placement"]
    files = (wheel(release) / FUNCTIONAL / "gabbits").iterdir()
    assert {file.name for file in files} == {file.name for file in FILES}


# The next two tests share a service of their own.
own_service = pytest.mark.parametrize(
    "service", [Deployment(NEWEST, "sqlite", "default")], ids="-".join, indirect=True
)


@own_service
def test_content_length_that_is_no_number_is_refused(service: Service) -> None:
    """A test of basic-http.yaml sends this request, which gabbi's client refuses to send."""
    assert service.url.port
    connection = HTTPConnection(service.url.host, service.url.port, timeout=10)
    headers = {"x-auth-token": "admin", "content-type": "application/json"}
    body = b'{"uuid": "ce13d7f1-9988-4dfd-8e16-ce071802eb36"}'
    connection.request("POST", "/resource_providers", body, {**headers, "content-length": "hi mom"})
    with closing(connection), connection.getresponse() as response:
        assert response.status == 400
        # nginx answers, so only the status is that of the gabbit.
        assert json.load(response)["errors"][0]["status"] == 400


@own_service
def test_service_follows_a_database_that_is_emptied(service: Service) -> None:
    """So one service can run all files, each on an empty database."""
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
