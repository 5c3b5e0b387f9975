"""What the container answers to clients that are hostile, slow or broken.

nginx receives each request before Placement sees it. docs/security.md states the limits.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.image.conftest import Container
from tests.support.containers import PYTHON, Run, Server, Start, logs

ADMIN = "x-auth-token: admin"
# Bytes, as in placement-nginx.conf.
LONGEST_URI, LARGEST_HEAD = 40_000, 56 * 1024
# Seconds, as in placement-nginx.conf, and the time that another client may take meanwhile.
HEAD_TIMEOUT, BODY_TIMEOUT, PROMPT = 10, 30, 1
SLOW_CLIENTS = 200
HOSTILE_REQUESTS = 3000
SECRET = "gAAAAAB-a-token"


def send(server: Server, request: str, *headers: str) -> tuple[int, str]:
    """Send a request as it is, and return the status and the body of the answer."""
    url = server.client.base_url
    lines = [f"{request} HTTP/1.1", f"host: {url.host}", "connection: close", *headers, "", ""]
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        head, _, body = connection.makefile("rb").read().decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


# ---- The URI and the headers ----


@pytest.mark.parametrize("prefix", ["", "/placement"])
def test_long_query_filters(prefix: str, default_server: Server) -> None:
    """Without nginx, uWSGI would drop the query and return everything."""
    others = ",".join(str(uuid.uuid4()) for _ in range(890))
    version = "openstack-api-version: placement 1.39"
    queries: dict[str, object] = {
        f"/resource_providers?member_of=in:{others}": {"resource_providers": []},
        f"/traits?name=in:{others}": {"traits": []},
    }
    for path, wanted in queries.items():
        status, body = send(default_server, f"GET {prefix}{path}", ADMIN, version)
        assert (status, json.loads(body)) == (200, wanted)


def test_longest_uri_is_served(default_server: Server) -> None:
    longest = "/traits?name=in:".ljust(LONGEST_URI, "a")
    version = "openstack-api-version: placement 1.39"
    assert send(default_server, f"GET {longest}", ADMIN, version) == (200, '{"traits": []}')
    for uri in (f"{longest}a", longest * 2):
        status, body = send(default_server, f"GET {uri}", ADMIN)
        assert (status, json.loads(body)["errors"][0]["status"]) == (414, 414)


@pytest.mark.parametrize(
    "headers",
    [
        [f"x-auth-token: {'a' * LARGEST_HEAD}"],
        [f"x-{number}: {'a' * 1000}" for number in range(60)],
        [f"x-{number}: a" for number in range(2000)],
    ],
    ids=["long", "together", "many"],
)
def test_large_head_is_refused(headers: list[str], default_server: Server) -> None:
    status, body = send(default_server, "GET /resource_providers", *headers)
    assert (status, json.loads(body)["errors"][0]["status"]) == (431, 431)


def test_many_headers_are_accepted(default_server: Server) -> None:
    headers = [f"x-{number}: a" for number in range(900)]
    assert send(default_server, "GET /resource_providers", ADMIN, *headers)[0] == 200


@pytest.mark.parametrize("size", [65_200, 65_400, 65_500, 65_600])
def test_token_that_does_not_fit_stays_out_of_the_log(
    size: int, default_server: Server, engine: str
) -> None:
    """Without nginx, uWSGI would log the header that exceeds its buffer."""
    path = "/resource_providers?name=".ljust(LONGEST_URI, "a")
    padding = "a" * (size - LONGEST_URI)
    send(default_server, f"GET {path}", f"x-padding: {padding}", f"x-auth-token: {SECRET}")
    assert SECRET not in logs(engine, default_server.name)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("good@evil", 400),
        ("a:b:c", 400),
        ('a"><b>', 400),
        ("\x9b31m", 400),
        ("placement.example.com:8778", 201),
        ("my_placement", 201),
        ("[fd00::1]:8778", 201),
    ],
)
def test_host_of_links_is_a_host(host: str, status: int, default_server: Server) -> None:
    url = default_server.client.base_url
    name = f"provider-{uuid.uuid4()}"
    answer = default_server.client.post(
        "/resource_providers",
        json={"name": name},
        headers=httpx.Headers([(b"host", host.encode("latin-1"))]),
    )
    assert answer.status_code == status
    if status == 201:
        path = answer.headers["location"].removeprefix(f"{url.scheme}://{host}")
        assert path.startswith("/resource_providers/")
        assert default_server.client.delete(path).status_code == 204


def test_log_of_nginx_has_no_control_character(default_server: Server, engine: str) -> None:
    for referrer in ("\x1b[31mX", "\x1b]0;X\x07", "a\tb", "\x9b31m"):
        header = f"referer: {referrer}"
        with default_server.open_request("POST /", header, size=600_000) as connection:
            assert connection.recv(65536).split()[1] in (b"400", b"413")
    assert not re.search(r"[^\n -~]", logs(engine, default_server.name))


# ---- The path ----


OTHER_PATHS = {
    "/resource_providers/${uwsgi[pid]}": 404,
    "/${HTTP_X}": 404,
    "/resource_providers%00": 400,
    "/resource_providers%0a": 400,
    "/resource_providers%7F": 400,
    "/resource_providers%2f": 404,
    "/x/../resource_providers": 404,
    "/x/%2e%2e/resource_providers": 404,
    "/./resource_providers": 404,
    "//resource_providers": 404,
    "/resource_providers;x": 404,
    "/resource_providers%": 400,
    "/Resource_Providers": 404,
}


@pytest.mark.parametrize("prefix", ["", "/placement"])
@pytest.mark.parametrize("path", OTHER_PATHS)
def test_other_path_is_not_served_as_the_list(
    path: str, prefix: str, default_server: Server
) -> None:
    """A proxy's rules for paths see the path that Placement serves."""
    found = send(default_server, f"GET {prefix}{path}", ADMIN, "x: resource_providers")
    assert found[0] == OTHER_PATHS[path]


def test_escaped_path_is_served(default_server: Server) -> None:
    for path in ("/placement/%72esource_providers", "/%72esource_providers?name=%41"):
        assert send(default_server, f"GET {path}", ADMIN)[0] == 200


def test_header_that_only_looks_like_another_is_dropped(default_server: Server) -> None:
    assert send(default_server, "GET /resource_providers", "x_auth_token: admin")[0] == 401


def test_surplus_request_is_not_part_of_the_first(default_server: Server) -> None:
    """Content-Length and Transfer-Encoding together are how a request is smuggled."""
    smuggling = ("content-length: 4", "transfer-encoding: chunked")
    assert send(default_server, "POST /resource_providers", ADMIN, *smuggling)[0] == 400


MEMORY = """
from pathlib import Path
status = [path.read_text() for path in Path("/proc").glob("[0-9]*/status")]
lines = [line.split() for text in status for line in text.splitlines()]
print(sum(int(words[1]) for words in lines if words[0] == "VmRSS:"))
"""


def test_hostile_requests_do_not_use_up_memory(start: Start, newest: str, engine: str) -> None:
    server = start(newest)
    container = Container(engine, server.name)
    long = "a" * LONGEST_URI
    paths = [*OTHER_PATHS, f"/{long}", f"/{long}a", f"/traits?name=in:{long}"[:LONGEST_URI]]

    def attack(count: int) -> int:
        """Send requests, and return the memory of all processes in kB."""
        with ThreadPoolExecutor(4) as pool:
            attacks = (f"GET {paths[number % len(paths)]}" for number in range(count))
            list(pool.map(lambda request: send(server, request, ADMIN), attacks))
        return int(container.python(MEMORY))

    before = attack(HOSTILE_REQUESTS // 3)
    assert attack(HOSTILE_REQUESTS * 2 // 3) < before + 10_000


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTX/1.1", 400),
        ("TRACE / HTTP/1.1", 405),
        ("GET / HTTP/3.0", 505),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip", 501),
    ],
)
def test_errors_of_nginx_are_json(request_line: str, status: int, default_server: Server) -> None:
    url = default_server.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall(f"{request_line}\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
        body = connection.makefile("rb").read().decode().rpartition("\r\n")[2]
    assert json.loads(body)["errors"][0]["status"] == status


# ---- Connections ----


def test_connection_is_kept(default_server: Server) -> None:
    url = default_server.client.base_url
    request = f"GET / HTTP/1.1\r\nhost: {url.host}\r\n\r\n".encode()
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        for _ in range(3):
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


async def be_slow(server: Server, head: bytes, interval: float | None) -> float:
    """Send a byte at each interval, and return the seconds until the connection closes."""
    url = server.client.base_url
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head)
    while True:
        try:
            async with asyncio.timeout(interval):
                await reader.read()
                break
        except TimeoutError:
            if time.monotonic() - started > BODY_TIMEOUT + 2:
                break
            writer.write(b"a")
        except ConnectionError:
            break
    writer.close()
    return time.monotonic() - started


async def slowest_answer(server: Server, seconds: float) -> float:
    """Send requests for some time, and return the seconds of the slowest."""
    slowest, end = 0.0, time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=server.client.base_url, timeout=60) as client:
        while (started := time.monotonic()) < end:
            assert (await client.get("/")).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.1)
    return slowest


def test_slow_clients_delay_nobody(start: Start, newest: str, engine: str) -> None:
    server = start(newest)
    head = b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: "
    body = (
        b"POST /resource_providers HTTP/1.1\r\nhost: a\r\nx-auth-token: admin\r\n"
        b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
    )
    kinds = [(head, 2.5), (head, None), (body, None), (body, 2.5)]

    async def attack() -> tuple[float, list[float]]:
        clients = [be_slow(server, *kinds[n % len(kinds)]) for n in range(SLOW_CLIENTS)]
        slowest, *ends = await asyncio.gather(slowest_answer(server, BODY_TIMEOUT + 2), *clients)
        return slowest, ends

    slowest, ends = asyncio.run(attack())
    assert slowest < PROMPT
    limits = [HEAD_TIMEOUT, HEAD_TIMEOUT, BODY_TIMEOUT]
    for kind, limit in enumerate(limits):
        for seconds in ends[kind :: len(kinds)]:
            assert limit - 1 < seconds < limit + 3
    refused = logs(engine, server.name).count(" status: 408 ")
    assert refused == SLOW_CLIENTS * len(limits) // len(kinds)


CONNECT = """
import http.client, sys
for host in sys.argv[1:]:
    connection = http.client.HTTPConnection(host, 8778)
    connection.request("GET", "/")
    print(connection.getresponse().status)
"""


def from_inside(server: Server, run: Run, image: str, *hosts: str) -> list[str]:
    """Return the statuses of requests from within the container's network."""
    options = (f"--network=container:{server.name}", PYTHON)
    return run(image, "-c", CONNECT, *hosts, options=options).stdout.split()


@pytest.mark.parametrize("ipv6_is_off", [False, True])
def test_both_address_families_are_served(
    ipv6_is_off: bool, start: Start, newest: str, run: Run
) -> None:
    options = (f"--sysctl=net.ipv6.conf.all.disable_ipv6={int(ipv6_is_off)}",)
    server = start(newest, options=options)
    hosts = ["127.0.0.1"] if ipv6_is_off else ["127.0.0.1", "::1"]
    assert from_inside(server, run, newest, *hosts) == ["200"] * len(hosts)
