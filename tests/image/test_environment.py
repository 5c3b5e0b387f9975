"""What each variable of the container's contract does, on the newest release."""

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
from tenacity import Retrying, stop_after_delay, wait_fixed

from tests.support.containers import NEWEST, PORT, Run, Server, logs, readable, wait_until_ready
from tests.support.template import Render

Start = Callable[..., Server]
DATABASE = "OS_PLACEMENT_DATABASE__CONNECTION"
LOW_PORTS = "--sysctl=net.ipv4.ip_unprivileged_port_start=0"


def test_placedocks_two_commands(
    engine: str,
    image: Callable[[str], str],
    render: Render,
    container_name: Callable[[], str],
) -> None:
    """Both as placedock's readme has them, and what it asks with curl."""
    image(NEWEST)  # the base image is there, and so is what can be built once
    repository = render({"release": NEWEST})
    command = [engine, "build", "-t", "placedock", "."]
    with kept_tag(engine, "placedock"):
        subprocess.run(command, cwd=repository, check=True)
        run_placedock(engine, container_name())


@contextmanager
def kept_tag(engine: str, tag: str) -> Iterator[None]:
    """Let the block use a tag, and give it back to the image that had it."""
    before = subprocess.check_output([engine, "images", "--quiet", "--no-trunc", tag], text=True)
    try:
        yield
    finally:
        if before:
            subprocess.run([engine, "tag", before.split()[0], tag], check=True)
        else:
            subprocess.run([engine, "rmi", "--force", tag], capture_output=True, check=True)


def run_placedock(engine: str, name: str) -> None:
    """Run the image placedock as its readme has it, and ask it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # -d and the name are the test's; Podman keeps low ports from users, Docker does not.
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


def test_a_locked_down_container_serves_and_stays_quiet(
    engine: str, newest: str, start: Start, volume: str
) -> None:
    options = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    server = start(newest, options=(*options, f"--volume={volume}:/var/lib/placement"))
    assert server.client.post("/resource_providers", json={"name": "a"}).status_code == 201
    said = logs(engine, server.name)
    assert '"POST /resource_providers" status: 201' in said
    assert '"GET /" status: 200' not in said


def test_data_stays_in_the_volume(newest: str, start: Start, volume: str, engine: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    first = start(newest, options=options)
    first.client.post("/resource_providers", json={"name": "kept"})
    subprocess.run([engine, "stop", first.name], capture_output=True, check=True)
    second = start(newest, options=options)
    found = second.client.get("/resource_providers").json()["resource_providers"]
    assert [provider["name"] for provider in found] == ["kept"]


def test_options_are_read(newest: str, start: Start) -> None:
    server = start(newest, {"OS_CORS__ALLOWED_ORIGIN": "https://horizon.example.com"})
    answer = server.client.get("/", headers={"origin": "https://horizon.example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://horizon.example.com"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_is_read_literally(
    ending: str, newest: str, run: Run, volume: str, tmp_path: Path
) -> None:
    text = "sqlite:////var/lib/placement/a$b$$c.db"
    (tmp_path / "connection").write_bytes((text + ending).encode())
    mounts = (f"--volume={volume}:/var/lib/placement",)
    secret = f"--volume={readable(tmp_path)}:/run/secrets:ro"
    env = {f"{DATABASE}_FILE": "/run/secrets/connection"}
    assert run(newest, "db-sync", env=env, options=(*mounts, secret)).returncode == 0
    assert databases(newest, run, mounts) == ["a$b$$c.db", "a$b$$c.db.lock"]


def test_a_doubled_dollar_is_one(newest: str, run: Run, volume: str) -> None:
    mounts = (f"--volume={volume}:/var/lib/placement",)
    env = {DATABASE: "sqlite:////var/lib/placement/a$$b.db"}
    assert run(newest, "db-sync", env=env, options=mounts).returncode == 0
    assert databases(newest, run, mounts) == ["a$b.db", "a$b.db.lock"]


def databases(image: str, run: Run, mounts: tuple[str, ...]) -> list[str]:
    """Return the names of the files in the volume."""
    listing = "import os; print(*sorted(os.listdir('/var/lib/placement')), sep='\\n')"
    options = (*mounts, "--entrypoint=/opt/placement/bin/python3")
    return run(image, "-c", listing, options=options).stdout.split()


def test_files_may_say_who_may_come_in(newest: str, run: Run, tmp_path: Path) -> None:
    """What these two say decides which further options there are."""
    (tmp_path / "strategy").write_text("keystone\n", encoding="utf-8")
    (tmp_path / "type").write_text("password\n", encoding="utf-8")
    env = {
        "OS_API__AUTH_STRATEGY_FILE": "/run/secrets/strategy",
        "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE_FILE": "/run/secrets/type",
        "OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "http://keystone.invalid:5000/v3",
        "OS_KEYSTONE_AUTHTOKEN__USERNAME": "placement",
    }
    options = (f"--volume={readable(tmp_path)}:/run/secrets:ro",)
    result = run(newest, "check-config", env=env, options=options)
    assert result.returncode == 0, result.stderr


def test_any_user_of_group_0_may_run_it(newest: str, start: Start) -> None:
    server = start(newest, options=("--user=1000660000:0",))
    assert server.client.post("/resource_providers", json={"name": "a"}).status_code == 201


def test_uwsgi_reads_no_variable_of_its_own(newest: str, start: Start, engine: str) -> None:
    server = start(newest, {"UWSGI_HTTP_SOCKET": ":9999", "UWSGI_PORT": "tcp://10.0.0.1:80"})
    connect = "import socket; socket.create_connection(('127.0.0.1', 9999))"
    command = [engine, "exec", server.name, "/opt/placement/bin/python3", "-c", connect]
    result = subprocess.run(command, text=True, capture_output=True, check=False)
    assert "Connection refused" in result.stderr


def test_an_option_named_file_is_that_option(newest: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        '"placement:resource_providers:list": "!"\n', encoding="utf-8"
    )
    server = start(
        newest,
        {"OS_OSLO_POLICY__POLICY_FILE": "/policy/policy.yaml"},
        (f"--volume={readable(tmp_path)}:/policy:ro",),
    )
    assert server.client.get("/resource_providers").status_code == 403


def test_a_configuration_file_counts_and_the_environment_wins(
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


def test_sqlite_is_served_by_one_process_and_one_thread(
    newest: str, start: Start, engine: str
) -> None:
    server = start(newest, {"UWSGI_PROCESSES": "4", "UWSGI_THREADS": "2"})
    said = logs(engine, server.name)
    assert "UWSGI_PROCESSES is 1: " in said
    assert "UWSGI_THREADS is 1: " in said
    assert len(re.findall(r"spawned uWSGI worker \d+ \(pid: \d+, cores: 1\)", said)) == 1


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
def test_workers_follow_the_cpus_granted(
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


def test_it_answers_under_a_prefix_and_links_keep_it(newest: str, start: Start) -> None:
    server = start(newest)
    for root in ("/placement", "/placement/"):
        assert server.client.get(root).json()["versions"][0]["id"] == "v1.0"
    created = server.client.post(
        "/placement/resource_providers", json={"name": "a"}, headers={"x-forwarded-proto": "https"}
    )
    location = httpx.URL(created.headers["location"])
    assert location.scheme == "https"
    assert location.path.startswith("/placement/resource_providers/")
    assert server.client.get(location.path).json()["name"] == "a"
    assert server.client.get("/placements").status_code == 404


def test_it_says_that_it_closes(newest: str, start: Start) -> None:
    server = start(newest)
    assert server.client.get("/").headers.get_list("connection") == ["close"]


def test_a_long_query_is_taken(newest: str, start: Start) -> None:
    server = start(newest)
    query = {"name": "x" * 30_000}
    assert server.client.get("/resource_providers", params=query).status_code in (200, 400)


def test_a_stop_ends_no_request_under_way(newest: str, start: Start, engine: str) -> None:
    server = start(newest)
    body = b'{"name": "under-way"}'
    headers = ("x-auth-token: admin", "content-type: application/json")
    with server.open_request("POST /resource_providers", *headers, size=len(body)) as connection:
        connection.sendall(body[:5])
        time.sleep(0.5)  # until the request is being read
        command = [engine, "stop", "--time", "20", server.name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as stopping:
            time.sleep(1)
            assert stopping.poll() is None
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
            assert stopping.wait(timeout=10) == 0
    assert exit_code(engine, server.name) == 0


def test_a_stop_is_quick_at_any_moment(
    newest: str, engine: str, container_name: Callable[[], str]
) -> None:
    name = container_name()
    env = ["--env=OS_API__AUTH_STRATEGY=noauth2", f"--env=PORT={PORT}"]
    env += [f"--env={DATABASE}=mysql+pymysql://placement@127.0.0.1:1/placement"]
    subprocess.run([engine, "run", "--detach", "--name", name, *env, newest], check=True)
    waiting = Retrying(stop=stop_after_delay(15), wait=wait_fixed(0.2), reraise=True)
    waiting(_says, engine, name, "SQL connection failed")
    started = time.monotonic()
    subprocess.run([engine, "stop", "--time", "10", name], capture_output=True, check=True)
    assert time.monotonic() - started < 5
    assert exit_code(engine, name) == 143


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6, 0.9, 1.2, 2.0])
def test_a_stop_is_heard_throughout_the_start(
    after: float, newest: str, engine: str, container_name: Callable[[], str]
) -> None:
    name = container_name()
    env = ["--env=OS_API__AUTH_STRATEGY=noauth2", f"--env=PORT={PORT}", "--env=DB_SYNC=True"]
    subprocess.run([engine, "run", "--detach", "--name", name, *env, newest], check=True)
    waiting = Retrying(stop=stop_after_delay(15), wait=wait_fixed(0.05), reraise=True)
    waiting(_says, engine, name, "Operational MODE")
    time.sleep(after)
    started = time.monotonic()
    subprocess.run([engine, "stop", "--time", "10", name], capture_output=True, check=True)
    assert time.monotonic() - started < 5
    assert exit_code(engine, name) in (0, 15, 143)


def _says(engine: str, name: str, text: str) -> None:
    assert text in logs(engine, name)


def exit_code(engine: str, name: str) -> int:
    """Return what the container ended with."""
    command = [engine, "inspect", "--format", "{{.State.ExitCode}}", name]
    return int(subprocess.check_output(command))
