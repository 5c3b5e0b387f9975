"""The commands of the image, in the order in which an operator gives them, on every release."""

from __future__ import annotations

from collections.abc import Callable

from tests.containers import Output, Server

Run = Callable[..., Output]


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
