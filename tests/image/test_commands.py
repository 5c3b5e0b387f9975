"""The image's commands, in the order in which an operator runs them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrypoint.__main__ import COMMANDS
from tests.support.batch import Case, RunBatch
from tests.support.containers import PORT, Run, Server, Start
from tests.support.template import ROOT


def test_commands_lead_from_an_empty_database_to_a_server(
    any_image: str, run: Run, start: Start, volume: str
) -> None:
    options = (f"--volume={volume}:/var/lib/placement", "--read-only", "--tmpfs=/tmp")

    def command(*arguments: str) -> str:
        env = {"OS_API__AUTH_STRATEGY": "noauth2"}
        result = run(any_image, *arguments, env=env, options=options)
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stderr == ""
        return result.stdout

    assert "ok: release: /cats.db does not exist yet" in command("check-config", "--database")
    assert "no schema yet: nothing to upgrade" in command("upgrade-check")
    assert "the schema is up to date" in command("db-sync")
    assert "the schema is up to date" in command("db-sync")
    assert "Upgrade Check Results" in command("upgrade-check")
    assert "ok: tables: the schema is complete" in command("check-config", "--database")
    assert "set_root_provider_ids" in command("online-data-migrations")
    assert "set_root_provider_ids" in command("online-data-migrations", "--max-count", "10")

    server = start(any_image, {"DB_SYNC": "False"}, options)
    versions = server.client.get("/").json()["versions"]
    assert versions[0]["max_version"] == "1.39"
    created = server.client.post("/resource_providers", json={"name": "first"})
    assert created.status_code == 201


def test_online_data_migrations_exit_with_placements_own_code(
    newest: str, run: Run, volume: str
) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    assert run(newest, "db-sync", options=options).returncode == 0
    for count in (("--max-count", "0"), ("--max-count=0",)):
        assert run(newest, "online-data-migrations", *count, options=options).returncode == 127


@pytest.fixture
def command_there(engine: str, default_server: Server) -> Callable[..., str]:
    """Run a command in the container of a server, and return its output."""

    def command_there(*arguments: str, code: int = 0) -> str:
        command = [engine, "exec", default_server.name, "/startup.sh", *arguments]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    return command_there


def test_smoke_test_reaches_the_server_of_its_container(
    command_there: Callable[..., str],
) -> None:
    urls = (f"http://127.0.0.1:{PORT}{path}" for path in ("", "/", "/placement", "/placement/"))
    for url in ((), *((url,) for url in urls)):
        printed = command_there("smoke-test", *url)
        assert "version: v1.0, up to 1.39\n" in printed
        assert "token and database: accepted, " in printed


def test_smoke_test_prints_the_answer_of_another_server(
    command_there: Callable[..., str],
) -> None:
    error = command_there("smoke-test", f"http://127.0.0.1:{PORT}/resource_providers", code=1)
    assert error.startswith("placement: GET /: 40")
    assert error.count("\n") == 1


def test_token_is_accepted(command_there: Callable[..., str], default_server: Server) -> None:
    token = command_there("token").strip()
    found = default_server.client.get("/resource_providers", headers={"x-auth-token": token})
    assert found.status_code == 200


def test_load_test_prints_each_second_and_the_total(command_there: Callable[..., str]) -> None:
    *seconds, total = map(
        json.loads, command_there("load-test", f"http://127.0.0.1:{PORT}", "2", "2").splitlines()
    )
    assert [second["second"] for second in seconds[:2]] == [1, 2]
    assert sum(second["requests"] for second in seconds) > 0
    assert {second["reason"] for second in seconds} == {None}
    assert {second["failures"] for second in seconds} == {0}
    assert list(total) == ["p50_ms", "p95_ms", "p99_ms", "max_ms"]
    assert 0 < total["p50_ms"] <= total["p95_ms"] <= total["p99_ms"] <= total["max_ms"]


def test_load_test_counts_failures(command_there: Callable[..., str]) -> None:
    first, *_ = map(
        json.loads, command_there("load-test", "http://127.0.0.1:1", "1", "1").splitlines()
    )
    assert first["requests"] == first["failures"] > 0
    assert "refused" in first["reason"]


@pytest.mark.parametrize("folder", ["", "/opt/placement/bin/"])
def test_placements_own_commands_have_the_settings_of_the_server(
    folder: str, default_server: Server, engine: str
) -> None:
    def own(command: str) -> str:
        arguments = [engine, "exec", default_server.name, *f"{folder}{command}".split()]
        return subprocess.check_output(arguments, text=True)

    assert re.fullmatch(r"[0-9a-f]{12}\n", own("placement-manage db version"))
    assert "Upgrade Check Results" in own("placement-status upgrade check")


def test_placements_own_sync_reads_files_and_records_the_release(
    run_batch: RunBatch,
) -> None:
    """As with db-sync: by itself, Placement would record no release and take no lock."""
    env = {"OS_PLACEMENT_DATABASE__CONNECTION_FILE": "{folder}/url"}
    case = Case(("placement-manage", "db", "sync"), env, {"url": "sqlite:///{folder}/own.db"})
    outcome = run_batch({"sync": case})["sync"]
    assert outcome.returncode == 0, outcome.stderr
    assert {"own.db", "own.db.lock"} <= set(outcome.files)


def test_startup_script_describes_every_command() -> None:
    script = (ROOT / "template/shared/startup.sh").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        assert f"#   {name} {command.arguments}".rstrip() + "  " in script


def test_check_config_needs_no_database(newest: str, run: Run) -> None:
    env = {
        "OS_API__AUTH_STRATEGY": "keystone",
        "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "v3applicationcredential",
        "OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "http://keystone.invalid:5000/v3",
        "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_ID": "id",
        "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_SECRET": "secret",
        "OS_KEYSTONE_AUTHTOKEN__MEMCACHED_SERVERS": "memcached:11211",
        "OS_KEYSTONE_AUTHTOKEN__SERVICE_TOKEN_ROLES_REQUIRED": "True",
        "OS_PLACEMENT_DATABASE__CONNECTION": "postgresql://placement:x@db.invalid/placement",
        "DB_SYNC": "false",
    }
    result = run(newest, "check-config", env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert "the configuration is valid" in result.stdout


def test_many_containers_may_sync_at_once(newest: str, run: Run, volume: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    with ThreadPoolExecutor(4) as pool:
        syncing = [pool.submit(run, newest, "db-sync", options=options) for _ in range(4)]
    results = [sync.result() for sync in syncing]
    assert [result.stderr for result in results if result.returncode != 0] == []
    migrated = [result for result in results if "Running upgrade" in result.stdout]
    assert len(migrated) == 1


# db-sync, with a SIGTERM after its first table.
STOPPED_SYNC = """
import os, runpy, signal, sys
import sqlalchemy as sa

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def stop(connection, cursor, statement, *_):
    if "CREATE TABLE allocations" in statement:
        print("sent SIGTERM", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

sys.argv = ["entrypoint", "db-sync"]
runpy.run_module("entrypoint", run_name="__main__")
"""


def test_sigterm_leaves_no_partial_migration(newest: str, run: Run, volume: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    python = "--entrypoint=/opt/placement/bin/python3"
    stopped = run(newest, "-c", STOPPED_SYNC, options=(*options, python))
    assert stopped.returncode == 143, stopped.stdout + stopped.stderr
    assert stopped.stdout.count("sent SIGTERM") == 1
    again = run(newest, "db-sync", options=options)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Running upgrade" not in again.stdout
