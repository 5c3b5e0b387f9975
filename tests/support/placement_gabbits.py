"""The gabbits and fixtures of a release, run over HTTP against a service."""

from __future__ import annotations

import importlib.util
import json
import re
import unittest
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import fixtures
import httpx
import sqlalchemy as sa
import yaml
from gabbi import suitemaker
from gabbi.handlers import RESPONSE_HANDLERS
from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade
from placement import conf, db_api
from placement.db.sqlalchemy import models
from placement.objects.resource_class import ResourceClass

FUNCTIONAL = Path("placement/tests/functional")
# The files of the newest release. A test checks that the other releases have the same files.
FILES = sorted(
    Path(str(file.locate()))
    for file in distribution("openstack-placement").files or ()
    if file.match(f"{FUNCTIONAL}/gabbits/*.yaml")
)
# A service writes these rows when it starts. They stay in the database.
OWN_ROWS = {
    "resource_classes": models.ResourceClass.id < ResourceClass.MIN_CUSTOM_RESOURCE_CLASS_ID,
    "traits": models.Trait.name.not_like("CUSTOM_%"),
}
# gabbi's client refuses to send a length that is no number. A separate test sends it.
UNSENT = ("basic-http.yaml", "bad content length not int")
# Compares a list in its order, which Placement does not promise and PostgreSQL does not keep.
UNSORTED = (
    "allocation-candidates-root-required.yaml",
    "limit to multiattach-capable unsuffixed sharing",
    """$.provider_summaries["$ENVIRON['NUMA1_UUID']"].traits""",
)


# Headers whose values differ between two answers to the same request.
VOLATILE = ("date", "last-modified", "x-openstack-request-id")


@dataclass(frozen=True)
class Comparison:
    """Another Placement on the same database, which must answer each GET request equally."""

    client: httpx.Client
    different: list[str] = field(default_factory=list)

    def compare(self, response: httpx.Response) -> None:
        """Send a GET request to the other Placement as well, and note a different answer."""
        request = response.request
        if request.method != "GET":
            return
        response.read()
        url = request.url.copy_with(host=self.client.base_url.host, port=self.client.base_url.port)
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        other = self.client.get(url, headers=headers)
        if "limit=" in str(url.query) and response.is_success:
            whole = self.client.get(url.copy_remove_param("limit"), headers=headers)
            same = is_choice(response, whole) and is_choice(other, whole)
            same = same and len(requests_of(response)) == len(requests_of(other))
        else:
            same = comparable(response) == comparable(other)
        if not same:
            self.different.append(f"{url}: {comparable(response)} {comparable(other)}")


@dataclass(frozen=True)
class Service:
    """A running Placement, the URL of its database for this host, and what it is compared with."""

    url: httpx.URL
    database: sa.URL
    comparison: Comparison | None = None


def comparable(response: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """Return what two answers to the same request have in common.

    Placement keeps candidates in a set, whose order differs between two processes.
    """
    headers = [item for item in response.headers.multi_items() if item[0] not in VOLATILE]
    body = re.sub(r"req-[0-9a-f-]{36}", "", response.text)
    if response.is_success and response.url.path == "/allocation_candidates":
        body = sort_lists(json.loads(body))
    return response.status_code, headers, body


def sort_lists(value: Any) -> str:
    """Return JSON in which the order of lists and of keys does not matter."""
    if isinstance(value, dict):
        value = {key: sort_lists(each) for key, each in value.items()}
    if isinstance(value, list):
        value = sorted(map(sort_lists, value))
    return json.dumps(value, sort_keys=True)


def requests_of(response: httpx.Response) -> list[Any]:
    """Return the allocation requests of an answer."""
    found: list[Any] = response.json()["allocation_requests"]
    return found


def is_choice(response: httpx.Response, whole: httpx.Response) -> bool:
    """Return whether the candidates are among those of an answer without a limit."""
    summaries = whole.json()["provider_summaries"].items()
    return all(each in requests_of(whole) for each in requests_of(response)) and (
        response.json()["provider_summaries"].items() <= summaries
    )


def run(folder: Path, name: str, service: Service) -> tuple[int, unittest.TestResult]:
    """Empty the database of a service, run one file, and return the number of its tests."""
    path = folder / FUNCTIONAL / "gabbits" / name
    content = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    # No certificate is checked over HTTP, and loading the CA certificates is slower than a request.
    defaults = content.setdefault("defaults", {})
    defaults["cert_validate"] = False
    # Each test of gabbi has its own client, and never closes it.
    defaults.setdefault("request_headers", {})["connection"] = "close"
    tests = content["tests"] = [test for test in content["tests"] if (name, test["name"]) != UNSENT]
    if service.database.get_backend_name() == "postgresql" and name == UNSORTED[0]:
        compare_sorted(tests)
    suite = suitemaker.test_suite_from_dict(
        loader=unittest.defaultTestLoader,
        test_base_name=path.stem,
        suite_dict=content,
        test_directory=str(path.parent),
        host=service.url.host,
        port=service.url.port,
        fixture_module=service_fixtures(folder, service.database),
        intercept=None,
        handlers=[handler() for handler in RESPONSE_HANDLERS],
    )
    if service.comparison:
        service.comparison.different.clear()
        for test in suite:
            test.http.client.event_hooks = {"response": [service.comparison.compare]}
    result = unittest.TestResult()
    suite.run(result)
    return len(tests), result


def compare_sorted(tests: list[dict[str, Any]]) -> None:
    """Compare one list of one test in its sorted order."""
    _, name, path = UNSORTED
    expected = next(test for test in tests if test["name"] == name)["response_json_paths"]
    expected[f"{path}.`sorted`"] = sorted(expected.pop(path))


def service_fixtures(folder: Path, database: sa.URL) -> ModuleType:
    """Return the release's own fixtures, changed to fill the database of the service."""
    path = folder / FUNCTIONAL / "fixtures/gabbits.py"
    spec = importlib.util.spec_from_file_location("gabbits_fixtures", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Database(ServiceDatabase):
        url = database

    vars(module).update(
        fixtures=SimpleNamespace(Database=Database),
        conf=SimpleNamespace(register_opts=register_options),
    )
    return module


def register_options(config: cfg.ConfigOpts) -> None:
    """Register Placement's options, and one that only fixtures of older releases set."""
    conf.register_opts(config)
    config.register_opt(cfg.BoolOpt("enforce_scope"), group="oslo_policy")


class ServiceDatabase(fixtures.Fixture):
    """The database of a running service, in place of Placement's fixture `Database`.

    Emptying it is safe: the service caches nothing for longer than one request.
    """

    url: sa.URL

    def __init__(self, config: Any, set_config: bool) -> None:
        """Configure Placement's code in this process to use the database."""
        super().__init__()
        self.connection = self.url.render_as_string(hide_password=False)
        config.config(connection=self.connection, group="placement_database")

    def _setUp(self) -> None:  # noqa: N802
        manager = transaction_manager(self.connection)
        self.addCleanup(db_api.placement_context_manager.patch_factory(manager))
        empty(manager.writer.get_engine())


@cache
def transaction_manager(connection: str) -> Any:
    """Return a manager of transactions in a database, the same one for all files."""
    manager = enginefacade.transaction_context()
    manager.configure(connection=connection, sqlite_synchronous=False)
    return manager


def empty(engine: sa.Engine) -> None:
    """Delete everything that users of the service have created."""
    providers = models.ResourceProvider.__table__
    with engine.begin() as connection:
        # MySQL refuses to delete rows that refer to each other.
        connection.execute(
            providers.update().values(root_provider_id=None, parent_provider_id=None)
        )
        for table in reversed(models.BASE.metadata.sorted_tables):
            rows = table.delete()
            if table.name in OWN_ROWS:
                rows = rows.where(sa.not_(OWN_ROWS[table.name]))
            connection.execute(rows)
