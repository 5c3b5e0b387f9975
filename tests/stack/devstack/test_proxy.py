"""The container alongside a host that is set up like devstack's.

MariaDB, memcached, Keystone and Apache share one address. Placement finds the first three through
the placement.conf that devstack wrote, and Apache serves /identity and /placement.
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
# The passwords in the sample's local.conf.
DATABASE_PASSWORD, SERVICE_PASSWORD = "stackdb", "nomoresecret"
APACHE = f"""
FROM {BASE_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends apache2 \\
    && rm -rf /var/lib/apt/lists/* && mkdir -p /run/apache2 \\
    && a2enmod proxy_http proxy_balancer lbmethod_byrequests
ENTRYPOINT ["sh", "-c", ". /etc/apache2/envvars && exec apache2 -D FOREGROUND"]
"""
# Like devstack's own site for Keystone, which uses uWSGI's protocol over a socket instead.
IDENTITY = 'ProxyPass "/identity" "http://127.0.0.1:5000" retry=0 acquire=1\n'


# The options of docs/devstack.md for Podman, and DB_SYNC because this database is empty.
RUN = (
    "--publish=127.0.0.1::80",
    "--sysctl=net.ipv4.ip_unprivileged_port_start=0",
    "--env=DB_SYNC=True",
)


class Site(NamedTuple):
    """The URL of Apache, and a token."""

    url: str
    token: str

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request to Placement through Apache."""
        headers = {"x-auth-token": self.token, **more.pop("headers", {})}
        url = f"{self.url}/placement{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **more)


@contextmanager
def container(engine: str, image: str, *options: object) -> Iterator[str]:
    """Run a container while the block runs."""
    name = new_name()
    try:
        succeed(engine, "run", "--detach", "--name", name, *options, image)
        yield name
    finally:
        remove(engine, name)


def eventually(what: Callable[[], Any], errors: type[Exception]) -> Any:
    """Call the function until it raises no such error, and return its result."""
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
        """Log in as soon as Keystone answers."""
        self.url = f"http://{host}:5000/v3"
        token = eventually(lambda: self.token("admin", "admin"), httpx.HTTPError)
        self.headers = {"x-auth-token": token}

    def token(self, user: str, project: str) -> str:
        """Return a token for a user with the sample's password."""
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

    def request(self, method: str, path: str, **body: Any) -> Any:
        """Send a request and return the content of the answer."""
        answer = httpx.request(
            method, f"{self.url}{path}", json=body or None, headers=self.headers, timeout=30
        ).raise_for_status()
        return answer.json() if answer.content else None

    def set_up(self, public: str) -> str:
        """Register what devstack registers: one public endpoint, and the service's user."""
        (service,) = self.request("GET", "/services")["services"]
        for endpoint in self.request("GET", "/endpoints")["endpoints"]:
            self.request("DELETE", f"/endpoints/{endpoint['id']}")
        endpoint = {"interface": "public", "url": public, "region_id": "RegionOne"}
        self.request("POST", "/endpoints", endpoint={**endpoint, "service_id": service["id"]})
        project = self.request("POST", "/projects", project={"name": "service"})["project"]
        account = {"name": "placement", "password": SERVICE_PASSWORD}
        user = self.request("POST", "/users", user=account)["user"]
        for role in self.request("GET", "/roles")["roles"]:
            if role["name"] in ("admin", "service"):
                self.request(
                    "PUT", f"/projects/{project['id']}/users/{user['id']}/roles/{role['id']}"
                )
        return self.token("placement", "service")


@pytest.fixture(scope="session")
def apache(engine: str, once: Once) -> str:
    """Build an image of Debian's Apache with the modules that docs/devstack.md enables."""
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
    """Start the host's services, then Placement with the env-file of `make devstack-env`."""
    files = tmp_path_factory.mktemp("devstack")
    with ExitStack() as stack:

        def start(image: str, *options: object) -> str:
            return stack.enter_context(container(engine, image, *options))

        database = start(dev_image("mariadb"), f"--env=DATABASE_ADMIN_PASSWORD={DATABASE_PASSWORD}")
        host = address(engine, database)
        on_host = f"--network=container:{database}"
        start(dev_image("memcached"), on_host)
        public = f"http://{host}/identity"
        start(
            dev_image("keystone"), on_host, f"--env=KEYSTONE_ADMIN_PASSWORD={SERVICE_PASSWORD}",
            "--env=KEYSTONE_REGION=RegionOne", f"--env=OS_DEFAULT__PUBLIC_ENDPOINT={public}",
        )  # fmt: skip
        create = "CREATE DATABASE placement CHARACTER SET utf8mb3"
        client = (engine, "exec", "--user=root", database, "mariadb", "--execute", create)
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
        eventually(lambda: site.request("GET", "/").raise_for_status(), httpx.HTTPError)
        yield site


def test_all_gabbits_pass_through_apache(site: Site, gabbi: Gabbi, render: Render) -> None:
    """They use a token of the host's Keystone."""
    gabbits = sorted((render({}) / "gabbits").glob("*.yaml"))
    run = gabbi(f"{site.url}/placement", *gabbits, env={**new_run(), "TOKEN": site.token})
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output[-5000:]


def test_request_without_a_token_is_refused_with_keystones_address(site: Site) -> None:
    refused = site.request("GET", "/resource_providers", headers={"x-auth-token": "wrong"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == f'Keystone uri="{site.url}/identity"'


def test_tokens_are_cached_in_memcached(site: Site) -> None:
    """In the host's memcached, which placement.conf has on localhost."""
    for _ in range(2):
        site.request("GET", "/resource_providers").raise_for_status()
    with socket.create_connection((urlsplit(site.url).hostname, 11211), timeout=5) as memcached:
        memcached.sendall(b"stats\r\nquit\r\n")
        with memcached.makefile() as answer:
            stats = answer.read()
    assert int(re.findall(r"STAT get_hits (\d+)", stats)[0]) > 0, stats


def created_at(site: Site, **request: Any) -> str:
    """Create a provider, delete it at the URL of the answer, and return that URL."""
    answer = site.request("POST", "/resource_providers", **request)
    assert answer.status_code == 201, answer.text
    url = answer.headers["location"]
    path = urlsplit(url).path.removeprefix("/placement")
    assert site.request("DELETE", path).status_code == 204
    return str(url)


def test_location_has_the_host_name_of_the_request(site: Site) -> None:
    """It also has the prefix, and the scheme that a TLS proxy reports."""
    headers = {"host": "cloud.example:8443", "x-forwarded-proto": "https"}
    url = created_at(site, json={"name": "located"}, headers=headers)
    assert url.startswith("https://cloud.example:8443/placement/resource_providers/")


def test_chunked_bodies_are_accepted(site: Site) -> None:
    """Apache collects the chunks, and the container gets a body with a length."""

    def body() -> Iterator[bytes]:
        yield from (b'{"name":', *[b" " * 10000] * 20, b'"chunked"}')

    created_at(site, content=body(), headers={"content-type": "application/json"})


def test_persistent_connections_to_apache_lose_no_request(site: Site) -> None:
    """The container closes its connections to Apache after each answer."""
    with httpx.Client(base_url=site.url, headers={"x-auth-token": site.token}) as client:
        url = "/placement/resource_providers"
        assert {client.get(url).status_code for _ in range(200)} == {200}


def test_only_placements_path_is_forwarded(site: Site) -> None:
    """Apache answers other paths itself."""
    answers = [
        httpx.get(f"{site.url}/{path}") for path in ("placement", "placement/", "placements")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404]
