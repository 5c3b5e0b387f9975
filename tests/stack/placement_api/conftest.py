"""A Placement of each release on each database, with the settings that the fixtures need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import sqlalchemy as sa
from placement import policies

from tests.support.containers import CONNECTION, NEWEST, RELEASES, serving, succeed
from tests.support.placement_gabbits import FILES, Comparison, Service
from tests.support.template import ROOT

BACKENDS = ("postgresql", "mariadb", "sqlite")
# The settings that a fixture of Placement needs. Every other fixture needs the default ones.
SETTINGS = {
    "CORSFixture": "cors",
    "OpenPolicyFixture": "open-policy",
    "SecureRBACPolicyFixture": "secure-rbac",
}


class Deployment(NamedTuple):
    """The release, the database and the settings of a service."""

    release: str
    backend: str
    settings: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that set what the fixture sets in its own process."""
        secure = str(self.settings == "secure-rbac")
        variables = {"OS_OSLO_POLICY__ENFORCE_NEW_DEFAULTS": secure}
        if self.release < "2026.2":  # 2026.2 has no such option
            variables["OS_OSLO_POLICY__ENFORCE_SCOPE"] = secure
        if self.settings == "open-policy":
            variables["OS_OSLO_POLICY__POLICY_FILE"] = "/policy.yaml"
        if self.settings == "cors":
            variables["OS_CORS__ALLOWED_ORIGIN"] = "http://valid.example.com"
            variables["OS_CORS__ALLOW_HEADERS"] = "openstack-api-version"
        return variables

    @property
    def is_compared(self) -> bool:
        """Whether each answer is compared with that of Placement without the patches for speed."""
        return self.backend != "sqlite" and self.settings == "default"

    @property
    def is_always_run(self) -> bool:
        """Whether `make test` runs it: policy and CORS do not depend on the database."""
        return self.release == NEWEST and (
            self.settings == "default" or self.backend == "postgresql"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each file on each database, with --all for every release."""
    if "name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all")
        cases = [
            pytest.param(
                deployment, path.name, id=f"{'-'.join(deployment)}-{path.stem}", marks=mark
            )
            for release, backend, path in product(RELEASES, BACKENDS, FILES)
            for deployment in [Deployment(release, backend, settings_of(path))]
            for mark in [pytest.mark.xdist_group("-".join(deployment))]
            if every or deployment.is_always_run
        ]
        metafunc.parametrize(("service", "name"), cases, indirect=["service"], scope="module")


def settings_of(path: Path) -> str:
    """Return the settings that a file's fixture needs."""
    text = path.read_text(encoding="utf-8")
    return next((name for fixture, name in SETTINGS.items() if fixture in text), "default")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpack the wheel that a release pins, and return its folder."""
    unpacked: dict[str, Path] = {}

    def wheel(release: str) -> Path:
        if release not in unpacked:
            unpacked[release] = folder = tmp_path_factory.mktemp(f"wheel-{release}")
            locked = (ROOT / f"releases/{release}.txt").read_text(encoding="utf-8")
            pinned = re.search(r"^openstack-placement==(.*\\\n)*.*\n", locked, re.MULTILINE)
            assert pinned
            (folder / "requirements.txt").write_text(pinned[0], encoding="utf-8")
            options = ("--quiet", "--no-deps", "--require-hashes", "--target", folder)
            succeed("uv", "pip", "install", *options, "-r", folder / "requirements.txt")
        return unpacked[release]

    return wheel


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest,
    engine: str,
    image: Callable[[str], str],
    image_without_speed: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """Start a Placement that has a database of its own."""
    deployment: Deployment = request.param
    folder = tmp_path_factory.mktemp("-".join(deployment))
    env = deployment.environment
    options = [f"--volume={open_policy(folder / 'policy.yaml')}:/policy.yaml:ro"]
    if deployment.backend == "sqlite":
        database = f"sqlite:///{shared_file(folder / 'data')}"
        options.append(f"--volume={folder / 'data'}:/var/lib/placement")
        env["OS_PLACEMENT_DATABASE__SQLITE_SYNCHRONOUS"] = "False"
    else:
        database = request.getfixturevalue(deployment.backend).new_database()
        env[CONNECTION] = database
    with ExitStack() as running:

        def start(image: str) -> httpx.Client:
            return running.enter_context(serving(engine, image, env, tuple(options))).client

        url = start(image(deployment.release)).base_url
        comparison = None
        if deployment.is_compared:
            client = start(image_without_speed(deployment.release))
            client.headers.clear()
            comparison = Comparison(client)
        yield Service(url, sa.make_url(database), comparison)


def open_policy(path: Path) -> Path:
    """Write a policy that permits everything to everyone."""
    rules = {rule.name: "@" for rule in policies.list_rules() if rule.name != "admin_api"}
    path.write_text(json.dumps(rules), encoding="utf-8")
    return path


def shared_file(folder: Path) -> Path:
    """Create an empty database file that this user and the container's user can write."""
    folder.mkdir()
    folder.chmod(0o777)
    database = folder / "cats.db"
    database.touch()
    database.chmod(0o666)
    return database
