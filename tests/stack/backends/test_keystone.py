"""Tier 3: what a real Keystone and a real memcached do to requests, also while they are away."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import yaml
from keystoneauth1.identity.v3 import ApplicationCredential, Password
from keystoneauth1.session import Session
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from tests.support.servers import address
from tests.support.stack import NewStack, Stack

pytestmark = pytest.mark.xdist_group("keystone")

# Seconds that a known token is believed without asking; 300 unless somebody says otherwise.
CACHE_TIME = 8
OVERRIDE = {
    "OS_KEYSTONE_AUTHTOKEN__TOKEN_CACHE_TIME": str(CACHE_TIME),
    # As long as a memcached that was away is not asked again; 300 likewise.
    "OS_KEYSTONE_AUTHTOKEN__MEMCACHE_POOL_DEAD_RETRY": "1",
}
# No answer may take longer while Keystone is away: its timeout, for each of the tries.
PATIENCE = 45


@pytest.fixture(scope="module")
def stack(new_stack: NewStack) -> Iterator[Stack]:
    """Run Placement with Keystone and memcached."""
    answers = {
        "auth_strategy": "keystone",
        "keystone_memcached_servers": "memcached.example.com:11211",
    }
    with new_stack(answers) as stack:
        override = yaml.safe_dump({"services": {"placement": {"environment": OVERRIDE}}})
        (stack.repository / "compose.override.yaml").write_text(override, encoding="utf-8")
        stack.make("up")
        yield stack


@pytest.fixture(scope="module")
def cloud(stack: Stack) -> dict[str, Any]:
    """Return how the service's own user logs in, as `make up` has written it."""
    path = stack.repository / "dev/stack/keystone/clouds.yaml"
    clouds: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["clouds"]
    return clouds


class User:
    """Somebody who has logged in to Keystone, by a new session and so with a new token."""

    def __init__(self, cloud: dict[str, Any], **auth: str) -> None:
        """Log in as clouds.yaml says, or otherwise where that is given."""
        self._session: Any = Session(auth=Password(**{**cloud["auth"], **auth}))
        self.token = str(self._session.get_token())
        self.id = str(self._session.get_user_id())
        self.project = str(self._session.get_project_id())

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Ask Keystone for something."""
        url = f"{self._session.auth.auth_url}{path}"
        return self._session.request(url, method, **more)

    def make(self, kind: str, path: str, **fields: str) -> dict[str, Any]:
        """Make something there and return it."""
        made: dict[str, Any] = self.call("POST", path, json={kind: fields}).json()[kind]
        return made


@pytest.fixture(scope="module")
def reader(cloud: dict[str, Any]) -> User:
    """Return a user who may only read, in a project of its own."""
    admin = User(cloud["admin"])
    project = admin.make("project", "/projects", name="readers")["id"]
    user = admin.make("user", "/users", name="reader", password="reader")["id"]
    (role,) = admin.call("GET", "/roles?name=reader").json()["roles"]
    admin.call("PUT", f"/projects/{project}/users/{user}/roles/{role['id']}")
    return User(cloud["admin"], username="reader", password="reader", project_name="readers")


@pytest.fixture
def token(cloud: dict[str, Any]) -> str:
    """Return a token that nobody has used before."""
    return User(cloud["placement"]).token


def status(stack: Stack, token: str, method: str = "GET", **headers: str) -> int:
    """Return the status of a request that an admin or a service may make."""
    with stack.client(token) as client:
        path = "/traits/CUSTOM_KEYSTONE" if method == "PUT" else "/resource_providers"
        return client.request(method, path, headers=headers).status_code


def test_a_good_token_reads_and_writes(stack: Stack, token: str) -> None:
    """The roles that `make up` gives to the service's user are enough for both."""
    assert status(stack, token) == 200
    assert status(stack, token, "PUT") in (201, 204)


def test_no_token_and_a_forged_one_are_refused(stack: Stack, token: str) -> None:
    """Each is told where Keystone is, as clients on this host reach it."""
    forged = token[:-20] + token[-20:].swapcase()
    for headers in ({}, {"x-auth-token": "forged"}, {"x-auth-token": forged}):
        answer = httpx.get(f"{stack.url}/resource_providers", headers=headers)
        assert answer.status_code == 401
        keystone = f"http://127.0.0.1:{stack.keystone_port}"
        assert answer.headers["www-authenticate"] == f'Keystone uri="{keystone}"'


def test_another_role_is_refused(stack: Stack, reader: User) -> None:
    """Who may read may neither write nor look at others' providers."""
    assert status(stack, reader.token, "PUT") == 403
    with stack.client(reader.token) as client:
        assert client.get("/traits").status_code == 403
        own = client.get("/usages", params={"project_id": reader.project})
        assert own.status_code == 200


def test_a_revoked_token_is_refused_once_it_is_no_longer_cached(
    stack: Stack, cloud: dict[str, Any]
) -> None:
    """At once if it is new; else it is believed as long as the cache time says, and no longer."""
    admin = User(cloud["admin"])
    unused, used = (User(cloud["placement"]).token for _ in range(2))
    assert status(stack, used) == 200
    for token in (unused, used):
        admin.call("DELETE", "/auth/tokens", headers={"x-subject-token": token})
    assert status(stack, unused) == 401
    within(CACHE_TIME + 2, lambda: status(stack, used) == 401)


def test_an_expired_token_is_refused_but_for_a_service(
    stack: Stack, cloud: dict[str, Any], reader: User, token: str
) -> None:
    """A service that carries on a user's request says so by a token with the service role."""
    expired = short_lived_token(cloud)
    assert status(stack, expired) == 200
    within(30, lambda: status(stack, expired) == 401)
    assert status(stack, expired, **{"x-service-token": reader.token}) == 401
    assert status(stack, expired, **{"x-service-token": token}) == 200


def short_lived_token(cloud: dict[str, Any]) -> str:
    """Return a token that is good for some seconds: no longer than its credential."""
    owner = User(cloud["placement"])
    end = datetime.now(UTC) + timedelta(seconds=15)
    credential = owner.make(
        "application_credential",
        f"/users/{owner.id}/application_credentials",
        name=f"short-{end:%H%M%S}",
        expires_at=f"{end:%Y-%m-%dT%H:%M:%S}",
    )
    auth = ApplicationCredential(
        auth_url=cloud["placement"]["auth"]["auth_url"],
        application_credential_id=credential["id"],
        application_credential_secret=credential["secret"],
    )
    return str(Session(auth=auth).get_token())


def test_tokens_are_cached_and_unreadable(stack: Stack, token: str) -> None:
    """Memcached holds what Keystone said of the token, and no word of it can be read there."""
    before = cached(stack).keys()
    assert status(stack, token) == 200
    values = [value for key, value in cached(stack).items() if key not in before]
    assert [len(value) > 500 for value in values] == [True]
    for word in ("placement", "Default", "service", "roles", token):
        assert not [value for value in values if word in value]


def cached(stack: Stack) -> dict[str, str]:
    """Return what memcached holds."""
    memcached = address(stack.engine, container(stack, "memcached"))
    told = said(memcached, "lru_crawler metadump all")
    keys = [unquote(line.split()[0].removeprefix("key=")) for line in told]
    return {key: " ".join(said(memcached, f"get {key}")[1:]) for key in keys}


def said(host: str, command: str) -> list[str]:
    """Return the lines that memcached answers, up to the one that ends its answer."""
    with socket.create_connection((host, 11211), timeout=10) as connection:
        connection.sendall(f"{command}\r\n".encode())
        with connection.makefile(encoding="latin-1") as answer:
            lines = (line.strip() for line in answer)
            return list(takewhile(lambda line: line not in ("END", "OK"), lines))


@pytest.mark.parametrize("action", [("stop", "start"), ("pause", "unpause")], ids=lambda it: it[0])
@pytest.mark.parametrize("service", ["keystone", "memcached"])
def test_what_is_away_and_comes_back(
    stack: Stack,
    cloud: dict[str, Any],
    service: str,
    action: tuple[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    """Placement answers again without a restart, and meanwhile each request within a bound."""
    away, back = action
    new, more = (User(cloud["placement"]).token for _ in range(2))
    assert status(stack, more) == 200
    started = identity(stack)
    engine(stack, away, service)
    try:
        seconds, code = timed(stack, new)
        assert code == (503 if service == "keystone" else 200)
        assert seconds < PATIENCE
        again, _ = timed(stack, new)
        assert again < PATIENCE
    finally:
        engine(stack, back, service)
    returned = time.monotonic()
    within(PATIENCE, lambda: status(stack, new) == 200)
    good = time.monotonic() - returned
    assert identity(stack) == started
    record_property(
        "figures", f"{code} after {seconds:.1f} s, then {again:.1f} s; good again in {good:.1f} s"
    )


def timed(stack: Stack, token: str) -> tuple[float, int]:
    """Return how long a request took, and how it was answered."""
    begin = time.monotonic()
    code = status(stack, token)
    return time.monotonic() - begin, code


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until it holds, or fail."""
    retry(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.3),
        retry=retry_if_result(lambda it: not it),
    )(holds)()


def container(stack: Stack, service: str) -> str:
    """Return the name of a service's container, which compose engines write differently."""
    command = [stack.engine, "ps", "--all", "--format", "{{.Names}}"]
    names = subprocess.check_output(command, text=True).split()
    return next(it for it in names if it.startswith(stack.repository.name) and service in it)


def engine(stack: Stack, action: str, service: str) -> None:
    """Do something to the container of a service."""
    command = [stack.engine, action, container(stack, service)]
    subprocess.run(command, check=True, capture_output=True)


def identity(stack: Stack) -> str:
    """Return what tells whether the container of Placement is the same, started once."""
    form = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}}"
    command = [stack.engine, "inspect", "--format", form, container(stack, "placement")]
    return subprocess.check_output(command, text=True)
