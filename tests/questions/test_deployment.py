"""The rules and the derived values by themselves, without Copier."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from extensions.deployment import QUESTIONS, Deployment, find_error, find_errors
from extensions.deployment.answers import Answers
from extensions.deployment.conditions import ASKED_WHEN
from extensions.releases import RELEASES, release_step
from tests.support.variants import VARIANTS

TEXT_QUESTIONS = [
    name
    for name, field in Deployment.model_fields.items()
    if field.annotation is str and name != "release"
]

HOSTILE = [
    'a"b',
    "a'b",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "a\x00b",
    "a\x1b[31mb",
    "a\u2028b",
    "a\u200bb",
    "a\u202eb",
    "a\u00a0b",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{# comment #}",
    "{{ .Values.image }}",
    "$(reboot)",
    "${HOME}",
    "$HOME",
    "`reboot`",
    "a;b",
    "a&&b",
    "a|b",
    "a>b",
    "a\\b",
    "# comment",
    "a #b",
    "a: b",
    "%s",
    "100%",
    "*alias",
    "&anchor",
    "!!python/object:os.system",
    "!tag",
    "[a]",
    "{a: b}",
    "- a",
    "? a",
    "<script>",
    "../../etc/passwd",
    "pl\u0430cement",
    "\uff50lacement",
    "placement\u0301",
    "a" * 10_000,
    " a",
    "a ",
]


@pytest.mark.parametrize("name", TEXT_QUESTIONS)
def test_hostile_text_is_refused_by_every_text_question(name: str) -> None:
    """No character that means something to YAML, a shell, Jinja, Go, make or Docker passes."""
    assert [answer for answer in HOSTILE if not find_error(name, answer)] == []


@pytest.mark.parametrize("name", TEXT_QUESTIONS)
def test_a_refusal_is_one_short_line_of_plain_ascii(name: str) -> None:
    """Not even a refusal repeats what could do harm on a terminal or fill it."""
    for answer in HOSTILE:
        said = find_error(name, answer)
        assert said.isascii()
        assert said.isprintable()
        assert len(said) < 300
        [unknown] = find_errors({answer: "x"})
        assert unknown.isascii()
        assert unknown.isprintable()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("project_name", "a"),
        ("project_name", "a" * 40),
        ("image_repository", "localhost:5000/a/b_c/d--e"),
        ("image_repository", "placement"),
        ("base_image", "debian"),
        ("base_image", f"registry:5000/debian:13@sha256:{'0' * 64}"),
        ("keystone_auth_url", "http://[::1]:5000/v3"),
        ("keystone_auth_url", "https://Keystone.Example.com/identity/v3/"),
        ("keystone_memcached_servers", "10.0.0.1:11211,[::1]:11211,memcached:1"),
        ("host", "a.b-c.example"),
        ("network_policy", "Yes"),
        ("network_policy", "false"),
        ("replicas", "0"),
        ("replicas", 0),
        ("keystone_project_name", "A project of mine @home"),
    ],
)
def test_what_is_unusual_but_right_is_accepted(name: str, answer: object) -> None:
    """The limits themselves are inside."""
    assert find_error(name, answer) == ""


@pytest.mark.parametrize(
    ("deployed", "wanted", "allowed"),
    [
        ("2025.1", "2025.1", True),
        ("2025.1", "2025.2", True),
        ("2025.1", "2026.1", True),  # from a SLURP release to the next one
        ("2025.1", "2026.2", False),
        ("2025.2", "2026.1", True),
        ("2025.2", "2026.2", False),  # 2025.2 is no SLURP release
        ("2025.2", "2025.1", False),
        ("2026.1", "2026.2", True),
        ("2026.2", "2026.1", False),
        ("2026.2", "2025.1", False),
        ("2024.2", "2025.1", True),  # no longer offered, and left behind
        ("2024.1", "2025.1", True),
        ("2024.1", "2025.2", False),
    ],
)
def test_release_steps(deployed: str, wanted: str, allowed: bool) -> None:
    """What OpenStack supports, and no way back."""
    said = release_step(deployed, wanted)
    assert (said == "") == allowed
    if not allowed:
        assert said.startswith("release: ")
        assert "; use " in said


def test_an_answer_to_a_question_that_is_not_asked_has_no_effect() -> None:
    """It is as if the question had been left alone."""
    answers: dict[str, Any] = {
        "keystone_region": "elsewhere",
        "database_secret": "other",
        "host": "example.com",
        "tls_secret": "certificate",
    }
    assert Deployment(**answers) == Deployment()


@pytest.mark.parametrize(
    ("answers", "errors"),
    [
        ({"replicas": 3, "exposure": "ingress"}, ["replicas: ", "exposure: "]),
        ({"scaling": "autoscale"}, ["scaling: "]),
        ({"replicas": "many", "colour": "blue"}, ["replicas: ", "'colour': "]),
    ],
)
def test_an_invalid_deployment_cannot_be_constructed(
    answers: dict[str, Any], errors: list[str]
) -> None:
    """The exception has every message of the gate."""
    with pytest.raises(ValidationError) as refused:
        Deployment(**answers)
    messages = find_errors(answers)
    assert [message.partition(" ")[0] + " " for message in messages] == errors
    assert all(message in str(refused.value) for message in messages)


def test_a_deployment_cannot_be_changed() -> None:
    """An assignment could make it invalid."""
    with pytest.raises(ValidationError, match="frozen"):
        Deployment().replicas = 3  # type: ignore[misc]


def test_every_conditional_question_is_asked_with_some_answers() -> None:
    """A condition names a question, earlier questions, and choices that these have."""
    for name, condition in ASKED_WHEN.items():
        for question, accepted in condition.items():
            assert QUESTIONS.index(question) < QUESTIONS.index(name)
            assert set(accepted) < set(get_args(Answers.model_fields[question].annotation))
    deployments = [
        Deployment(database="mysql", auth_strategy="keystone", exposure="ingress"),
        Deployment(database="mysql", scaling="autoscale"),
        Deployment(auth_strategy="keystone", exposure="gateway"),
    ]
    assert list(ASKED_WHEN) == [
        name
        for name in QUESTIONS
        if not all(deployment.is_asked(name) for deployment in deployments)
        and any(deployment.is_asked(name) for deployment in deployments)
    ]


def test_problems_of_single_answers_come_before_those_of_the_whole() -> None:
    """What is no answer at all cannot contradict another one."""
    assert find_errors({"replicas": "x", "exposure": "ingress"}) == [
        "replicas: 'x' is not valid; use a whole number from 0 to 2147483647"
    ]


def test_image_carries_the_release() -> None:
    """One image for each release, so the tag says which."""
    deployment = Deployment(image_repository="registry.example.com/placement", release="2025.2")
    assert deployment.image == "registry.example.com/placement:2025.2"
    assert deployment.placement_version == RELEASES["2025.2"]["placement"]


@pytest.mark.parametrize(
    ("answers", "processes", "threads", "scale"),
    [
        ({}, 1, 1, "one process"),
        ({"database": "mysql"}, 2, 4, "1 replica"),
        ({"database": "mysql", "replicas": 3}, 2, 4, "3 replicas"),
        ({"database": "mysql", "replicas": 0}, 2, 4, "0 replicas (stopped)"),
        ({"database": "postgresql", "scaling": "autoscale"}, 2, 4, "2 to 10 replicas"),
    ],
)
def test_size(answers: dict[str, Any], processes: int, threads: int, scale: str) -> None:
    """SQLite gets one process with one thread, whatever else is answered."""
    it = Deployment(**answers)
    assert (it.processes, it.threads) == (processes, threads)
    assert it.scale_title == scale


def test_settings_with_a_password() -> None:
    """What [keystone_authtoken] needs, and where the secrets come from."""
    it = Deployment(
        database="postgresql",
        auth_strategy="keystone",
        keystone_memcached_servers="memcached:11211",
        keystone_ca_secret="ca",
    )
    prefix = "OS_KEYSTONE_AUTHTOKEN__"
    assert it.settings == {
        "OS_API__AUTH_STRATEGY": "keystone",
        f"{prefix}AUTH_TYPE": "password",
        f"{prefix}AUTH_URL": "http://keystone.openstack.svc:5000/v3",
        f"{prefix}WWW_AUTHENTICATE_URI": "http://keystone.openstack.svc:5000",
        f"{prefix}REGION_NAME": "RegionOne",
        f"{prefix}INTERFACE": "internal",
        f"{prefix}SERVICE_TYPE": "placement",
        f"{prefix}SERVICE_TOKEN_ROLES_REQUIRED": "True",
        f"{prefix}HTTP_CONNECT_TIMEOUT": "5",
        f"{prefix}PROJECT_NAME": "service",
        f"{prefix}PROJECT_DOMAIN_NAME": "Default",
        f"{prefix}USER_DOMAIN_NAME": "Default",
        f"{prefix}MEMCACHED_SERVERS": "memcached:11211",
        f"{prefix}MEMCACHE_SECURITY_STRATEGY": "ENCRYPT",
        f"{prefix}CAFILE": "/etc/placement/keystone-ca/ca.crt",
    }
    assert it.secrets == {
        "OS_PLACEMENT_DATABASE__CONNECTION": ("placement-database", "connection"),
        f"{prefix}USERNAME": ("placement-keystone", "username"),
        f"{prefix}PASSWORD": ("placement-keystone", "password"),
        f"{prefix}MEMCACHE_SECRET_KEY": ("placement-keystone", "memcache_secret_key"),
    }


def test_settings_with_an_application_credential() -> None:
    """It belongs to a project already, so none is named."""
    it = Deployment(auth_strategy="keystone", keystone_auth_type="v3applicationcredential")
    assert not [name for name in it.settings if "PROJECT" in name or "DOMAIN" in name]
    assert it.secrets == {
        "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_ID": ("placement-keystone", "id"),
        "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_SECRET": ("placement-keystone", "secret"),
    }


def test_settings_of_the_default() -> None:
    """noauth2 on SQLite needs neither Keystone nor a secret."""
    assert Deployment().settings == {"OS_API__AUTH_STRATEGY": "noauth2"}
    assert Deployment().secrets == {}


def test_connections_follow_from_the_largest_size() -> None:
    """Each thread has a connection, and as many again are in reserve; SQLite has no server."""
    assert Deployment(database="mysql", replicas=3).connections == 3 * 2 * 4 * 2
    autoscaled = Deployment(database="mysql", scaling="autoscale", autoscale_max=7)
    assert autoscaled.connections == 7 * 2 * 4 * 2


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
def test_the_development_stack_has_what_is_needed(
    answers: dict[str, Any], services: list[str]
) -> None:
    """Its servers take the place of those that the answers name; all else is as deployed."""
    it = Deployment(**answers)
    assert it.dev_services == services
    assert it.dev_settings.keys() == it.settings.keys()
    assert it.dev_secret_settings.keys() == it.secrets.keys()
    moved = {name for name, value in it.settings.items() if it.dev_settings[name] != value}
    assert {name.partition("__")[2] for name in moved} == (
        {"AUTH_URL", "WWW_AUTHENTICATE_URI"} if it.keystone else set()
    ) | ({"MEMCACHED_SERVERS"} if it.keystone_memcached_servers else set())


def test_the_development_stack_of_the_default_needs_nothing_more() -> None:
    it = Deployment()
    assert it.dev_environment == {"OS_API__AUTH_STRATEGY": "noauth2"}
    assert it.dev_mounts == ["data:/var/lib/placement"]
    assert it.dev_volumes == ["data"]
    assert it.dev_token == "admin"
    assert it.makefiles == []


def test_the_development_stack_with_all_servers_has_their_volumes_and_makefiles() -> None:
    """Memcached keeps no data, and the CA certificate of Keystone reaches Placement by a volume."""
    it = Deployment(
        database="mysql",
        auth_strategy="keystone",
        keystone_memcached_servers="m:11211",
        keystone_ca_secret="ca",
    )
    assert it.dev_environment == {**it.dev_settings, **it.dev_secret_settings}
    assert it.dev_mounts == ["data:/var/lib/placement", "keystone-ca:/etc/placement/keystone-ca:ro"]
    assert it.dev_volumes == ["data", "mariadb", "keystone", "keystone-ca"]
    assert it.dev_token == "$$(make -s token)"
    assert it.makefiles == [
        "dev/stack/servers/servers.mk",
        "dev/stack/keystone/keystone.mk",
        "dev/cluster/secrets.mk",
    ]


@pytest.mark.parametrize(
    ("answers", "address"),
    [
        ({"exposure": "ingress", "host": "a.example"}, "http://a.example"),
        ({"exposure": "ingress", "host": "a.example", "tls_secret": "t"}, "https://a.example"),
        ({"exposure": "gateway", "host": "a.example", "tls_secret": "t"}, "a.example"),
    ],
)
def test_address(answers: dict[str, Any], address: str) -> None:
    """Only the Ingress's certificate is known here."""
    assert Deployment(allow_noauth2_exposure=True, **answers).address == address


@pytest.mark.parametrize("answers", VARIANTS.values(), ids=VARIANTS)
def test_the_example_of_a_change_can_be_made(answers: dict[str, Any]) -> None:
    """The README's command works as it stands, and changes something."""
    name, _, value = Deployment(**answers).example_change.partition("=")
    assert find_errors({**answers, name: value}) == []
    assert Deployment(**{**answers, name: value}) != Deployment(**answers)


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
    """The first is for people, the second for `make e2e URL=`."""
    deployment = Deployment(allow_noauth2_exposure=True, **answers)
    assert deployment.address_title == title
    if url:
        assert deployment.public_url == url


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
    """As a sentence lists it."""
    assert Deployment(**answers).stack_title == title


def test_diagram_has_a_line_for_each_part() -> None:
    """The first line names the kind of picture."""
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
    """Four for every deployment, and one for each part that not every deployment has."""
    always = {"kubernetes.md", "upgrades.md", "devstack.md", "placedock.md"}
    assert Deployment().pages.keys() == always
    answers: dict[str, Any] = {
        "database": "mysql",
        "scaling": "autoscale",
        "auth_strategy": "keystone",
        "exposure": "gateway",
    }
    more = {"database.md", "autoscaling.md", "keystone.md", "exposure.md"}
    assert Deployment(**answers).pages.keys() == always | more


@pytest.mark.parametrize(
    ("ci", "place"),
    [("github", ".github/workflows/"), ("gitlab", ".gitlab-ci.local.yml"), ("none", None)],
)
def test_own_places_include_only_this_ci_services(ci: str, place: str | None) -> None:
    """The others are the same for all."""
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
    """With noauth2 it states the danger."""
    assert Deployment(**answers).auth_title == title


def test_keystone_keys_and_token_example() -> None:
    """As docs/keystone.md and the quick start print them."""
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


def test_connections_per_pod_add_up() -> None:
    """The whole deployment opens as many times what one pod opens."""
    deployment = Deployment(database="postgresql", replicas=3)
    assert deployment.connections_per_pod == 16
    assert deployment.connections == 48
    assert deployment.local_database_title == "PostgreSQL"


def test_a_release_left_long_ago_needs_an_older_template() -> None:
    """No release that is offered follows it."""
    assert "update to an older version of this template first" in release_step("2023.1", "2026.2")


def test_a_registry_on_this_host_is_one_that_others_do_not_reach() -> None:
    """With a port it is a registry all the same, as in a cluster's own tests."""
    assert Deployment().image_is_local
    assert not Deployment(image_repository="localhost:5000/placement").image_is_local
    assert not Deployment(image_repository="registry.example.com/placement").image_is_local


def test_secrets_that_share_a_name_are_made_once() -> None:
    """One Secret with all its keys; a second command of the same name would fail."""
    it = Deployment(
        database="mysql",
        auth_strategy="keystone",
        database_secret="placement",
        keystone_secret="placement",
        keystone_ca_secret="ca",
        image_pull_secret="pull",
        exposure="ingress",
        tls_secret="tls",
    )
    assert it.cluster_secrets == [
        "placement:connection,username,password",
        "ca:ca.crt",
        "tls:tls.crt,tls.key:kubernetes.io/tls",
        "pull:.dockerconfigjson:kubernetes.io/dockerconfigjson",
    ]
