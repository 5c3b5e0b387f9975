"""The commands of the image, in the order in which an operator gives them, on every release."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.containers import Run, Server


def test_from_an_empty_database_to_a_server(
    any_image: str, run: Run, start: Callable[..., Server], volume: str
) -> None:
    options = (f"--volume={volume}:/var/lib/placement", "--read-only", "--tmpfs=/tmp")

    def command(*arguments: str) -> str:
        result = run(any_image, *arguments, options=options)
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stderr == ""
        return result.stdout

    assert "no schema yet: nothing to upgrade" in command("upgrade-check")
    assert "the schema is up to date" in command("db-sync")
    assert "the schema is up to date" in command("db-sync")
    assert "Upgrade Check Results" in command("upgrade-check")
    assert "set_root_provider_ids" in command("online-data-migrations")
    assert "set_root_provider_ids" in command("online-data-migrations", "--max-count", "10")

    server = start(any_image, {"DB_SYNC": "False"}, options)
    versions = server.client.get("/").json()["versions"]
    assert versions[0]["max_version"] == "1.39"
    created = server.client.post("/resource_providers", json={"name": "first"})
    assert created.status_code == 201


def test_exit_codes_are_placements_own(newest: str, run: Run, volume: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    assert run(newest, "db-sync", options=options).returncode == 0
    assert (
        run(newest, "online-data-migrations", "--max-count", "0", options=options).returncode == 127
    )


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


def test_many_may_bring_the_schema_up_to_date_at_once(newest: str, run: Run, volume: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    with ThreadPoolExecutor(4) as pool:
        syncing = [pool.submit(run, newest, "db-sync", options=options) for _ in range(4)]
    results = [sync.result() for sync in syncing]
    assert [result.stderr for result in results if result.returncode != 0] == []
    migrated = [result for result in results if "Running upgrade" in result.stdout]
    assert len(migrated) == 1


# db-sync, told to end when it has made the first table.
STOPPED_SYNC = """
import os, runpy, signal, sys
import sqlalchemy as sa

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def stop(connection, cursor, statement, *_):
    if "CREATE TABLE allocations" in statement:
        print("told to end", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

sys.argv = ["entrypoint", "db-sync"]
runpy.run_module("entrypoint", run_name="__main__")
"""


def test_a_stop_leaves_no_half_of_a_migration(newest: str, run: Run, volume: str) -> None:
    options = (f"--volume={volume}:/var/lib/placement",)
    python = "--entrypoint=/opt/placement/bin/python3"
    stopped = run(newest, "-c", STOPPED_SYNC, options=(*options, python))
    assert stopped.returncode == 143, stopped.stdout + stopped.stderr
    assert stopped.stdout.count("told to end") == 1
    again = run(newest, "db-sync", options=options)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Running upgrade" not in again.stdout
