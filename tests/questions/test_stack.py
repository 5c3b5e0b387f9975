"""The values of the development stack, which `make up` starts."""

from __future__ import annotations

from typing import Any

import pytest

from extensions.deployment import Deployment


@pytest.mark.parametrize(
    ("answers", "services"),
    [
        ({}, []),
        ({"database": "postgresql"}, ["postgresql"]),
        ({"database": "mysql"}, ["mariadb"]),
        ({"auth_strategy": "keystone"}, ["keystone"]),
        (
            {"auth_strategy": "keystone", "keystone_memcached_servers": "m:11211"},
            ["memcached", "keystone"],
        ),
    ],
)
def test_stack_has_the_servers_that_the_answers_need(
    answers: dict[str, Any], services: list[str]
) -> None:
    """Only the addresses of these servers differ from the deployed settings."""
    deployment = Deployment(**answers)
    assert deployment.dev_services == services
    assert deployment.dev_settings.keys() == deployment.settings.keys()
    assert deployment.dev_secret_settings.keys() == deployment.secrets.keys()
    moved = {
        name
        for name, value in deployment.settings.items()
        if deployment.dev_settings[name] != value
    }
    assert {name.partition("__")[2] for name in moved} == (
        {"AUTH_URL", "WWW_AUTHENTICATE_URI"} if deployment.keystone else set()
    ) | ({"MEMCACHED_SERVERS"} if deployment.keystone_memcached_servers else set())


def test_stack_of_the_default_has_placement_only() -> None:
    deployment = Deployment()
    assert deployment.dev_environment == {"OS_API__AUTH_STRATEGY": "noauth2"}
    assert deployment.dev_mounts == ["data:/var/lib/placement"]
    assert deployment.dev_volumes == ["data"]
    assert deployment.dev_token == "admin"
    assert deployment.makefiles == []


def test_stack_with_all_servers_has_their_volumes_and_makefiles() -> None:
    """Only memcached has no volume, and a volume passes Keystone's CA certificate to Placement."""
    deployment = Deployment(
        database="mysql",
        auth_strategy="keystone",
        keystone_memcached_servers="m:11211",
        keystone_ca_secret="ca",
    )
    assert deployment.dev_environment == {
        **deployment.dev_settings,
        **deployment.dev_secret_settings,
    }
    assert deployment.dev_mounts == [
        "data:/var/lib/placement",
        "keystone-ca:/etc/placement/keystone-ca:ro",
    ]
    assert deployment.dev_volumes == ["data", "mariadb", "keystone", "keystone-ca"]
    assert deployment.dev_token == "$$(make -s token)"
    assert deployment.makefiles == [
        "dev/stack/servers/servers.mk",
        "dev/stack/keystone/keystone.mk",
        "dev/cluster/secrets.mk",
    ]


@pytest.mark.parametrize(
    ("answers", "title"),
    [
        ({}, "Placement"),
        ({"database": "mysql"}, "Placement and MariaDB"),
        (
            {"database": "postgresql", "auth_strategy": "keystone"},
            "Placement, PostgreSQL and Keystone",
        ),
        (
            {"auth_strategy": "keystone", "keystone_memcached_servers": "memcached:11211"},
            "Placement, memcached and Keystone",
        ),
    ],
)
def test_stack_title_lists_what_make_up_starts(answers: dict[str, Any], title: str) -> None:
    """The title is a list in words."""
    assert Deployment(**answers).stack_title == title


def test_dollar_signs_are_escaped_for_each_reader() -> None:
    """oslo.config reads the container's variables, and compose reads compose.yaml."""
    deployment = Deployment(auth_strategy="keystone", keystone_region="$a")
    region = "OS_KEYSTONE_AUTHTOKEN__REGION_NAME"
    assert deployment.settings[region] == "$$a"
    assert deployment.dev_settings[region] == "$$$$a"
    assert deployment.dev_keystone_region == "$$a"
