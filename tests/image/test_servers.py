"""The two servers in the container, nginx and uWSGI: TLS, reload, and the end of either of them."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from tests.image.conftest import Container, RunInBackground
from tests.image.test_bad_input import NOAUTH, refusal
from tests.support.certificates import self_signed
from tests.support.containers import Run, Server, Start, logs, readable
from tests.support.waiting import wait_until

READY = "spawned uWSGI worker 1 "
# Send a signal to the children of process 1 that run a program.
SIGNAL = """
import os, pathlib, sys
program, number = sys.argv[1], int(sys.argv[2])
for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
    _, name, _, parent, *_ = stat.read_text().split()
    if name == f"({program})" and parent == "1":
        os.kill(int(stat.parent.name), number)
"""
TLS = {"TLS_CERT": "/tls/current/tls.crt", "TLS_KEY": "/tls/current/tls.key"}


@contextmanager
def requests(server: Server) -> Iterator[list[httpx.Response | httpx.TransportError]]:
    """Send requests over kept connections during the block, and return what comes back."""
    results: list[httpx.Response | httpx.TransportError] = []
    is_over = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=server.client.base_url, timeout=60) as client:
            while not is_over.is_set():
                try:
                    results.append(client.get("/"))
                except httpx.TransportError as error:
                    results.append(error)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(send)
        try:
            yield results
        finally:
            is_over.set()


def test_reload_loses_no_request(start: Start, newest: str, engine: str) -> None:
    server = start(newest)
    container = Container(engine, server.name)
    with requests(server) as results:
        container.python("import os; os.kill(1, 1)")
        container.wait_for("gracefully .RE.spawned")
        before = len(results)
        wait_until(lambda: len(results) > before + 50, lambda: logs(engine, server.name))
    assert {getattr(result, "status_code", result) for result in results} == {200}


@pytest.mark.parametrize("program", ["nginx", "uwsgi"])
def test_container_ends_with_either_server(
    program: str, background: RunInBackground, engine: str
) -> None:
    container = background({"DB_SYNC": "True"})
    container.wait_for(READY)
    container.python(SIGNAL, program, "9")
    assert container.wait_for_end() != 0


# Send SIGTERM to process 1 when uWSGI ignores this signal.
TERMINATE = """
import os, pathlib, signal, time
end = time.monotonic() + 10
while time.monotonic() < end:
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\\t", 1) for line in status.read_text().splitlines())
        except OSError:
            continue
        ignored = int(lines["SigIgn"], 16) & 1 << signal.SIGTERM - 1
        if lines["Name"] == "uwsgi" and lines["PPid"].strip() == "1" and ignored:
            os.kill(1, signal.SIGTERM)
            raise SystemExit
raise SystemExit("uWSGI never ignored SIGTERM")
"""


@pytest.mark.parametrize("is_reload", [False, True])
def test_sigterm_that_uwsgi_ignores_is_repeated(
    is_reload: bool, background: RunInBackground
) -> None:
    # On a busy machine, the program may begin too late to see uWSGI start.
    for attempt in Retrying(
        stop=stop_after_attempt(5), retry=retry_if_exception_type(subprocess.CalledProcessError)
    ):
        with attempt:
            container = background({"DB_SYNC": "True"})
            if is_reload:
                container.wait_for(READY)
                container.python("import os; os.kill(1, 1)\n" + TERMINATE)
            else:
                container.python(TERMINATE)
    assert container.wait_for_end() in (0, 143)


def test_two_containers_cannot_share_tmp(start: Start, newest: str, run: Run, volume: str) -> None:
    options = (f"--volume={volume}:/tmp",)
    server = start(newest, options=(*options, "--user=0"))
    line = refusal(run(newest, env=NOAUTH | {"PORT": "8778"}, options=(*options, "--user=0")))
    assert "another container serves with its files in" in line
    assert server.client.get("/").status_code == 200


def test_application_that_cannot_be_loaded_ends_the_container(background: RunInBackground) -> None:
    container = background({})
    assert container.wait_for_end() == 1


# ---- TLS ----


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two certificates, as Kubernetes mounts them: behind a link that it replaces."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("old", "new"):
        self_signed(folder / name, name)
    (folder / "current").symlink_to("old")
    return readable(folder)


def served_certificate(server: Server) -> str:
    """Return the certificate that a new connection gets."""
    url = server.client.base_url
    return ssl.get_server_certificate((url.host, url.port or 443))


def test_renewed_certificate_is_served_without_a_lost_request(
    start: Start, newest: str, tls: Path
) -> None:
    server = start(newest, TLS, (f"--volume={tls}:/tls:ro",), scheme="https")
    assert served_certificate(server) == (tls / "old/tls.crt").read_text()
    statuses, end = set(), time.monotonic() + 2
    while time.monotonic() < end:
        if time.monotonic() > end - 1 and (tls / "current").readlink() == Path("old"):
            (tls / "next").symlink_to("new")
            (tls / "next").rename(tls / "current")
        with httpx.Client(base_url=server.client.base_url, verify=False) as client:  # noqa: S501
            statuses.add(client.get("/").status_code)
    assert statuses == {200}
    assert served_certificate(server) == (tls / "new/tls.crt").read_text()


def test_links_and_the_smoke_test_use_https(
    start: Start, newest: str, tls: Path, engine: str
) -> None:
    server = start(newest, TLS, (f"--volume={tls}:/tls:ro",), scheme="https")
    created = server.client.post("/resource_providers", json={"name": "a"})
    assert created.headers["location"].startswith("https://")
    smoke_test = [engine, "exec", server.name, "/startup.sh", "smoke-test"]
    printed = subprocess.check_output(smoke_test, stderr=subprocess.STDOUT, text=True)
    assert "token and database: accepted" in printed
    assert "Warning" not in printed


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"TLS_CERT": "/tls/old/tls.crt"}, "TLS_CERT is set, but TLS_KEY is not: set both"),
        ({"TLS_KEY": "/tls/old/tls.key"}, "TLS_KEY is set, but TLS_CERT is not: set both"),
        ({"TLS_CERT": "/tls/old/tls.crt", "TLS_KEY": "/none"}, "TLS_KEY=/none cannot be used: "),
        ({"TLS_CERT": "/tls/old/tls.crt", "TLS_KEY": "/tls/new/tls.key"}, "cannot be used: "),
    ],
)
def test_unusable_certificate_is_refused(
    env: dict[str, str], message: str, run: Run, newest: str, tls: Path
) -> None:
    options = (f"--volume={tls}:/tls:ro",)
    assert message in refusal(run(newest, "check-config", env=NOAUTH | env, options=options))


# ---- The folder of the servers' files ----


def test_read_only_container_without_tmp_is_refused(run: Run, newest: str) -> None:
    options = ("--read-only", "--read-only-tmpfs=false")
    line = refusal(run(newest, env=NOAUTH | {"PORT": "8778"}, options=options))
    assert "cannot be written: Read-only file system. Mount a writable folder at /tmp" in line
