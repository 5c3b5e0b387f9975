"""The variables of the container's contract, and how the container serves and stops."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.image.conftest import RunInBackground, exit_code
from tests.support.batch import Case, RunBatch
from tests.support.containers import (
    NEWEST,
    PORT,
    PYTHON,
    Run,
    Server,
    Start,
    logs,
    readable,
    wait_until_ready,
)
from tests.support.servers import address
from tests.support.template import Render

DATABASE = "OS_PLACEMENT_DATABASE__CONNECTION"
# Seconds for a stop: less than the 20 after which the engine sends SIGKILL.
STOPS = 15
LOW_PORTS = "--sysctl=net.ipv4.ip_unprivileged_port_start=0"
# How the chart runs a container.
RESTRICTED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def test_placedocks_two_commands(
    engine: str,
    image: Callable[[str], str],
    render: Render,
    container_name: Callable[[], str],
) -> None:
    """Both commands of placedock's readme, and the request that it sends with curl."""
    image(NEWEST)  # so that the base image and all layers exist
    repository = render({"release": NEWEST})
    command = [engine, "build", "-t", "placedock", "."]
    with kept_tag(engine, "placedock"):
        subprocess.run(command, cwd=repository, check=True)
        run_placedock(engine, container_name())


@contextmanager
def kept_tag(engine: str, tag: str) -> Iterator[None]:
    """Let the block use a tag, and restore the tag's image afterwards."""
    before = subprocess.check_output([engine, "images", "--quiet", "--no-trunc", tag], text=True)
    try:
        yield
    finally:
        if before:
            subprocess.run([engine, "tag", before.split()[0], tag], check=True)
        else:
            subprocess.run([engine, "rmi", "--force", tag], capture_output=True, check=True)


def run_placedock(engine: str, name: str) -> None:
    """Run the image placedock as in its readme, and send it requests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The test adds -d and the name. Podman forbids low ports to users, Docker does not.
    command = [engine, "run", "-d", "--name", name, *([LOW_PORTS] if engine == "podman" else [])]
    command += ["-t", "-p", f"127.0.0.1:{port}:80", "-e", "DB_SYNC=True"]
    command += ["-e", "OS_API__AUTH_STRATEGY=noauth2", "placedock"]
    subprocess.run(command, check=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(engine, name, client)
        assert client.get("/").json()["versions"][0]["status"] == "CURRENT"
        assert client.get("/resource_providers").status_code == 401
        found = client.get("/resource_providers", headers={"x-auth-token": "admin"})
        assert found.json() == {"resource_providers": []}
    subprocess.run([engine, "rm", "--force", name], capture_output=True, check=True)


def test_restricted_container_serves_without_logging_probes(
    engine: str, newest: str, start: Start, volume: str
) -> None:
    server = start(newest, options=(*RESTRICTED, f"--volume={volume}:/var/lib/placement"))
    assert server.client.post("/resource_providers", json={"name": "a"}).status_code == 201
    log = logs(engine, server.name)
    assert '"POST /resource_providers" status: 201' in log
    assert '"GET /" status: 200' not in log


def test_data_stays_in_the_volume(newest: str, start: Start, volume: str, engine: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    first = start(newest, options=options)
    first.client.post("/resource_providers", json={"name": "kept"})
    subprocess.run([engine, "stop", first.name], capture_output=True, check=True)
    second = start(newest, options=options)
    found = second.client.get("/resource_providers").json()["resource_providers"]
    assert [provider["name"] for provider in found] == ["kept"]


def test_variable_sets_an_option(newest: str, start: Start) -> None:
    server = start(newest, {"OS_CORS__ALLOWED_ORIGIN": "https://horizon.example.com"})
    answer = server.client.get("/", headers={"origin": "https://horizon.example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://horizon.example.com"


def test_file_is_read_literally_and_a_variable_is_not(run_batch: RunBatch) -> None:
    """A $ in a file is a $, whatever ends the line; in a variable, $$ stands for one $."""
    folder = "sqlite:///{folder}"
    in_file = {f"{DATABASE}_FILE": "{folder}/connection"}
    literal = ["a$b$$c.db", "a$b$$c.db.lock"]
    cases = {
        repr(newline): Case(("db-sync",), in_file, {"connection": f"{folder}/a$b$$c.db{newline}"})
        for newline in ("", "\n", "\r\n")
    }
    cases["variable"] = Case(("db-sync",), {DATABASE: f"{folder}/a$$b.db"})
    outcomes = run_batch(cases)
    for name, outcome in outcomes.items():
        assert outcome.returncode == 0, outcome.stderr
        wanted = ["a$b.db", "a$b.db.lock"] if name == "variable" else literal
        assert [file for file in outcome.files if ".db" in file] == wanted


def test_parts_of_a_database_url_without_a_host_are_ignored(run_batch: RunBatch) -> None:
    """The chart always sets the backend."""
    env = {
        "OS_API__AUTH_STRATEGY": "noauth2",
        DATABASE: "mysql+pymysql://placement@db/placement",
        "DATABASE_BACKEND": "mysql",
        "DATABASE_USER": "placement",
        "DATABASE_FLAVOR": "mysql",
    }
    result = run_batch({"case": Case(("check-config",), env)})["case"]
    assert result.returncode == 0, result.stderr
    assert "ignored, because DATABASE_HOST is not set: DATABASE_USER\n" in result.stdout
    assert "no such setting: DATABASE_FLAVOR\n" in result.stdout


def test_files_may_set_the_auth_strategy(run_batch: RunBatch) -> None:
    """Which further options exist depends on these two."""
    env = {
        "OS_API__AUTH_STRATEGY_FILE": "{folder}/strategy",
        "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE_FILE": "{folder}/type",
        "OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "http://keystone.invalid:5000/v3",
        "OS_KEYSTONE_AUTHTOKEN__USERNAME": "placement",
    }
    files = {"strategy": "keystone\n", "type": "password\n"}
    result = run_batch({"case": Case(("check-config",), env, files)})["case"]
    assert result.returncode == 0, result.stderr


def test_root_may_serve(newest: str, start: Start) -> None:
    server = start(newest, options=("--user=0",))
    assert server.client.post("/resource_providers", json={"name": "a"}).status_code == 201


def test_any_user_of_group_0_serves_with_its_own_files(
    newest: str, start: Start, volume: str, engine: str
) -> None:
    """OpenShift runs each container as a user that no image knows."""
    user = "1000660000"
    options = (*RESTRICTED, f"--user={user}:0", f"--volume={volume}:/var/lib/placement")
    server = start(newest, options=options)
    assert server.client.post("/resource_providers", json={"name": "a"}).status_code == 201
    script = "import os, sys; print(*{os.stat(path).st_uid for path in sys.argv[1:]})"
    files = ("nginx.pid", "uwsgi.sock", "listen.conf")
    paths = [*(f"/tmp/placement/{name}" for name in files), "/cats.db"]  # noqa: S108
    python = ("/opt/placement/bin/python3", "-c", script, *paths)
    assert subprocess.check_output([engine, "exec", server.name, *python], text=True) == f"{user}\n"
    subprocess.run(
        [engine, "exec", server.name, "placement-status", "upgrade", "check"], check=True
    )
    assert "Traceback" not in logs(engine, server.name)


def test_uwsgi_ignores_its_own_variables_and_sqlite_has_one_process_and_thread(
    newest: str, start: Start, engine: str
) -> None:
    others = {"UWSGI_HTTP_SOCKET": ":9999", "UWSGI_PORT": "tcp://10.0.0.1:80"}
    server = start(newest, {"UWSGI_PROCESSES": "4", "UWSGI_THREADS": "2", **others})
    log = logs(engine, server.name)
    assert "UWSGI_PROCESSES is reduced to 1: " in log
    assert "UWSGI_THREADS is reduced to 1: " in log
    assert len(re.findall(r"spawned uWSGI worker \d+ \(pid: \d+, cores: 1\)", log)) == 1
    connect = "import socket; socket.create_connection(('127.0.0.1', 9999))"
    command = [engine, "exec", server.name, "/opt/placement/bin/python3", "-c", connect]
    result = subprocess.run(command, text=True, capture_output=True, check=False)
    assert "Connection refused" in result.stderr


def test_option_whose_name_ends_in_file_is_that_option(
    newest: str, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(
        '"placement:resource_providers:list": "!"\n', encoding="utf-8"
    )
    server = start(
        newest,
        {"OS_OSLO_POLICY__POLICY_FILE": "/policy/policy.yaml"},
        (f"--volume={readable(tmp_path)}:/policy:ro",),
    )
    assert server.client.get("/resource_providers").status_code == 403


def test_policy_can_send_requests(newest: str, start: Start, tmp_path: Path, engine: str) -> None:
    """The policy requires an answer of the container's own nginx, which refuses the request."""
    (tmp_path / "policy.yaml").write_text(
        f'"placement:traits:list": "http://127.0.0.1:{PORT}/%%00"\n', encoding="utf-8"
    )
    options = (f"--volume={readable(tmp_path)}:/etc/placement:ro",)
    server = start(newest, options=options)
    headers = {"openstack-api-version": "placement 1.39"}
    assert server.client.get("/traits", headers=headers).status_code == 403
    assert '"POST /%00 HTTP/1.1" status: 400' in logs(engine, server.name)


IMPORTED = """
import sys
import entrypoint.application
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_keystones_libraries_are_not_imported_for_noauth2(any_image: str, run: Run) -> None:
    """They take a fifth of the time until Placement serves."""
    env = {"OS_API__AUTH_STRATEGY": "noauth2", "DB_SYNC": "True", DATABASE: "sqlite:////cats.db"}
    result = run(any_image, "-Ic", IMPORTED, env=env, options=(PYTHON,))
    imported = {*result.stdout.splitlines()[-1].split()}
    assert "placement" in imported
    assert {"keystonemiddleware", "keystoneauth1", "requests"} & imported == set()


def test_environment_overrides_the_configuration_file(
    newest: str, start: Start, tmp_path: Path, engine: str
) -> None:
    (tmp_path / "placement.conf").write_text(
        "[DEFAULT]\ndebug = true\n[cors]\nallowed_origin = https://file.example.com\n",
        encoding="utf-8",
    )
    options = (f"--volume={readable(tmp_path)}:/etc/placement:ro",)
    server = start(newest, {"OS_DEFAULT__DEBUG": "False"}, options)
    answer = server.client.get("/", headers={"origin": "https://file.example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://file.example.com"
    assert " DEBUG " not in logs(engine, server.name)


WORKERS = """
import os
from entrypoint import server
print(*server.workers("postgresql://"), len(os.sched_getaffinity(0)))
"""


@pytest.mark.parametrize(
    ("cpus", "env", "expected"),
    [
        ("0.5", {}, (1, 4)),
        ("1.5", {}, (2, 4)),
        ("", {}, (None, 4)),
        ("0.5", {"UWSGI_PROCESSES": "3", "UWSGI_THREADS": "7"}, (3, 7)),
    ],
)
def test_workers_follow_the_cpu_limit(
    cpus: str,
    env: dict[str, str],
    expected: tuple[int | None, int],
    newest: str,
    run: Run,
) -> None:
    limit = (f"--cpus={cpus}",) if cpus else ()
    options = ("--entrypoint=/opt/placement/bin/python3", *limit)
    result = run(newest, "-c", WORKERS, env=env, options=options)
    processes, threads, available = (int(number) for number in result.stdout.split())
    assert (processes, threads) == (expected[0] or min(available, 8), expected[1])


def test_server_answers_under_a_prefix_and_links_keep_it(default_server: Server) -> None:
    client = default_server.client
    for root in ("/placement", "/placement/"):
        assert client.get(root).json()["versions"][0]["id"] == "v1.0"
    created = client.post(
        "/placement/resource_providers", json={"name": "a"}, headers={"x-forwarded-proto": "https"}
    )
    location = httpx.URL(created.headers["location"])
    assert location.scheme == "https"
    assert location.path.startswith("/placement/resource_providers/")
    assert client.get(location.path).json()["name"] == "a"
    assert client.delete(location.path).status_code == 204
    assert client.get("/placements").status_code == 404


def test_sigterm_ends_no_request_under_way(newest: str, start: Start, engine: str) -> None:
    server = start(newest)
    body = b'{"name": "under-way"}'
    headers = ("x-auth-token: admin", "content-type: application/json")
    with server.open_request("POST /resource_providers", *headers, size=len(body)) as connection:
        connection.sendall(body[:5])
        time.sleep(0.5)  # until nginx reads the request
        command = [engine, "stop", "--time", "20", server.name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as stopping:
            time.sleep(1)
            assert stopping.poll() is None
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
            assert stopping.wait(timeout=10) == 0
    assert exit_code(engine, server.name) == 0


def test_sigterm_ends_the_wait_for_a_database(background: RunInBackground) -> None:
    container = background({DATABASE: "mysql+pymysql://placement@127.0.0.1:1/placement"})
    container.wait_for("SQL connection failed")
    started = time.monotonic()
    assert container.stop() == 143
    assert time.monotonic() - started < STOPS


def test_sigterm_ends_the_wait_for_a_silent_host(
    engine: str, silent_server: str, background: RunInBackground
) -> None:
    """PostgreSQL's C library waits, and would not return for a signal."""
    host = address(engine, silent_server)
    query = f"host={host}&host=127.0.0.1&connect_timeout=60"
    container = background({DATABASE: f"postgresql+psycopg2://u:p@/d?{query}"})
    container.wait_for("Operational MODE")
    time.sleep(2)
    started = time.monotonic()
    assert container.stop() == 143
    assert time.monotonic() - started < STOPS


@pytest.mark.parametrize(
    "after",
    [
        0.1,
        0.6,
        1.2,
        *(pytest.param(after, marks=pytest.mark.only_all) for after in (0.0, 0.3, 0.9, 2.0)),
    ],
)
def test_sigterm_ends_every_moment_of_the_start(after: float, background: RunInBackground) -> None:
    container = background({"DB_SYNC": "True"})
    container.wait_for("Operational MODE")
    time.sleep(after)
    started = time.monotonic()
    assert container.stop() in (0, 15, 143)
    assert time.monotonic() - started < STOPS
