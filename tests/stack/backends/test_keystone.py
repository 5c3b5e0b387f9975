"""Tier 3: requests with a real Keystone and a real memcached, also while these are away."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import yaml
from dotenv import dotenv_values
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.v3 import ApplicationCredential, Password
from keystoneauth1.session import Session

from tests.support.containers import Output
from tests.support.keystone import User
from tests.support.nova import nova_api
from tests.support.processes import record_arguments
from tests.support.servers import address
from tests.support.stack import NewStack, Stack, free_port
from tests.support.template import ROOT, load
from tests.support.waiting import wait_until
from tests.support.zones import check_candidates, create_hosts, write_zones

pytestmark = pytest.mark.xdist_group("keystone")

# Seconds for which Placement does not validate a known token again. The default is 300.
CACHE_TIME = 5
OVERRIDE = {
    "OS_KEYSTONE_AUTHTOKEN__TOKEN_CACHE_TIME": str(CACHE_TIME),
    # Each process finds out for itself that memcached has failed.
    "UWSGI_PROCESSES": "1",
}
# Names with letters and special characters that the API accepts.
NAMES = load(ROOT / "tests/answers/valid/keystone-names.yml")
# Seconds for which Placement does not try a failed memcached again, as rendered.
DEAD_RETRY = 15
# Seconds until the expiring token expires, enough for a busy machine to use it before.
LIFETIME = 30
# The longest that a request may take while Keystone is away, with four attempts of five seconds.
PATIENCE = 45


WITH_PASSWORDS = (".env", "dev/stack/keystone/clouds.yaml")


@pytest.fixture(scope="module")
def start_arguments() -> set[str]:
    """The arguments of each process that ran while the stack started."""
    return set()


@pytest.fixture(scope="module")
def stack(new_stack: NewStack, start_arguments: set[str]) -> Iterator[Stack]:
    """Run Placement, PostgreSQL, Keystone and memcached, which are all empty at first."""
    answers = {
        **NAMES,
        "database": "postgresql",
        "keystone_memcached_servers": "memcached.example.com:11211",
    }
    with new_stack(answers) as stack:
        override = yaml.safe_dump({"services": {"placement": {"environment": OVERRIDE}}})
        (stack.repository / "compose.override.yaml").write_text(override, encoding="utf-8")
        (stack.repository / "Makefile.local").write_text("check:\n\t$(RUN) check-config\n")
        for name in WITH_PASSWORDS:
            (stack.repository / name).touch(mode=0o644)
        with record_arguments(start_arguments):
            assert "created the database placement with ENCODING 'UTF8'\n" in stack.make("up")
            stack.make("check")
        yield stack


def test_files_with_passwords_are_private(stack: Stack) -> None:
    """Also if they existed before, and everybody could read them."""
    modes = {(stack.repository / name).stat().st_mode & 0o777 for name in WITH_PASSWORDS}
    assert modes == {0o600}


@pytest.fixture(scope="module")
def cloud(stack: Stack) -> dict[str, Any]:
    """Return the clouds.yaml that `make up` has written."""
    path = stack.repository / "dev/stack/keystone/clouds.yaml"
    clouds: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["clouds"]
    return clouds


@pytest.fixture(scope="module")
def reader(cloud: dict[str, Any]) -> User:
    """Return a user with the role reader, in a project of its own."""
    return User(with_role(cloud["admin"], "reader"))


def with_role(admin_cloud: dict[str, Any], name: str) -> dict[str, Any]:
    """Create a user with this role, in a project of its own, and return its cloud."""
    admin = User(admin_cloud)
    project = admin.create("project", "/projects", name=f"{name}s")["id"]
    user = admin.create("user", "/users", name=name, password=name)["id"]
    (role,) = admin.call("GET", f"/roles?name={name}").json()["roles"]
    admin.call("PUT", f"/projects/{project}/users/{user}/roles/{role['id']}")
    login = {"username": name, "password": name, "project_name": f"{name}s"}
    return {**admin_cloud, "auth": {**admin_cloud["auth"], **login}}


@pytest.fixture(scope="module", autouse=True)
def expiring_token(stack: Stack, cloud: dict[str, Any]) -> str:
    """Return a token that expires while the other tests of this file run."""
    token = short_lived_token(cloud)
    assert status(stack, token) == 200
    return token


@pytest.fixture
def token(cloud: dict[str, Any]) -> str:
    """Return a new token."""
    return User(cloud["placement"]).token


def short_lived_token(cloud: dict[str, Any]) -> str:
    """Return a token that expires with its application credential."""
    owner = User(cloud["placement"])
    end = datetime.now(UTC) + timedelta(seconds=LIFETIME)
    credential = owner.create(
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


def status(stack: Stack, token: str, method: str = "GET", **headers: str) -> int:
    """Return the status of a request that administrators and services may send."""
    with stack.client(token) as client:
        path = "/traits/CUSTOM_KEYSTONE" if method == "PUT" else "/resource_providers"
        return client.request(method, path, headers=headers).status_code


def test_no_process_shows_a_password_in_its_arguments(
    stack: Stack, start_arguments: set[str]
) -> None:
    """`make up` and the commands that run in a container of their own pass all passwords."""
    passwords = dotenv_values(stack.repository / ".env")
    assert passwords.keys() >= {"KEYSTONE_ADMIN_PASSWORD", "MEMCACHE_SECRET_KEY"}
    for command in ("keystone", "check-config"):
        assert [text for text in start_arguments if stack.image in text and command in text]
    assert [
        text for text in start_arguments for value in passwords.values() if str(value) in text
    ] == []


def test_valid_token_reads_and_writes(stack: Stack, token: str) -> None:
    """The service user has the roles for both."""
    assert status(stack, token) == 200
    assert status(stack, token, "PUT") in (201, 204)


def test_keystone_has_the_names_of_the_answers(cloud: dict[str, Any]) -> None:
    """The registration reads them from compose.yaml. Placement logs in with the same names."""
    user = User(cloud["placement"])
    project = user.call("GET", f"/projects/{user.project}").json()["project"]
    domains = [
        user.call("GET", f"/domains/{domain}").json()["domain"]["name"]
        for domain in (
            project["domain_id"],
            user.call("GET", f"/users/{user.id}").json()["user"]["domain_id"],
        )
    ]
    regions = [region["id"] for region in user.call("GET", "/regions").json()["regions"]]
    assert [project["name"], *domains, *regions] == [
        NAMES["keystone_project_name"],
        NAMES["keystone_project_domain_name"],
        NAMES["keystone_user_domain_name"],
        NAMES["keystone_region"],
    ]


def test_missing_and_forged_tokens_are_refused(stack: Stack, token: str) -> None:
    """The answer names Keystone's URL for clients on this host."""
    forged = token[:-20] + token[-20:].swapcase()
    for headers in ({}, {"x-auth-token": "forged"}, {"x-auth-token": forged}):
        answer = httpx.get(f"{stack.url}/resource_providers", headers=headers)
        assert answer.status_code == 401
        keystone = f"http://127.0.0.1:{stack.keystone_port}"
        assert answer.headers["www-authenticate"] == f'Keystone uri="{keystone}"'


def test_reader_cannot_write_or_list(stack: Stack, reader: User) -> None:
    """The role reader shows only the usage of its own project."""
    assert status(stack, reader.token, "PUT") == 403
    with stack.client(reader.token) as client:
        assert client.get("/traits").status_code == 403
        own = client.get("/usages", params={"project_id": reader.project})
        assert own.status_code == 200


@pytest.fixture(scope="module")
def hosts(stack: Stack, cloud: dict[str, Any]) -> dict[str, str]:
    """Return the UUIDs of the providers of hosts, which Nova has as well."""
    with stack.client(User(cloud["placement"]).token) as client:
        return create_hosts(client)


@pytest.fixture(scope="module")
def nova(
    cloud: dict[str, Any],
    nova_python: Path,
    hosts: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Adapter]:
    """Serve Nova's API, add it to the catalog, and return an administrator's client of it."""
    admin, port = User(cloud["admin"]), free_port()
    admin.create(
        "endpoint",
        "/endpoints",
        service_id=admin.create("service", "/services", name="nova", type="compute")["id"],
        interface=cloud["placement"]["interface"],
        region_id=NAMES["keystone_region"],
        url=f"http://127.0.0.1:{port}/v2.1",
    )
    session = Session(Password(**cloud["admin"]["auth"]))
    options = {"interface": cloud["admin"]["interface"], "default_microversion": "2.53"}
    with nova_api(nova_python, tmp_path_factory.mktemp("nova"), port, cloud["placement"], hosts):
        yield Adapter(session, service_type="compute", **options)


CLOUDS = "dev/stack/keystone/clouds.yaml"


@pytest.fixture
def zones_file(stack: Stack, cloud: dict[str, Any], nova: Adapter) -> Iterator[Path]:
    """Write zones.yaml; after the test, neither Placement nor Nova has anything of it."""
    write_zones(stack.repository)
    path = stack.repository / "zones.yaml"
    created = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield path
    for aggregate in nova.get("/os-aggregates").json()["aggregates"]:
        change_aggregate(nova, aggregate, "remove", *aggregate["hosts"])
        nova.delete(f"/os-aggregates/{aggregate['id']}")
    path.write_text("", encoding="utf-8")
    stack.make("zones-apply", "ARGS=--yes", "OS_CLOUD=placement", f"OS_CLIENT_CONFIG_FILE={CLOUDS}")
    with stack.client(User(cloud["placement"]).token) as client:
        for kind in ("traits", "resource_classes"):
            for name in created[kind]:
                assert client.delete(f"/{kind}/{name}").status_code in (204, 404)


def change_aggregate(nova: Adapter, aggregate: dict[str, Any], action: str, *names: str) -> None:
    """Let Nova add hosts to an aggregate, or remove them."""
    for name in names:
        body = {f"{action}_host": {"host": name}}
        nova.post(f"/os-aggregates/{aggregate['id']}/action", json=body)


@pytest.mark.usefixtures("zones_file")
def test_a_cloud_has_the_zones_of_the_file(stack: Stack, hosts: dict[str, str]) -> None:
    """By URL and token, and by the name of a cloud, whose Nova lacks both aggregates."""
    # Without Nova, with the token of `make token`.
    plan = stack.try_make("zones-plan")
    assert "Plan: 4 to add, 4 to change, 0 to remove." in plan.stdout, plan.stderr
    assert "Error 2" in plan.stderr

    file = {"OS_CLIENT_CONFIG_FILE": CLOUDS}
    clouds = ("OS_CLOUD=placement", f"OS_CLIENT_CONFIG_FILE={CLOUDS}")
    applied = stack.make("zones-apply", *clouds)
    commands = [line for line in applied.splitlines() if line.startswith("  openstack ")]
    assert len(commands) == 6, applied
    assert "Applied." in applied
    check_candidates(stack.repository, hosts, "placement", file)


def test_zones_are_compared_with_nova(
    stack: Stack,
    cloud: dict[str, Any],
    hosts: dict[str, str],
    nova: Adapter,
    zones_file: Path,
    tmp_path: Path,
) -> None:
    """Nova chooses the UUIDs, and its memberships stay in Placement until Nova removes them."""
    file = zones_file
    clouds = tmp_path / "clouds.yaml"
    users = {"placement": cloud["placement"], "service": with_role(cloud["admin"], "service")}
    clouds.write_text(yaml.safe_dump({"clouds": users}), encoding="utf-8")

    def zones(*arguments: str, user: str = "placement") -> Output:
        command = [sys.executable, "-m", "entrypoint", "zones", *arguments, str(file)]
        env = {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLOUD": user}
        path = {"PYTHONPATH": str(ROOT / "template/shared")}
        return subprocess.run(
            command, env={**os.environ, **env, **path}, text=True, capture_output=True, check=False
        )

    def difference() -> tuple[list[str], list[str]]:
        """Return the commands of a plan that has some, and the warnings."""
        plan = zones("plan", "--json")
        assert plan.returncode == 2, plan.stderr
        found = json.loads(plan.stdout)
        commands = [each.removeprefix("openstack aggregate ") for each in found["nova"]]
        return commands, found["warnings"]

    def create(name: str, **zone: str) -> dict[str, Any]:
        body = {"aggregate": {"name": name, **zone}}
        created: dict[str, Any] = nova.post("/os-aggregates", json=body).json()["aggregate"]
        return created

    change = partial(change_aggregate, nova)
    kvm, containers = create("kvm"), create("containers", availability_zone="containers")
    change(kvm, "add", "compute-kvm-01", "compute-other-01")
    commands, warnings = difference()
    assert commands == [
        "set --zone kvm kvm",
        "remove host kvm compute-other-01",
        "add host kvm compute-kvm-02",
        "add host containers compute-docker-01",
        "add host containers compute-docker-02",
    ]
    for aggregate in (kvm, containers):
        text = f"Nova's aggregate {aggregate['name']} has the UUID {aggregate['uuid']}: write"
        assert [each for each in warnings if text in each]
        content = file.read_text(encoding="utf-8")
        old = yaml.safe_load(content)["zones"][aggregate["name"]]["aggregate"]["uuid"]
        file.write_text(content.replace(old, aggregate["uuid"]), encoding="utf-8")

    # Nova writes the memberships in one zone, and `apply` those in the other, before Nova does.
    change(kvm, "remove", "compute-other-01")
    change(kvm, "add", "compute-kvm-02")
    apply = zones("apply", "--yes")
    assert apply.returncode == 0, apply.stderr
    change(containers, "add", "compute-docker-01", "compute-docker-02")
    assert difference() == (["set --zone kvm kvm"], [])
    nova.put(f"/os-aggregates/{kvm['id']}", json={"aggregate": {"availability_zone": "kvm"}})
    for user, warning in (("placement", ""), ("service", "warning: Nova is not read: ")):
        plan = zones("plan", user=user)
        assert plan.stdout == "No changes: Placement matches the file.\n"
        assert plan.returncode == 0
        assert warning in plan.stderr
        assert bool(warning) == bool(plan.stderr)
    exported = yaml.safe_load(zones("export").stdout)["zones"]["containers"]
    assert exported == yaml.safe_load(file.read_text(encoding="utf-8"))["zones"]["containers"]

    moved = "compute-docker-02"
    path = f"/resource_providers/{hosts[moved]}"

    def zone_of_moved() -> tuple[set[str], list[str]]:
        """Return the traits of this host without records, and its aggregates."""
        with stack.client(User(cloud["placement"]).token) as client:
            traits = client.get(f"{path}/traits").json()["traits"]
            aggregates = client.get(f"{path}/aggregates").json()["aggregates"]
        return {name for name in traits if not name.startswith("CUSTOM_ADDED_BY_")}, aggregates

    def replace(old: str, new: str) -> None:
        content = file.read_text(encoding="utf-8")
        assert content.count(old) == 1
        file.write_text(content.replace(old, new), encoding="utf-8")

    # The file moves a host before Nova does, or names it no longer.
    in_containers = ({"CUSTOM_ZONE_CONTAINERS"}, [containers["uuid"]])
    in_kvm = ({"CUSTOM_ZONE_KVM"}, [kvm["uuid"]])
    replace(f", {moved}", "")
    replace("[compute-kvm-*]", f"[compute-kvm-*, {moved}]")
    with without_nova(cloud["admin"]):
        apply = zones("apply", "--yes")
    assert (apply.returncode, zone_of_moved()) == (1, in_containers)
    assert "placement: Nova cannot be read: " in apply.stderr
    apply = zones("apply", "--yes", user="service")
    assert (apply.returncode, zone_of_moved()) == (1, in_containers)
    assert f"`apply` would remove: {moved}. Use a user who may list Nova's" in apply.stderr

    def check_wait(aggregate: dict[str, Any], there: object, zone: str) -> None:
        """Apply has a host wait where it is, until Nova has removed it from this aggregate."""
        apply = zones("apply", "--yes")
        assert (apply.returncode, zone_of_moved()) == (0, there)
        name = aggregate["name"]
        warning = f"{moved} is in the aggregate {name}, but zones.yaml has it in {zone}: it stays"
        command = f"openstack aggregate remove host {name} {moved}"
        assert f"{warning} as it is until you run `{command}`" in apply.stderr
        assert f"  {command}\n" in apply.stdout
        change(aggregate, "remove", moved)

    def check_move(there: object) -> None:
        apply = zones("apply", "--yes")
        assert (apply.returncode, apply.stderr, zone_of_moved()) == (0, "", there)

    check_wait(containers, in_containers, "kvm")
    change(kvm, "add", moved)
    check_move(in_kvm)
    replace(f", {moved}", "")
    check_wait(kvm, in_kvm, "no zone")
    check_move((set(), []))


@contextmanager
def without_nova(cloud: dict[str, Any]) -> Iterator[None]:
    """Let the catalog name a port at which nothing answers, during the block."""
    admin = User(cloud)
    (service,) = admin.call("GET", "/services?type=compute").json()["services"]
    (endpoint,) = admin.call("GET", f"/endpoints?service_id={service['id']}").json()["endpoints"]

    def change(url: str) -> None:
        admin.call("PATCH", f"/endpoints/{endpoint['id']}", json={"endpoint": {"url": url}})

    change("http://127.0.0.1:9/v2.1")
    try:
        yield
    finally:
        change(endpoint["url"])


def test_revoked_token_is_refused_when_it_is_no_longer_cached(
    stack: Stack, cloud: dict[str, Any]
) -> None:
    """A new token is refused at once, a known one after the cache time."""
    admin = User(cloud["admin"])
    unused, used = (User(cloud["placement"]).token for _ in range(2))
    assert status(stack, used) == 200
    for token in (unused, used):
        admin.call("DELETE", "/auth/tokens", headers={"x-subject-token": token})
    assert status(stack, unused) == 401
    wait_until(lambda: status(stack, used) == 401, seconds=CACHE_TIME + 5)


def test_cached_tokens_are_encrypted(stack: Stack, token: str) -> None:
    """Memcached has Keystone's answer about a token, in an unreadable form."""
    before = cached(stack).keys()
    assert status(stack, token) == 200
    values = [value for key, value in cached(stack).items() if key not in before]
    assert [len(value) > 500 for value in values] == [True]
    for word in ("placement", "Default", "service", "roles", token):
        assert not [value for value in values if word in value]


def cached(stack: Stack) -> dict[str, str]:
    """Return all keys and values of memcached."""
    memcached = address(stack.engine, container(stack, "memcached"))
    items = send_command(memcached, "lru_crawler metadump all")
    keys = [unquote(line.split()[0].removeprefix("key=")) for line in items]
    return {key: " ".join(send_command(memcached, f"get {key}")[1:]) for key in keys}


def send_command(host: str, command: str, value: bytes | None = None) -> list[str]:
    """Return the lines of memcached's answer."""
    with socket.create_connection((host, 11211), timeout=10) as connection:
        data = b"" if value is None else value + b"\r\n"
        connection.sendall(f"{command}\r\n".encode() + data)
        with connection.makefile(encoding="latin-1") as answer:
            lines = (line.strip() for line in answer)
            return list(takewhile(lambda line: line not in ("END", "OK", "STORED"), lines))


# The folder that a planted value creates if it is unpickled.
FOLDER = "/var/lib/placement/planted"


class Call:
    """A value that creates the folder when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Return what pickle calls."""
        return os.mkdir, (FOLDER,)


# The values that memcached may hold besides bytes, by the flags of python-memcached.
PLANTED = {
    1: pickle.dumps(Call()),
    2: b"no number",
    8: zlib.compress(b"no token"),
    16: b"\xff",
}


def test_planted_values_are_not_loaded(stack: Stack, token: str) -> None:
    """Placement validates the token again, whoever has written to memcached."""
    assert status(stack, token) == 200
    memcached = address(stack.engine, container(stack, "memcached"))
    for flags, value in PLANTED.items():
        for key in cached(stack):
            send_command(memcached, f"set {key} {flags} 60 {len(value)}", value)
        assert status(stack, token) == 200
    command = ["exec", container(stack, "placement"), "/opt/placement/bin/python3", "-c"]
    script = f"import os; print(os.path.exists({FOLDER!r}))"
    found = subprocess.check_output([stack.engine, *command, script], text=True)
    assert found == "False\n"


@pytest.mark.parametrize(
    "action", [("stop", "start"), ("pause", "unpause")], ids=lambda action: action[0]
)
@pytest.mark.parametrize("service", ["keystone", "memcached"])
def test_placement_recovers_when_a_service_is_back(
    stack: Stack,
    cloud: dict[str, Any],
    service: str,
    action: tuple[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    """Placement needs no restart, and answers each request in time while the service is away."""
    take_away, bring_back = action
    new, more = (User(cloud["placement"]).token for _ in range(2))
    assert status(stack, more) == 200
    started = identity(stack)
    run_engine(stack, take_away, service)
    try:
        seconds, code = timed(stack, new)
        assert code == (503 if service == "keystone" else 200)
        assert seconds < PATIENCE
        again, _ = timed(stack, new)
        assert again < PATIENCE
    finally:
        run_engine(stack, bring_back, service)
    back = time.monotonic()
    wait_until(lambda: status(stack, new) == 200, seconds=PATIENCE)
    recovery = time.monotonic() - back
    figures = f"{code} after {seconds:.1f} s, then {again:.1f} s; good again after {recovery:.1f} s"
    if (service, take_away) == ("memcached", "stop"):
        before = cached(stack).keys()
        wait_until(
            lambda: status(stack, new) == 200 and cached(stack).keys() - before,
            seconds=DEAD_RETRY + 5,
        )
        figures += f", and cached again after {time.monotonic() - back:.1f} s"
    assert identity(stack) == started
    record_property("figures", figures)


def timed(stack: Stack, token: str) -> tuple[float, int]:
    """Return the seconds that a request took, and its status."""
    begin = time.monotonic()
    code = status(stack, token)
    return time.monotonic() - begin, code


def container(stack: Stack, service: str) -> str:
    """Return the name of a service's container, which depends on the compose engine."""
    return next(name for name in stack.containers if service in name)


def run_engine(stack: Stack, action: str, service: str) -> None:
    """Run a command of the engine on the container of a service."""
    command = [stack.engine, action, container(stack, service)]
    subprocess.run(command, check=True, capture_output=True)


def identity(stack: Stack) -> str:
    """Return values that change when the container of Placement is replaced or restarted."""
    form = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}}"
    command = [stack.engine, "inspect", "--format", form, container(stack, "placement")]
    return subprocess.check_output(command, text=True)


@pytest.mark.parametrize(("user", "lacks"), [("placement", False), ("admin", True)])
def test_smoke_test_reports_whether_a_user_may_reshape(
    user: str, lacks: bool, stack: Stack, cloud: dict[str, Any]
) -> None:
    """Nova's user needs the role service. The users of this Keystone have it, or only admin."""
    auth = {**cloud[user]["auth"], "auth_url": "http://keystone:5000/v3"}
    env = ("--env=OS_CLIENT_CONFIG_FILE=/dev/stdin", "--interactive")
    command = [stack.engine, "exec", *env, container(stack, "placement"), "/startup.sh"]
    clouds = yaml.safe_dump({"clouds": {user: {"auth": auth}}})
    printed = subprocess.check_output([*command, "smoke-test"], text=True, input=clouds)
    assert "token and database: accepted" in printed
    assert ("warning: role: the user lacks the role service" in printed) == lacks


def test_expired_token_is_accepted_only_from_a_service(
    stack: Stack, expiring_token: str, reader: User, token: str
) -> None:
    """A service that continues a user's request also sends a token with the role service."""
    longest = LIFETIME + CACHE_TIME + 5
    wait_until(lambda: status(stack, expiring_token) == 401, seconds=longest)
    assert status(stack, expiring_token, **{"x-service-token": reader.token}) == 401
    assert status(stack, expiring_token, **{"x-service-token": token}) == 200
