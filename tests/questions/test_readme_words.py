"""The words and examples in the rendered README.md and docs/."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from extensions.deployment import Deployment, find_errors
from extensions.releases import RELEASES
from tests.support.template import ROOT, Answers
from tests.support.variants import VARIANTS


@pytest.mark.parametrize(
    ("answers", "title", "url"),
    [
        ({}, "port 8778, inside the cluster only", None),
        ({"exposure": "ingress"}, "http://placement.local", "http://placement.local"),
        (
            {"exposure": "ingress", "host": "a.example", "tls_secret": "tls"},
            "https://a.example",
            "https://a.example",
        ),
        ({"exposure": "gateway", "host": "a.example"}, "a.example", "http://a.example"),
    ],
)
def test_address_title_and_public_url(answers: dict[str, Any], title: str, url: str | None) -> None:
    """README.md prints the title; `make e2e URL=` takes the URL."""
    deployment = Deployment(allow_noauth2_exposure=True, **answers)
    assert deployment.address_title == title
    if url:
        assert deployment.public_url == url


@pytest.mark.parametrize("answers", VARIANTS.values(), ids=VARIANTS)
def test_example_of_a_change_is_valid_and_changes_something(answers: dict[str, Any]) -> None:
    """The README prints it as a command."""
    name, _, value = Deployment(**answers).example_change.partition("=")
    assert find_errors({**answers, name: value}) == []
    assert Deployment(**{**answers, name: value}) != Deployment(**answers)


def test_diagram_has_a_line_for_each_part() -> None:
    """The first line names the kind of diagram."""
    answers: dict[str, Any] = {
        "database": "postgresql",
        "auth_strategy": "keystone",
        "keystone_memcached_servers": "memcached:11211",
        "exposure": "ingress",
        "host": "placement.example.com",
    }
    assert Deployment(**answers).diagram == [
        "flowchart LR",
        "    client([Nova and other clients])",
        '    client -- "http://placement.example.com" --> ingress[Ingress]',
        "    ingress --> placement",
        f'    placement["Placement {RELEASES["2026.2"]["placement"]}<br>1 replica"]',
        "    placement --> database[(PostgreSQL)]",
        '    placement -- "validates tokens" --> keystone[Keystone]',
        '    placement -- "caches tokens" --> memcached[(memcached)]',
    ]
    assert '    client -- "port 8778" --> placement' in Deployment().diagram


def test_pages_are_those_of_the_deployment() -> None:
    """Every deployment has eight pages; the others depend on the answers."""
    always = {
        "kubernetes.md",
        "registry.md",
        "environments.md",
        "large-clouds.md",
        "security.md",
        "upgrades.md",
        "zones.md",
        "devstack.md",
        "placedock.md",
    }
    assert Deployment().pages.keys() == always
    answers: dict[str, Any] = {
        "database": "mysql",
        "scaling": "autoscale",
        "auth_strategy": "keystone",
        "exposure": "gateway",
        "gitops": "flux",
    }
    more = {
        "gitops.md",
        "database.md",
        "autoscaling.md",
        "keystone.md",
        "exposure.md",
        "rotation.md",
    }
    assert Deployment(**answers).pages.keys() == always | more


@pytest.mark.parametrize(
    ("answers", "sections", "secrets"),
    [
        ({}, [], []),
        ({"image_pull_secret": "pull"}, [], []),
        ({"database": "mysql"}, ["mysql"], ["placement-database"]),
        (
            {
                "database": "postgresql",
                "auth_strategy": "keystone",
                "keystone_auth_type": "v3applicationcredential",
                "keystone_memcached_servers": "memcached:11211",
            },
            ["postgresql", "v3applicationcredential", "memcache-key"],
            ["placement-database", "placement-keystone"],
        ),
    ],
)
def test_rotation_describes_the_secrets_of_the_deployment(
    answers: Answers, sections: list[str], secrets: list[str]
) -> None:
    """A Secret has one name, however many of its keys the pods read."""
    deployment = Deployment.model_validate(answers)
    assert deployment.rotations == sections
    assert deployment.read_secrets == secrets


def test_network_access_lists_only_the_servers_of_the_deployment() -> None:
    port, *others = Deployment().network_access.items()
    assert "administrator" in port[1]
    assert not others
    answers: dict[str, Any] = {
        "database": "mysql",
        "auth_strategy": "keystone",
        "keystone_memcached_servers": "memcached:11211",
    }
    port, *others = Deployment(**answers).network_access.items()
    assert "administrator" not in port[1]
    assert [name for name, _ in others] == ["the database", "Keystone", "memcached"]


@pytest.mark.parametrize(
    ("ci", "place"),
    [("github", ".github/workflows/"), ("gitlab", ".gitlab-ci.local.yml"), ("none", None)],
)
def test_own_places_include_only_those_of_this_ci_service(ci: str, place: str | None) -> None:
    """All other places are common to all deployments."""
    own = Deployment.model_validate({"ci": ci}).own_places
    assert {name for name in own if "ci" in name or "github" in name} == ({place} - {None})
    assert "values.local.yaml" in own


@pytest.mark.parametrize(
    ("answers", "title"),
    [
        ({}, "noauth2; every client that reaches Placement is admin"),
        ({"auth_strategy": "keystone"}, "Keystone; Placement logs in with a password"),
        (
            {"auth_strategy": "keystone", "keystone_auth_type": "v3applicationcredential"},
            "Keystone; Placement logs in with an application credential",
        ),
    ],
)
def test_auth_title(answers: dict[str, Any], title: str) -> None:
    """With noauth2 it states the risk."""
    assert Deployment(**answers).auth_title == title


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_files_of_the_ci_service_exist(ci: str) -> None:
    """docs/upgrades.md names them."""
    service = Deployment.model_validate({"ci": ci}).ci_service
    assert service
    assert (ROOT / "template" / service.checks).is_file()
    assert (ROOT / "template" / service.updates).is_file()


def test_deployment_without_ci_has_no_service() -> None:
    assert Deployment(ci="none").ci_service is None


@pytest.mark.parametrize(
    ("database", "driver", "socket"),
    [
        ("postgresql", "postgresql+psycopg2", "host=/database"),
        ("mysql", "mysql+pymysql", "unix_socket=/database/mysqld.sock"),
    ],
)
def test_database_urls_have_the_options_of_the_driver(
    database: str, driver: str, socket: str
) -> None:
    """Each database has the same kinds of servers."""
    urls = list(Deployment.model_validate({"database": database}).database_urls.values())
    assert urls[:3] == [
        f"{driver}://placement:PASSWORD@db.example.com/placement",
        f"{driver}://placement:PASSWORD@[fd00::5]/placement",
        f"{driver}://placement:PASSWORD@/placement?{socket}",
    ]
    assert all(f"=/tls/{name}" in urls[3] for name in ("ca.crt", "client.crt", "client.key"))


def test_default_has_no_database_url() -> None:
    """SQLite has no server."""
    assert Deployment().database_urls == {}


def test_formatted_answers_are_code_or_a_word() -> None:
    """An empty answer would be an empty cell of the table."""
    formatted = Deployment(image_pull_secret="pull", network_policy=True).formatted_answers
    assert formatted.keys() == Deployment().answers.keys()
    assert formatted["image_pull_secret"] == "`pull`"
    assert formatted["network_policy"] == "`true`"
    assert Deployment().formatted_answers["image_pull_secret"] == "none"


@pytest.mark.parametrize(
    ("region", "cell"),
    [("Région 1", "`Région 1`"), ("a|b", r"`a\|b`"), ("`a` ``", "``` `a` `` ```")],
)
def test_region_is_one_cell_and_one_argument(region: str, cell: str) -> None:
    """No character of it ends the cell of a table, or the argument of a command."""
    deployment = Deployment(auth_strategy="keystone", keystone_region=region)
    assert deployment.formatted_answers["keystone_region"] == cell
    endpoints = [shlex.split(command)[-5:] for command in deployment.keystone_registration[1:4]]
    url = "http://placement.placement.svc:8778"
    assert endpoints == [
        ["--region", region, "placement", interface, url]
        for interface in ("public", "internal", "admin")
    ]


def test_each_user_of_keystone_has_the_role_in_the_project() -> None:
    """The arguments are those of the answers, however they are written."""
    deployment = Deployment(
        auth_strategy="keystone",
        keystone_project_name="my services",
        keystone_project_domain_name="a$b",
        keystone_user_domain_name="it's",
    )
    commands = [text.replace("\\\n", "") for text in deployment.keystone_user("placement-b")]
    create, role = map(shlex.split, commands)
    assert create[3:] == ["--domain", "it's", "--password-prompt", "placement-b"]
    assert role[3:] == [
        *("--project", "my services", "--project-domain", "a$b"),
        *("--user", "placement-b", "--user-domain", "it's", "service"),
    ]


@pytest.mark.parametrize(
    ("name", "host"), [("placement-lab", "placement-lab"), ("lab", "lab-placement")]
)
def test_internal_endpoint_is_the_service_of_the_chart(name: str, host: str) -> None:
    """The Service has the name of the Helm release, which ends with that of the chart."""
    registration = Deployment(auth_strategy="keystone", project_name=name).keystone_registration
    assert registration[2].endswith(f" internal http://{host}.{name}.svc:8778")


@pytest.mark.parametrize("job", ["", "keystone-admin"])
@pytest.mark.parametrize("auth_type", ["password", "v3applicationcredential"])
def test_page_on_keystone_has_the_commands_for_what_no_job_does(job: str, auth_type: str) -> None:
    """A Job creates the endpoints, and the user of a password."""
    answers = {"keystone_auth_type": auth_type, "keystone_admin_secret": job}
    deployment = Deployment.model_validate({"auth_strategy": "keystone", **answers})
    by_job = {"registration-by-job"} if job else set()
    by_commands = {"registration-by-commands"} if not job or auth_type != "password" else set()
    credential = {"application-credential"} if auth_type != "password" else set()
    assert set(deployment.registration_parts) == by_job | by_commands | credential
    commands = deployment.keystone_registration
    endpoints = [command for command in commands if "endpoint create" in command]
    assert (len(endpoints), len(commands) - len(endpoints)) == ((0, 2) if job else (3, 3))


@pytest.mark.parametrize(
    ("answers", "pages"),
    [
        ({}, ["registry"]),
        (
            {
                "database": "mysql",
                "auth_strategy": "keystone",
                "exposure": "gateway",
                "scaling": "autoscale",
            },
            ["registry", "database", "keystone", "exposure", "autoscaling"],
        ),
        (
            {
                "auth_strategy": "keystone",
                "keystone_auth_type": "v3applicationcredential",
                "keystone_admin_secret": "keystone-admin",
            },
            ["registry", "keystone"],
        ),
    ],
)
def test_prerequisites_link_to_pages_of_the_deployment(answers: Answers, pages: list[str]) -> None:
    deployment = Deployment.model_validate(answers)
    linked = [re.findall(r"\(([a-z]+)\.md", name) for name in deployment.prerequisites]
    assert linked == [[page] for page in pages]


def test_keystone_keys_and_token_example() -> None:
    """docs/keystone.md and the quick start print them."""
    password = Deployment(auth_strategy="keystone")
    assert password.keystone_secret_keys == ["username", "password"]
    assert password.token_example == "$(make -s token)"
    credential = Deployment(
        auth_strategy="keystone",
        keystone_auth_type="v3applicationcredential",
        keystone_memcached_servers="memcached:11211",
    )
    assert credential.keystone_secret_keys == ["id", "secret", "memcache_secret_key"]
    assert Deployment().token_example == "admin"
