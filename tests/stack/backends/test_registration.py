"""Tier 3: the image's command `register` with a real Keystone, which is empty at first."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity.v3 import ApplicationCredential
from keystoneauth1.session import Session

from tests.support.containers import PYTHON, Output, flags, logs, new_name, readable, remove
from tests.support.keystone import User
from tests.support.proxies import NewProxy
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
NAMED_CREDENTIAL = {
    "auth_type": "v3applicationcredential",
    "application_credential_name": "placement",
    "application_credential_secret": "first",
    "username": LOGIN["username"],
    "user_domain_name": LOGIN["user_domain_name"],
}
CREDENTIAL = {
    "auth_type": "v3applicationcredential",
    "application_credential_id": "none",
    "application_credential_secret": "hidden",
}
DOMAINS = {"user_domain_name": "Default", "project_domain_name": "Default"}
ADMIN = {"username": "admin", "password": PASSWORD, "project_name": "admin", **DOMAINS}
READER = {**ADMIN, "username": "reader"}
# A Keystone that goes away after some changes.
GOING_AWAY = """\
defaults
    mode http
    timeout connect 2s
    timeout client 1m
    timeout server 1m
backend changes
    stick-table type string size 1 store http_req_cnt
listen keystone
    bind :5000
    acl login path /v3/auth/tokens
    http-request track-sc0 str(all) table changes if {{ method POST PUT }} !login
    http-request reject if {{ str(all),table_http_req_cnt(changes) gt {number} }}
    server s0 {server}
"""
# The user has no roles yet.
BEFORE = 7
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

    def try_register(self, *arguments: str, **more: Any) -> Output:
        """Register Placement, with other logins and variables than the usual ones."""
        return self.run("/startup.sh", "register", *arguments, **more)

    def run(
        self,
        *command: str,
        admin: dict[str, str] | None = None,
        login: dict[str, str] | None = None,
        owner: dict[str, str] | None = None,
        **env: str,
    ) -> Output:
        """Run a command in the image, with the login of the administrator as a cloud."""
        auth = {"auth_url": self.url, **(ADMIN if admin is None else admin)}
        clouds = self.folder / "clouds.yaml"
        logins = {"admin": {"auth": auth}}
        if owner:
            logins["placement"] = {"auth": {"auth_url": self.url, **owner}}
        clouds.write_text(yaml.safe_dump({"clouds": logins}))
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
            "OS_CLOUD": "admin",
            **{
                f"OS_KEYSTONE_AUTHTOKEN__{name.upper()}": value.replace("$", "$$")
                for name, value in options.items()
            },
            **URLS,
            **env,
        }
        return subprocess.run(
            [self.engine, "exec", *flags(settings), self.container, *command],
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
    env = {
        "KEYSTONE_ADMIN_PASSWORD": PASSWORD,
        "KEYSTONE_REGION": REGION,
        # The default takes a quarter of a second of CPU time for each login.
        "OS_IDENTITY__PASSWORD_HASH_ROUNDS": "4",
    }
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


@pytest.fixture(scope="module")
def interrupted(
    keystone: Keystone, empty: tuple[State, list[str], State], new_proxy: NewProxy
) -> Output:
    """Register Placement in a Keystone that goes away meanwhile."""
    config = GOING_AWAY.format(server=urlsplit(keystone.url).netloc, number=BEFORE)
    with new_proxy("haproxy", config, 5000) as proxy:
        admin = {**ADMIN, "auth_url": f"http://{proxy.address}:5000/v3"}
        return keystone.try_register(admin=admin)


@pytest.fixture(scope="module", autouse=True)
def first(keystone: Keystone, interrupted: Output) -> list[str]:
    """Register Placement in the Keystone that is back, and return what the command prints."""
    return keystone.register()


def test_dry_run_prints_the_changes_and_writes_nothing(
    empty: tuple[State, list[str], State],
) -> None:
    before, changes, after = empty
    assert changes == ADDED
    assert after == before


def test_interrupted_registration_prints_what_it_has_added(interrupted: Output) -> None:
    """Another exit status means that the same command may succeed later."""
    assert interrupted.returncode == 75
    assert interrupted.stdout.splitlines() == ADDED[:BEFORE]
    assert "does not answer" in interrupted.stderr
    assert interrupted.stderr.count("\n") == 1
    assert not [password for password in (PASSWORD, "a$b") if password in interrupted.stderr]


def test_registration_adds_what_is_missing(keystone: Keystone, first: list[str]) -> None:
    """It completes the interrupted one."""
    assert first == ADDED[BEFORE:]
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
    user, end = keystone.log_in(ADMIN), threading.Event()
    catalogs: list[set[str]] = []

    def read() -> None:
        catalog = user.call("GET", "/auth/catalog").json()["catalog"]
        endpoints = [
            end for each in catalog if each["type"] == "placement" for end in each["endpoints"]
        ]
        catalogs.append({each["url"] for each in endpoints if each["interface"] == "public"})

    def loop() -> None:
        while not end.wait(0.1):
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


@pytest.fixture(scope="module")
def nova(keystone: Keystone) -> str:
    """Create Nova's user, and return the path that assigns the role to it."""
    user = keystone.admin.create("user", "/users", name="nova")["id"]
    [project] = find(keystone, "projects", "service project")
    [role] = find(keystone, "roles", "service")
    return f"/projects/{project}/users/{user}/roles/{role}"


def test_second_registration_changes_nothing_and_revokes_no_token(
    keystone: Keystone, nova: str
) -> None:
    """Also with a URL that names no version of Keystone's API. It warns about Nova's user."""
    user, before = keystone.log_in(LOGIN), keystone.state()
    done = keystone.try_register(admin={**ADMIN, "auth_url": keystone.url.removesuffix("/v3")})
    warning, last = done.stdout.splitlines()
    assert warning.startswith("warning: role: the user nova lacks the role service")
    assert last == "ok: registration: changed: 0"
    assert keystone.state() == before
    assert user.call("GET", "/auth/catalog").ok


def test_damage_is_repaired_and_the_catalog_always_has_a_url(keystone: Keystone, nova: str) -> None:
    """Nothing is deleted, and a service without endpoints is ignored."""
    user, [role] = keystone.log_in(LOGIN), find(keystone, "roles", "service")
    admin, moved = keystone.admin, "http://moved"
    change_endpoint(keystone, "public", url=moved)
    change_endpoint(keystone, "internal", enabled=False)
    admin.call("DELETE", f"/projects/{user.project}/users/{user.id}/roles/{role}")
    admin.call("PATCH", f"/users/{user.id}", json={"user": {"password": "other"}})
    admin.call("PUT", nova)
    unused = [admin.create("service", "/services", type="placement")["id"] for _ in range(3)]
    before, url = keystone.state(), URLS["INTERNAL_ENDPOINT"]
    with reading_catalogs(keystone) as catalogs:
        changes = keystone.register()
    assert changes == [
        f"~ endpoint public in {REGION}: {moved} -> {URLS['PUBLIC_ENDPOINT']}",
        f"~ endpoint internal in {REGION}: {url} -> {url}",
        "+ role service of placement in the project service project",
        "~ password of the user placement",
    ]
    assert len(catalogs) > 10
    assert (catalogs[0], catalogs[-1]) == ({moved}, {URLS["PUBLIC_ENDPOINT"]})
    assert {len(catalog) for catalog in catalogs} == {1}
    after = keystone.state()
    assert all(before[kind].keys() <= after[kind].keys() for kind in KINDS)
    assert keystone.log_in(LOGIN).call("GET", "/auth/catalog").ok
    for service in unused:
        admin.call("DELETE", f"/services/{service}")


def test_disabled_service_is_enabled_and_the_owner_gets_a_credential(keystone: Keystone) -> None:
    [service] = services(keystone)
    keystone.admin.call("PATCH", f"/services/{service}", json={"service": {"enabled": False}})
    assert keystone.register(owner=LOGIN, login=NAMED_CREDENTIAL) == [
        "~ service placement: enabled",
        "+ application credential placement",
    ]
    before = keystone.state()
    secret = {"application_credential_secret": "hidden"}
    done = keystone.try_register(owner=LOGIN, login=NAMED_CREDENTIAL | secret)
    assert done.returncode == 1
    assert "refuses the application credential placement: " in done.stderr
    assert "correct OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_SECRET" in done.stderr
    assert "hidden" not in done.stderr
    assert keystone.state() == before


def services(keystone: Keystone) -> list[str]:
    """Return the ids of the services of Placement's type."""
    return [id for id, each in keystone.state()["services"].items() if each["type"] == "placement"]


def test_several_services_with_endpoints_are_refused(keystone: Keystone) -> None:
    """The catalog would have the URLs of both."""
    other = keystone.admin.create("service", "/services", type="placement")["id"]
    fields = {"service_id": other, "region_id": REGION, "interface": "public", "url": "http://a"}
    try:
        keystone.admin.create("endpoint", "/endpoints", **fields)
        before = keystone.state()
        done = keystone.try_register(PUBLIC_ENDPOINT="https://b")
        assert (done.returncode, done.stdout) == (1, "")
        assert ", ".join(sorted(services(keystone))) in done.stderr
        assert keystone.state() == before
    finally:
        keystone.admin.call("DELETE", f"/services/{other}")


def test_keystone_without_any_region_is_reported(keystone: Keystone) -> None:
    admin = keystone.admin
    with ExitStack() as restoring:
        for endpoint, before in keystone.state()["endpoints"].items():
            path, region = f"/endpoints/{endpoint}", {"region_id": before["region_id"]}
            restoring.callback(admin.call, "PATCH", path, json={"endpoint": region})
            admin.call("PATCH", path, json={"endpoint": {"region_id": None}})
        admin.call("DELETE", f"/regions/{REGION}")
        # The endpoints need the region.
        restoring.callback(admin.call, "PUT", f"/regions/{REGION}", json={"region": {}})
        done = keystone.try_register()
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Keystone has no region {REGION}: correct " in done.stderr


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": ({"admin": {**ADMIN, "password": "hidden"}}, "refuses the cloud admin: "),
    "no administrator": ({"admin": READER}, "forbids a request of admin: "),
    "unknown region": ({"OS_KEYSTONE_AUTHTOKEN__REGION_NAME": "eu2"}, "no region eu2, only eu1: "),
    "https replaced by http": (
        {"PUBLIC_ENDPOINT": URLS["PUBLIC_ENDPOINT"].replace("https", "http")},
        f"is {URLS['PUBLIC_ENDPOINT']} in Keystone, but PUBLIC_ENDPOINT is http://",
    ),
    "unknown credential": ({"login": CREDENTIAL}, "the application credential id none: "),
}


@pytest.fixture(scope="module")
def refused(keystone: Keystone) -> tuple[State, dict[str, Output], State]:
    """Return what the command prints for each bad input, and the states before and after all."""
    moved = {name: f"{url}/moved" for name, url in URLS.items()}
    before = keystone.state()
    done = {name: keystone.try_register(**{**moved, **given}) for name, (given, _) in BAD.items()}
    return before, done, keystone.state()


@pytest.mark.parametrize("name", BAD)
def test_bad_input_changes_nothing(
    name: str, refused: tuple[State, dict[str, Output], State]
) -> None:
    """The command prints one line without a password, and fails."""
    before, outputs, after = refused
    done = outputs[name]
    assert done.returncode == 1
    assert done.stdout == ""
    assert BAD[name][1] in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hidden" not in done.stderr
    assert PASSWORD not in done.stderr
    assert after == before


# Each credential replaces the one before: four days ago, three days ago, and now.
ROTATIONS = """
import json
from datetime import UTC, datetime, timedelta
from entrypoint import clouds, registration, rotation
session = clouds.load("placement").session
user = session.get_user_id()
manager = registration.identity_client(session).application_credentials
manager.create("other", user=user)
access = session.auth.get_access(session)
role = dict(zip(access.role_names, access.role_ids))["service"]
rule = {"path": "/reshaper", "method": "POST", "service": "placement"}
found = [manager.create("first", user=user, roles=[role], access_rules=[rule])]
now = datetime.now(UTC)
for days in (4, 3, 0):
    since, lifetime = now - timedelta(days), timedelta(90)
    new = rotation.create_successor(manager, user, found[-1], "next", since, lifetime)
    found.append(new)
rotation.delete_replaced(manager, user, found[-1], now)
print(json.dumps([[each.name, each.id, each.secret] for each in found]))
"""


@pytest.fixture
def owner(keystone: Keystone) -> User:
    """Return the user who owns the application credentials, of which there are none."""
    owner = keystone.log_in(LOGIN)
    for credential in credentials(owner):
        owner.call("DELETE", f"/users/{owner.id}/application_credentials/{credential['id']}")
    return owner


def credentials(owner: User) -> list[dict[str, Any]]:
    """Return the application credentials of a user."""
    path = f"/users/{owner.id}/application_credentials"
    return list(owner.call("GET", path).json()["application_credentials"])


def test_rotated_credential_expires_and_the_last_one_stays(keystone: Keystone, owner: User) -> None:
    """What was replaced earlier is deleted, and nothing else."""
    python = ("/opt/placement/bin/python3", "-Ic", ROTATIONS)
    done = keystone.run(*python, owner=LOGIN)
    assert done.returncode == 0, done.stderr
    *deleted, last = done.stdout.splitlines()
    (_, *first), (second, *_), (_, *third), (_, *fourth) = json.loads(last)
    assert sorted(deleted) == [
        "- application credential first",
        f"- application credential {second}",
    ]
    stay = {each["id"]: each for each in credentials(owner)}
    assert len(stay) == 3
    assert "other" in {each["name"] for each in stay.values()}
    for id, _ in (third, fourth):
        assert [role["name"] for role in stay[id]["roles"]] == ["service"]
        assert [rule["path"] for rule in stay[id]["access_rules"]] == ["/reshaper"]
    expiry = datetime.fromisoformat(stay[fourth[0]]["expires_at"]).replace(tzinfo=UTC)
    assert timedelta(days=89) < expiry - datetime.now(UTC) < timedelta(days=90)
    for id, secret in (third, fourth):
        assert log_in_by_credential(keystone.url, id, secret)
    with pytest.raises(ClientException):
        log_in_by_credential(keystone.url, *first)


def log_in_by_credential(url: str, id: str, secret: str) -> str:
    """Return a token of an application credential."""
    login = ApplicationCredential(
        url, application_credential_id=id, application_credential_secret=secret
    )
    return str(Session(login).get_token())


@pytest.mark.parametrize(
    ("password", "id", "message"),
    [
        ("hidden", None, "refuses the cloud placement: "),
        (LOGIN["password"], "other", "has no application credential other: use its owner's login"),
        (LOGIN["password"], None, "run rotate-credential in a pod of Kubernetes"),
    ],
    ids=["wrong password", "of another user", "no pod"],
)
def test_failed_rotation_creates_no_credential(
    password: str, id: str | None, message: str, keystone: Keystone, owner: User
) -> None:
    path = f"/users/{owner.id}/application_credentials"
    old = owner.create("application_credential", path, name="old")
    login = {**CREDENTIAL, "application_credential_id": id or old["id"]}
    command = ("/startup.sh", "rotate-credential", "placement-keystone", "90")
    done = keystone.run(*command, owner={**LOGIN, "password": password}, login=login)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hidden" not in done.stderr
    assert [each["id"] for each in credentials(owner)] == [old["id"]]
