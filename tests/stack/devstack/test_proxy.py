"""The whole of it: a host laid out as devstack lays it out, and the container beside it.

One address has MariaDB, memcached, Keystone and Apache; the first three are known to Placement by
what devstack wrote into placement.conf, and Apache serves /identity and /placement.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.stack.devstack.conftest import ADDRESS, SAMPLES, DevstackEnv
from tests.support.containers import new_name, remove, succeed
from tests.support.gabbi import Gabbi, new_run
from tests.support.servers import BASE_IMAGE, DevImage, address
from tests.support.sharing import Once
from tests.support.template import Render

pytestmark = pytest.mark.xdist_group("devstack-proxy")

SAMPLE = SAMPLES / "2026-mysql"
# Of the sample's local.conf.
DATABASE_PASSWORD, SERVICE_PASSWORD = "stackdb", "nomoresecret"
APACHE = f"""
FROM {BASE_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends apache2 \\
    && rm -rf /var/lib/apt/lists/* && mkdir -p /run/apache2 \\
    && a2enmod proxy_http proxy_balancer lbmethod_byrequests
ENTRYPOINT ["sh", "-c", ". /etc/apache2/envvars && exec apache2 -D FOREGROUND"]
"""
# What devstack's own site for Keystone does; that speaks uWSGI's protocol through a socket.
IDENTITY = 'ProxyPass "/identity" "http://127.0.0.1:5000" retry=0 acquire=1\n'


# docs/devstack.md's way to run it with Podman; this database has no tables yet.
RUN = (
    "--publish=127.0.0.1::80",
    "--sysctl=net.ipv4.ip_unprivileged_port_start=0",
    "--env=DB_SYNC=True",
)


class Site(NamedTuple):
    """Where Apache answers, and with what token."""

    url: str
    token: str

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask Placement through Apache."""
        headers = {"x-auth-token": self.token, **more.pop("headers", {})}
        url = f"{self.url}/placement{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **more)


@contextmanager
def container(engine: str, image: str, *options: object) -> Iterator[str]:
    """Start a container and remove it in the end."""
    name = new_name()
    try:
        succeed(engine, "run", "--detach", "--name", name, *options, image)
        yield name
    finally:
        remove(engine, name)


def eventually(what: Callable[[], Any], errors: type[Exception]) -> Any:
    """Return what is returned once there is no such error any more."""
    waiting = Retrying(
        stop=stop_after_delay(60),
        wait=wait_fixed(0.3),
        retry=retry_if_exception_type(errors),
        reraise=True,
    )
    return waiting(what)


class Keystone:
    """Keystone's API, as its administrator."""

    def __init__(self, host: str) -> None:
        """Log in once it is there."""
        self.url = f"http://{host}:5000/v3"
        token = eventually(lambda: self.token("admin", "admin"), httpx.HTTPError)
        self.headers = {"x-auth-token": token}

    def token(self, user: str, project: str) -> str:
        """Return a token for a user of the sample's password."""
        domain = {"id": "default"}
        known = {"name": user, "domain": domain, "password": SERVICE_PASSWORD}
        identity = {"methods": ["password"], "password": {"user": known}}
        scope = {"project": {"name": project, "domain": domain}}
        answer = httpx.post(
            f"{self.url}/auth/tokens",
            json={"auth": {"identity": identity, "scope": scope}},
            timeout=30,
        )
        return str(answer.raise_for_status().headers["x-subject-token"])

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Return the answer's content."""
        answer = httpx.request(
            method, f"{self.url}{path}", json=body or None, headers=self.headers, timeout=30
        ).raise_for_status()
        return answer.json() if answer.content else None

    def set_up(self, public: str) -> str:
        """Register what devstack does: the public endpoint alone, and the service's user."""
        (service,) = self.ask("GET", "/services")["services"]
        for endpoint in self.ask("GET", "/endpoints")["endpoints"]:
            self.ask("DELETE", f"/endpoints/{endpoint['id']}")
        endpoint = {"interface": "public", "url": public, "region_id": "RegionOne"}
        self.ask("POST", "/endpoints", endpoint={**endpoint, "service_id": service["id"]})
        project = self.ask("POST", "/projects", project={"name": "service"})["project"]
        made = {"name": "placement", "password": SERVICE_PASSWORD}
        user = self.ask("POST", "/users", user=made)["user"]
        for role in self.ask("GET", "/roles")["roles"]:
            if role["name"] in ("admin", "service"):
                self.ask("PUT", f"/projects/{project['id']}/users/{user['id']}/roles/{role['id']}")
        return self.token("placement", "service")


@pytest.fixture(scope="session")
def apache(engine: str, once: Once) -> str:
    """Build Debian's Apache with the modules that docs/devstack.md names."""
    name = "localhost/placement-test-apache"

    def build() -> None:
        command = [engine, "build", "--tag", name, "-"]
        subprocess.run(command, input=APACHE, text=True, check=True, capture_output=True)

    once("apache", build)
    return name


@pytest.fixture(scope="module")
def site(
    engine: str, newest: str, dev_image: DevImage, apache: str, render: Render,
    devstack_env: DevstackEnv, tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:  # fmt: skip
    """Start the host's services, then Placement with the env-file made from the host's files."""
    files = tmp_path_factory.mktemp("devstack")
    with ExitStack() as stack:

        def start(image: str, *options: object) -> str:
            return stack.enter_context(container(engine, image, *options))

        database = start(dev_image("mariadb"), "--env=DATABASE_PASSWORD=not-used")
        host = address(engine, database)
        on_host = f"--network=container:{database}"
        start(dev_image("memcached"), on_host)
        public = f"http://{host}/identity"
        start(
            dev_image("keystone"), on_host, f"--env=KEYSTONE_ADMIN_PASSWORD={SERVICE_PASSWORD}",
            "--env=KEYSTONE_REGION=RegionOne", f"--env=OS_DEFAULT__PUBLIC_ENDPOINT={public}",
        )  # fmt: skip
        grant = f"GRANT ALL ON *.* TO root@'%' IDENTIFIED BY '{DATABASE_PASSWORD}'"
        client = (engine, "exec", "--user=root", database, "mariadb", "--execute", grant)
        eventually(lambda: succeed(*client), AssertionError)

        repository = shutil.copytree(render({}), files / "repository", symlinks=True)
        conf = files / "placement.conf"
        conf.write_text((SAMPLE / "placement.conf").read_text().replace(ADDRESS, host))
        given = {"PLACEMENT_CONF": conf, "LOCAL_CONF": SAMPLE / "local.conf", "HOST_IP": host}
        written = devstack_env(repository, **given)
        assert written.returncode == 0, written.stderr
        placement = start(newest, f"--env-file={repository}/devstack/placement.env", *RUN)

        snippet = (repository / "devstack/placement-api.conf").read_text()
        assert snippet.count("127.0.0.1:8081") == 1
        snippet = snippet.replace("127.0.0.1:8081", f"{address(engine, placement)}:80")
        sites = {"placement-api.conf": snippet, "keystone-api.conf": IDENTITY}
        for name, text in sites.items():
            (files / name).write_text(text)
        folder = "/etc/apache2/sites-enabled"
        start(apache, on_host, *(f"--volume={files}/{name}:{folder}/{name}:ro" for name in sites))
        site = Site(f"http://{host}", Keystone(host).set_up(public))
        eventually(lambda: site.ask("GET", "/").raise_for_status(), httpx.HTTPError)
        yield site


def test_gabbits_pass(site: Site, gabbi: Gabbi, render: Render) -> None:
    """All of them, with a token of that Keystone."""
    gabbits = sorted((render({}) / "gabbits").glob("*.yaml"))
    run = gabbi(f"{site.url}/placement", *gabbits, env={**new_run(), "TOKEN": site.token})
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output[-5000:]


def test_token_is_asked_for(site: Site) -> None:
    """Who has none is told where Keystone is."""
    refused = site.ask("GET", "/resource_providers", headers={"x-auth-token": "wrong"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == f'Keystone uri="{site.url}/identity"'


def test_tokens_are_cached_in_memcached(site: Site) -> None:
    """The one of the host, which placement.conf has on localhost."""
    for _ in range(2):
        site.ask("GET", "/resource_providers").raise_for_status()
    with socket.create_connection((urlsplit(site.url).hostname, 11211), timeout=5) as memcached:
        memcached.sendall(b"stats\r\nquit\r\n")
        with memcached.makefile() as answer:
            stats = answer.read()
    assert int(re.findall(r"STAT get_hits (\d+)", stats)[0]) > 0, stats


def created(site: Site, **request: Any) -> str:
    """Create a provider, remove it by the URL that the answer names, and return that URL."""
    answer = site.ask("POST", "/resource_providers", **request)
    assert answer.status_code == 201, answer.text
    url = answer.headers["location"]
    path = urlsplit(url).path.removeprefix("/placement")
    assert site.ask("DELETE", path).status_code == 204
    return str(url)


def test_location_is_where_the_client_asked(site: Site) -> None:
    """By its name, under the prefix, and with the scheme that a proxy for TLS has seen."""
    headers = {"host": "cloud.example:8443", "x-forwarded-proto": "https"}
    url = created(site, json={"name": "located"}, headers=headers)
    assert url.startswith("https://cloud.example:8443/placement/resource_providers/")


def test_bodies_in_chunks_of_any_length(site: Site) -> None:
    """Apache knows what the container does not: where a body without a length ends."""

    def body() -> Iterator[bytes]:
        yield from (b'{"name":', *[b" " * 10000] * 20, b'"chunked"}')

    created(site, content=body(), headers={"content-type": "application/json"})


def test_connections_kept_to_apache_lose_no_request(site: Site) -> None:
    """The container closes its own after each answer."""
    with httpx.Client(base_url=site.url, headers={"x-auth-token": site.token}) as client:
        url = "/placement/resource_providers"
        assert {client.get(url).status_code for _ in range(200)} == {200}


def test_only_that_path_is_passed_on(site: Site) -> None:
    """The rest of the host is as it was."""
    answers = [
        httpx.get(f"{site.url}/{path}") for path in ("placement", "placement/", "placements")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404]
