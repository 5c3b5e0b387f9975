"""The gabbits of a release, with the fixtures beside them, made to meet a service over HTTP."""

from __future__ import annotations

import importlib.util
import unittest
from dataclasses import dataclass
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
# The files of the newest release; test_no_file_is_left_out holds the others against them.
FILES = sorted(
    Path(str(file.locate()))
    for file in distribution("openstack-placement").files or ()
    if file.match(f"{FUNCTIONAL}/gabbits/*.yaml")
)
# A service writes these rows when it starts: they stay.
OWN_ROWS = {
    "resource_classes": models.ResourceClass.id < ResourceClass.MIN_CUSTOM_RESOURCE_CLASS_ID,
    "traits": models.Trait.name.not_like("CUSTOM_%"),
}
# gabbi's client refuses to send a length that is no number: a test of its own does.
UNSENT = ("basic-http.yaml", "bad content length not int")
# Compares a list by its order, which Placement does not promise and PostgreSQL does not keep.
UNSORTED = (
    "allocation-candidates-root-required.yaml",
    "limit to multiattach-capable unsuffixed sharing",
    """$.provider_summaries["$ENVIRON['NUMA1_UUID']"].traits""",
)


@dataclass(frozen=True)
class Service:
    """A Placement that serves, and its database as this host reaches it."""

    url: httpx.URL
    database: sa.URL


def run(folder: Path, name: str, service: Service) -> tuple[int, unittest.TestResult]:
    """Run one file against a service whose database is emptied for it; count its requests."""
    path = folder / FUNCTIONAL / "gabbits" / name
    content = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    # There is no certificate, and the list of authorities takes longer to read than an answer.
    content.setdefault("defaults", {})["cert_validate"] = False
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
        fixture_module=fixtures_beside(folder, service.database),
        intercept=None,
        handlers=[handler() for handler in RESPONSE_HANDLERS],
    )
    result = unittest.TestResult()
    suite.run(result)
    return len(tests), result


def compare_sorted(tests: list[dict[str, Any]]) -> None:
    """Compare one list of one test in its sorted order."""
    _, name, path = UNSORTED
    expected = next(test for test in tests if test["name"] == name)["response_json_paths"]
    expected[f"{path}.`sorted`"] = sorted(expected.pop(path))


def fixtures_beside(folder: Path, database: sa.URL) -> ModuleType:
    """Return the release's own fixtures, which then fill the service's database."""
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
    """Register Placement's options, and the one that only fixtures of older releases set."""
    conf.register_opts(config)
    config.register_opt(cfg.BoolOpt("enforce_scope"), group="oslo_policy")


class ServiceDatabase(fixtures.Fixture):
    """In the place of Placement's fixture of that name: the database of a running service.

    It is emptied, and the service does not notice: what it remembers, it does for one request.
    """

    url: sa.URL

    def __init__(self, config: Any, set_config: bool) -> None:
        """Tell Placement's code in this process where the database is."""
        super().__init__()
        self.connection = self.url.render_as_string(hide_password=False)
        config.config(connection=self.connection, group="placement_database")

    def _setUp(self) -> None:  # noqa: N802
        manager = enginefacade.transaction_context()
        manager.configure(connection=self.connection, sqlite_synchronous=False)
        self.addCleanup(db_api.placement_context_manager.patch_factory(manager))
        engine = manager.writer.get_engine()
        self.addCleanup(engine.dispose)
        empty(engine)


def empty(engine: sa.Engine) -> None:
    """Delete all that the service's users have made."""
    providers = models.ResourceProvider.__table__
    with engine.begin() as connection:
        # They point at each other, which MySQL would have untied before.
        connection.execute(
            providers.update().values(root_provider_id=None, parent_provider_id=None)
        )
        for table in reversed(models.BASE.metadata.sorted_tables):
            rows = table.delete()
            if table.name in OWN_ROWS:
                rows = rows.where(sa.not_(OWN_ROWS[table.name]))
            connection.execute(rows)
