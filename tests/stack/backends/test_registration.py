"""Tier 3: the image's command `register` with a real Keystone, which is empty at first."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from keystoneauth1.exceptions import ClientException

from tests.support.containers import PYTHON, Output, flags, logs, new_name, readable, remove
from tests.support.keystone import User
from tests.support.servers import PASSWORD, DevImage, address
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("registration")

REGION = "eu1"
URLS = {
    "PUBLIC_ENDPOINT": "https://placement.example.com",
    "INTERNAL_ENDPOINT": "http://placement.placement.svc:8778",
    "ADMIN_ENDPOINT": "http://placement.placement.svc:8778",
}
LOGIN = {
    "username": "placement",
    "password": "a$b",
    "project_name": "service project",
    "user_domain_name": "Services",
    "project_domain_name": "Default",
}
# What the first registration prints.
ADDED = [
    "+ service placement",
    *(f"+ endpoint {name.split('_')[0].lower()} in {REGION}: {url}" for name, url in URLS.items()),
    "+ domain Services",
    "+ project service project",
    "+ user placement",
    "+ role admin of placement in the project service project",
    "+ role service of placement in the project service project",
]
DOMAINS = {"user_domain_name": "Default", "project_domain_name": "Default"}
ADMIN = {"username": "admin", "password": PASSWORD, "project_name": "admin", **DOMAINS}
READER = {**ADMIN, "username": "reader"}
KINDS = ("services", "endpoints", "regions", "domains", "projects", "users", "roles")

State = dict[str, dict[str, Any]]


class Keystone:
    """A Keystone, and a container of the image that registers Placement in it."""

    def __init__(self, engine: str, url: str, container: str, folder: Path) -> None:
        """Log in as the administrator, and create a user who is none."""
        self.engine = engine
        self.url = url
        self.container = container
        self.folder = folder
        self.admin = self.log_in(ADMIN)
        reader = self.admin.create("user", "/users", name="reader", password=PASSWORD)["id"]
        (role,) = self.admin.call("GET", "/roles?name=reader").json()["roles"]
        path = f"/projects/{self.admin.project}/users/{reader}/roles/{role['id']}"
        self.admin.call("PUT", path)

    def log_in(self, login: dict[str, str]) -> User:
        """Return a user with a new token."""
        return User({"auth": {"auth_url": self.url, **login}})

    def state(self) -> State:
        """Return everything in Keystone that a registration may change, by its id."""
        found = {kind: self.admin.call("GET", f"/{kind}").json()[kind] for kind in KINDS}
        assignments = self.admin.call("GET", "/role_assignments").json()["role_assignments"]
        found["assignments"] = [{"id": json.dumps(each, sort_keys=True)} for each in assignments]
        return {kind: {each["id"]: each for each in items} for kind, items in found.items()}

    def try_register(
        self,
        *arguments: str,
        admin: dict[str, str] | None = None,
        login: dict[str, str] | None = None,
        **env: str,
    ) -> Output:
        """Register Placement, with other logins and variables than the usual ones."""
        auth = {"auth_url": self.url, **(ADMIN if admin is None else admin)}
        clouds = self.folder / "clouds.yaml"
        clouds.write_text(yaml.safe_dump({"clouds": {"admin": {"auth": auth}}}))
        readable(self.folder)
        options = {
            "auth_type": "password",
            "auth_url": auth["auth_url"],
            "region_name": REGION,
            **(login or LOGIN),
        }
        settings = {
            "OS_API__AUTH_STRATEGY": "keystone",
            "OS_CLIENT_CONFIG_FILE": "/clouds/clouds.yaml",
            **{
                f"OS_KEYSTONE_AUTHTOKEN__{name.upper()}": value.replace("$", "$$")
                for name, value in options.items()
            },
            **URLS,
            **env,
        }
        command = [self.engine, "exec", *flags(settings), self.container]
        return subprocess.run(
            [*command, "/startup.sh", "register", *arguments],
            text=True,
            capture_output=True,
            check=False,
        )

    def register(self, *arguments: str, **more: Any) -> list[str]:
        """Register Placement, and return the changes that it prints."""
        done = self.try_register(*arguments, **more)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        *changes, last = done.stdout.splitlines()
        what = "to change" if arguments else "changed"
        assert last == f"ok: registration: {what}: {len(changes)}"
        return changes


@pytest.fixture(scope="module")
def keystone(
    engine: str, dev_image: DevImage, newest: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keystone]:
    """Start a Keystone, and a container of the image."""
    folder = tmp_path_factory.mktemp("clouds")
    server, client = new_name(), new_name()
    env = {"KEYSTONE_ADMIN_PASSWORD": PASSWORD, "KEYSTONE_REGION": REGION}
    run = [engine, "run", "--detach", "--name"]
    sleep = (PYTHON, f"--volume={folder}:/clouds:ro", newest, "-c", "import time; time.sleep(9999)")
    try:
        for arguments in (
            (server, *flags(env), dev_image("keystone")),
            (client, *sleep),
        ):
            subprocess.run([*run, *arguments], capture_output=True, check=True)
        url = f"http://{address(engine, server)}:5000/v3"

        def accepts_login() -> bool:
            with suppress(ClientException):
                return bool(User({"auth": {"auth_url": url, **ADMIN}}))
            return False

        wait_until(accepts_login, lambda: logs(engine, server))
        yield Keystone(engine, url, client, folder)
    finally:
        remove(engine, client)
        remove(engine, server)


@pytest.fixture(scope="module")
def empty(keystone: Keystone) -> tuple[State, list[str], State]:
    """Return the first state, what --dry-run prints, and the state after it."""
    before = keystone.state()
    return before, keystone.register("--dry-run"), keystone.state()


@pytest.fixture(scope="module", autouse=True)
def first(keystone: Keystone, empty: tuple[State, list[str], State]) -> list[str]:
    """Register Placement, and return what the command prints."""
    return keystone.register()


def test_dry_run_prints_the_changes_and_writes_nothing(
    empty: tuple[State, list[str], State],
) -> None:
    before, changes, after = empty
    assert changes == ADDED
    assert after == before


def test_registration_adds_what_is_missing(keystone: Keystone, first: list[str]) -> None:
    assert first == ADDED
    state = keystone.state()
    [service] = [each for each in state["services"].values() if each["type"] == "placement"]
    assert {
        each["interface"]: (each["url"], each["region_id"], each["enabled"])
        for each in state["endpoints"].values()
        if each["service_id"] == service["id"]
    } == {name.split("_")[0].lower(): (url, REGION, True) for name, url in URLS.items()}
    user = keystone.log_in(LOGIN)
    token = {"x-subject-token": user.token}
    roles = user.call("GET", "/auth/tokens", headers=token).json()["token"]["roles"]
    assert {"admin", "service"} <= {role["name"] for role in roles}


def test_second_registration_changes_nothing_and_revokes_no_token(keystone: Keystone) -> None:
    """Also with a URL that names no version of Keystone's API."""
    user, before = keystone.log_in(LOGIN), keystone.state()
    assert keystone.register(admin={**ADMIN, "auth_url": keystone.url.removesuffix("/v3")}) == []
    assert keystone.state() == before
    assert user.call("GET", "/auth/catalog").ok


def test_changed_url_is_never_absent_from_the_catalog(keystone: Keystone) -> None:
    """Nor is anything else of Keystone's deleted."""
    before, url = keystone.state(), "https://moved.example.com"
    with reading_catalogs(keystone) as catalogs:
        changes = keystone.register(PUBLIC_ENDPOINT=url)
    assert changes == [f"~ endpoint public in {REGION}: {URLS['PUBLIC_ENDPOINT']} -> {url}"]
    assert len(catalogs) > 10
    assert catalogs[0] == {URLS["PUBLIC_ENDPOINT"]}
    assert catalogs[-1] == {url}
    assert {len(catalog) for catalog in catalogs} == {1}
    after = keystone.state()
    assert {kind: set(items) for kind, items in after.items()} == {
        kind: set(items) for kind, items in before.items()
    }
    change_endpoint(keystone, "public", url=URLS["PUBLIC_ENDPOINT"])


def change_endpoint(keystone: Keystone, interface: str, **fields: object) -> None:
    """Change an endpoint of Placement."""
    state = keystone.state()
    [service] = [id for id, each in state["services"].items() if each["type"] == "placement"]
    [endpoint] = [
        id
        for id, each in state["endpoints"].items()
        if (each["service_id"], each["interface"]) == (service, interface)
    ]
    keystone.admin.call("PATCH", f"/endpoints/{endpoint}", json={"endpoint": fields})


@contextmanager
def reading_catalogs(keystone: Keystone) -> Iterator[list[set[str]]]:
    """Read Placement's public URLs in the catalog: before, during and after the block."""
    user, end = keystone.log_in(LOGIN), threading.Event()
    catalogs: list[set[str]] = []

    def read() -> None:
        catalog = user.call("GET", "/auth/catalog").json()["catalog"]
        endpoints = [
            end for each in catalog if each["type"] == "placement" for end in each["endpoints"]
        ]
        catalogs.append({each["url"] for each in endpoints if each["interface"] == "public"})

    def loop() -> None:
        while not end.is_set():
            read()

    read()
    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield catalogs
    finally:
        end.set()
        thread.join()
        read()


def find(keystone: Keystone, kind: str, name: str) -> list[str]:
    """Return the ids of what has this name."""
    return [id for id, each in keystone.state()[kind].items() if each["name"] == name]


def test_damage_is_repaired(keystone: Keystone) -> None:
    """A URL that differs, a disabled endpoint, a role that is missing, and another password."""
    user, [role] = keystone.log_in(LOGIN), find(keystone, "roles", "service")
    admin = keystone.admin
    change_endpoint(keystone, "internal", enabled=False)
    change_endpoint(keystone, "admin", url="http://moved")
    admin.call("DELETE", f"/projects/{user.project}/users/{user.id}/roles/{role}")
    admin.call("PATCH", f"/users/{user.id}", json={"user": {"password": "other"}})
    url = URLS["INTERNAL_ENDPOINT"]
    expected = [
        f"~ endpoint internal in {REGION}: {url} -> {url}",
        f"~ endpoint admin in {REGION}: http://moved -> {url}",
        "+ role service of placement in the project service project",
        "~ password of the user placement",
    ]
    assert keystone.register("--dry-run") == expected
    assert keystone.register() == expected
    assert keystone.log_in(LOGIN).call("GET", "/auth/catalog").ok


def test_nova_without_the_role_is_a_warning(keystone: Keystone) -> None:
    """Only if there is such a user, and only until an administrator has assigned the role."""
    user = keystone.admin.create("user", "/users", name="nova")["id"]
    [project], [role] = (
        find(keystone, "projects", "service project"),
        find(keystone, "roles", "service"),
    )
    path = f"/projects/{project}/users/{user}/roles/{role}"
    try:
        assert "warning: role: the user nova lacks" in keystone.try_register().stdout
        keystone.admin.call("PUT", path)
        assert keystone.register() == []
    finally:
        keystone.admin.call("DELETE", f"/users/{user}")


CREDENTIAL = {
    "auth_type": "v3applicationcredential",
    "application_credential_id": "none",
    "application_credential_secret": "hidden",
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": ({"admin": {**ADMIN, "password": "hidden"}}, "refuses the cloud admin: "),
    "no administrator": ({"admin": READER}, "forbids a request of admin: "),
    "unknown region": ({"OS_KEYSTONE_AUTHTOKEN__REGION_NAME": "eu2"}, "no region eu2, only eu1: "),
    "unknown credential": ({"login": CREDENTIAL}, "the application credential id none: "),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_bad_input_changes_nothing(given: dict[str, Any], message: str, keystone: Keystone) -> None:
    """The command prints one line without a password, and fails."""
    moved = {name: f"{url}/moved" for name, url in URLS.items()}
    before = keystone.state()
    done = keystone.try_register(**{**moved, **given})
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hidden" not in done.stderr
    assert PASSWORD not in done.stderr
    assert keystone.state() == before
