"""Requests with values that Placement cannot store: 400, and neither a traceback nor much memory.

docs/reference/patches.md names the patches that these tests are for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.containers import CONNECTION, Server, Start, logs
from tests.support.servers import DatabaseServer

ONE, TWO, CONSUMER = (f"{number}0000000-0000-0000-0000-000000000000" for number in range(1, 4))
HEADERS = {
    "content-type": "application/json",
    "openstack-api-version": "placement 1.39",
    "x-roles": "admin,service",
}
PROVIDER = f"/resource_providers/{ONE}"
DIGITS = "9" * 400
LONE = r'"\ud800"'
MARK = '"MARK"'
CANDIDATES = "/allocation_candidates?resources=VCPU:1"


def send(server: Server, method: str, path: str, body: str = "") -> int:
    """Send a request with a body as it is, and return the status."""
    return server.client.request(method, path, content=body, headers=HEADERS).status_code


def inventory(**values: object) -> dict[str, object]:
    """Return a body that sets the inventory of VCPU."""
    return {"resource_provider_generation": 1, "inventories": {"VCPU": {"total": 9, **values}}}


def allocation(**values: object) -> dict[str, object]:
    """Return a body that allocates VCPU."""
    return {
        "allocations": {ONE: {"resources": {"VCPU": 1}}},
        "project_id": "project",
        "user_id": "user",
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
        "mappings": {"_a": [ONE]},
        **values,
    }


# Requests that are valid until one of their values is replaced.
WRITES: dict[str, Any] = {
    "POST /resource_providers": {"name": "new", "uuid": TWO, "parent_provider_uuid": ONE},
    f"PUT {PROVIDER}": {"name": "one", "parent_provider_uuid": None},
    f"PUT {PROVIDER}/inventories": inventory(allocation_ratio=1.0),
    f"PUT {PROVIDER}/inventories/VCPU": {"resource_provider_generation": 1, "total": 9},
    f"POST {PROVIDER}/inventories": {"resource_class": "DISK_GB", "total": 9},
    f"PUT {PROVIDER}/aggregates": {"resource_provider_generation": 1, "aggregates": [TWO]},
    f"PUT {PROVIDER}/traits": {"resource_provider_generation": 1, "traits": ["HW_NUMA_ROOT"]},
    "POST /resource_classes": {"name": "CUSTOM_NEW"},
    f"PUT /allocations/{CONSUMER}": allocation(),
    "POST /allocations": {CONSUMER: allocation()},
    "POST /reshaper": {"inventories": {ONE: inventory()}, "allocations": {CONSUMER: allocation()}},
}
# JSON values that none of these requests can have in any place.
HOSTILE = {
    "900 levels": "[" * 900 + "]" * 900,
    "no end": "[" * 30_000,
    "a lone surrogate": LONE,
    "NUL": r'"\u0000"',
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "400 digits": f"-{DIGITS}",
    "an exponent": "-1e400",
    "an object": '{"a": {}}',
}


def mutations(body: Any) -> Iterator[Any]:
    """Yield the body once for each value in it, with a mark in the place of that value."""
    yield "MARK"
    if not isinstance(body, dict | list):
        return
    for key in body if isinstance(body, dict) else range(len(body)):
        for changed in mutations(body[key]):
            copy = body.copy()
            copy[key] = changed
            yield copy


# Invalid requests of which Placement would answer 500 to some, and ignore others.
INVALID = {
    "class in lower case": (
        f"PUT {PROVIDER}/inventories",
        '{"inventories": {"vcpu": {}}, "resource_provider_generation": 1}',
    ),
    "UUID as a URN": (
        f"PUT {PROVIDER}/aggregates",
        f'{{"aggregates": ["urn:uuid:{ONE}"], "resource_provider_generation": 1}}',
    ),
    "class and a line feed": ("POST /resource_classes", r'{"name": "CUSTOM_NEW\n"}'),
    "consumer and a line feed": ("POST /allocations", json.dumps({f"{CONSUMER}\n": allocation()})),
    "mixed items": (
        f"PUT {PROVIDER}/aggregates",
        json.dumps({"aggregates": [*range(20_000), "a"], "resource_provider_generation": 1}),
    ),
    "many arrays": ("POST /resource_providers", "[" + "[]," * 40_000 + "[]]"),
    "query that is not UTF-8": ("GET /usages?project_id=%ff", ""),
    "NUL in a query": ("GET /usages?project_id=%00", ""),
    "NUL in a name": ("GET /resource_providers?name=%00", ""),
    "5000 digits": (f"GET {CANDIDATES}&limit={DIGITS * 13}", ""),
    "no number, then a number": (f"GET {CANDIDATES}&limit=a&limit=1", ""),
    "negative, then a number": (f"GET {CANDIDATES}&limit=-1&limit=1", ""),
}


def fill(server: Server) -> None:
    """Create a provider of VCPU, so that only the values of a request can be wrong."""
    assert send(server, "POST", "/resource_providers", f'{{"name": "one", "uuid": "{ONE}"}}') == 200
    body = json.dumps({**inventory(), "resource_provider_generation": 0})
    assert send(server, "PUT", f"{PROVIDER}/inventories", body) == 200


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def placement(request: pytest.FixtureRequest, newest: str, start: Start) -> Server:
    """Return a server with each kind of database, and with a provider of VCPU."""
    env = {"UWSGI_PROCESSES": "2", "UWSGI_THREADS": "4"}
    if request.param != "sqlite":
        env[CONNECTION] = request.getfixturevalue(request.param).new_database()
    server = start(newest, env)
    fill(server)
    return server


def test_invalid_requests_are_refused(engine: str, placement: Server) -> None:
    """Whatever the database is."""
    hostile = {
        f"{write}: {name} in {json.dumps(body)}": (write, json.dumps(body).replace(MARK, value))
        for write, valid in WRITES.items()
        for body in mutations(valid)
        for name, value in HOSTILE.items()
    }
    statuses = {
        name: send(placement, method, path, body)
        for name, (write, body) in {**hostile, **INVALID}.items()
        for method, path in [write.split(" ")]
    }
    assert {name: status for name, status in statuses.items() if status not in (400, 409)} == {}
    assert {name: statuses[name] for name in INVALID} == dict.fromkeys(INVALID, 400)
    assert "Traceback" not in logs(engine, placement.name)


def test_character_that_the_database_lacks_is_refused(
    newest: str, server: DatabaseServer, start: Start
) -> None:
    """MySQL's utf8mb3 has no emoji."""
    placement = start(newest, {CONNECTION: server.new_database()})
    wanted = 400 if server.kind == "mysql" else 200
    assert send(placement, "POST", "/resource_providers", '{"name": "\U0001f600"}') == wanted


def test_largest_bodies_at_once_fit_the_memory(
    engine: str, newest: str, postgresql: DatabaseServer, start: Start
) -> None:
    """One for each thread, with the memory limit of the chart: no worker is killed."""
    env = {CONNECTION: postgresql.new_database(), "UWSGI_PROCESSES": "2", "UWSGI_THREADS": "4"}
    placement = start(newest, env, options=("--memory=512m", "--memory-swap=512m"))
    nested = f"{'[' * 400}{']' * 400}"
    bodies = {
        "arrays": f"[{','.join([nested] * 654)}]",
        "most arrays": f"[{','.join([nested] * 81 + ['0'] * 200_000)}]",
        "numbers in many levels": f"{'[' * 400}{','.join(['0'] * 260_000)}{']' * 400}",
    }

    def post(body: str) -> int:
        return send(placement, "POST", "/resource_providers", body)

    with ThreadPoolExecutor(8) as pool:
        for body in bodies.values():
            assert set(pool.map(post, [body] * 16)) == {400}
    assert "DAMN" not in logs(engine, placement.name)
