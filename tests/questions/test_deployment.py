"""The answers together, and the values of the container and the cluster."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from extensions.deployment import QUESTIONS, Deployment, find_errors
from extensions.deployment.answers import Answers, Topic
from extensions.deployment.conditions import ASKED_WHEN
from extensions.releases import RELEASES


def test_answer_to_a_question_that_is_not_asked_has_no_effect() -> None:
    """The field has its default."""
    answers: dict[str, Any] = {
        "keystone_region": "elsewhere",
        "database_secret": "other",
        "host": "example.com",
        "tls_secret": "certificate",
    }
    assert Deployment(**answers) == Deployment()


def test_secret_of_a_question_that_is_not_asked_has_no_type() -> None:
    """Without an Ingress, nothing uses `tls_secret`."""
    assert find_errors({"image_pull_secret": "one", "tls_secret": "one"}) == []


@pytest.mark.parametrize(
    ("answers", "errors"),
    [
        ({"replicas": 3, "exposure": "ingress"}, ["replicas: ", "exposure: "]),
        ({"scaling": "autoscale"}, ["scaling: "]),
        ({"replicas": "many", "colour": "blue"}, ["replicas: ", "'colour': "]),
    ],
)
def test_invalid_deployment_cannot_be_constructed(
    answers: dict[str, Any], errors: list[str]
) -> None:
    """The exception contains every message of the gate."""
    with pytest.raises(ValidationError) as refused:
        Deployment(**answers)
    messages = find_errors(answers)
    assert [message.partition(" ")[0] + " " for message in messages] == errors
    assert all(message in str(refused.value) for message in messages)


def test_deployment_cannot_be_changed() -> None:
    """An assignment could make it invalid."""
    with pytest.raises(ValidationError, match="frozen"):
        Deployment().replicas = 3  # type: ignore[misc]


def test_changed_copy_is_validated() -> None:
    """Pydantic's own `model_copy` skips validation."""
    deployment = Deployment(database="mysql", replicas=3)
    assert deployment.model_copy() == deployment
    assert deployment.model_copy(update={"replicas": 4}).replicas == 4
    with pytest.raises(ValidationError, match="replicas: SQLite serves a single process, not 3"):
        deployment.model_copy(update={"database": "sqlite"})
    with pytest.raises(ValidationError, match="'colour': no such question"):
        deployment.model_copy(update={"colour": "blue"})


@pytest.mark.parametrize(
    "topic",
    [topic for topic in Deployment.__mro__[1:] if issubclass(topic, Topic)],
    ids=lambda topic: topic.__name__,
)
def test_topic_alone_cannot_be_constructed(topic: type[Topic]) -> None:
    """It would accept answers that do not go together."""
    with pytest.raises(TypeError, match="abstract"):
        topic()
    with pytest.raises(TypeError, match="abstract"):
        topic.model_validate({"database": "sqlite", "replicas": 4})


def test_conditional_questions_are_asked_with_some_answers() -> None:
    """A condition names earlier questions and their choices."""
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


def test_contradictions_are_reported_after_single_answers_are_valid() -> None:
    """An invalid answer cannot contradict another one."""
    assert find_errors({"replicas": "x", "exposure": "ingress"}) == [
        "replicas: 'x' is not valid; use a whole number from 0 to 2147483647"
    ]


def test_image_tag_is_the_release() -> None:
    """Each release has its own image."""
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
    """With SQLite there is always one process with one thread."""
    deployment = Deployment(**answers)
    assert (deployment.processes, deployment.threads) == (processes, threads)
    assert deployment.scale_title == scale


def test_settings_with_a_password() -> None:
    """The options of [keystone_authtoken], and the Secrets for the secret ones."""
    deployment = Deployment(
        database="postgresql",
        auth_strategy="keystone",
        keystone_memcached_servers="memcached:11211",
        keystone_ca_secret="ca",
    )
    prefix = "OS_KEYSTONE_AUTHTOKEN__"
    assert deployment.settings == {
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
        f"{prefix}MEMCACHE_POOL_DEAD_RETRY": "15",
        f"{prefix}CAFILE": "/etc/placement/keystone-ca/ca.crt",
    }
    assert deployment.secrets == {
        "OS_PLACEMENT_DATABASE__CONNECTION": ("placement-database", "connection"),
        f"{prefix}USERNAME": ("placement-keystone", "username"),
        f"{prefix}PASSWORD": ("placement-keystone", "password"),
        f"{prefix}MEMCACHE_SECRET_KEY": ("placement-keystone", "memcache_secret_key"),
    }


def test_settings_with_an_application_credential() -> None:
    """An application credential belongs to a project already."""
    deployment = Deployment(auth_strategy="keystone", keystone_auth_type="v3applicationcredential")
    assert not [name for name in deployment.settings if "PROJECT" in name or "DOMAIN" in name]
    assert deployment.secrets == {
        "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_ID": ("placement-keystone", "id"),
        "OS_KEYSTONE_AUTHTOKEN__APPLICATION_CREDENTIAL_SECRET": ("placement-keystone", "secret"),
    }


def test_settings_of_the_default() -> None:
    """noauth2 with SQLite needs neither Keystone nor a Secret."""
    assert Deployment().settings == {"OS_API__AUTH_STRATEGY": "noauth2"}
    assert Deployment().secrets == {}


def test_connections_follow_from_the_largest_number_of_replicas() -> None:
    """Each thread has a connection, and the pool may open as many again."""
    assert Deployment(database="mysql", replicas=3).connections == 3 * 2 * 4 * 2
    autoscaled = Deployment(database="mysql", scaling="autoscale", autoscale_max=7)
    assert autoscaled.connections == 7 * 2 * 4 * 2


@pytest.mark.parametrize(
    ("answers", "address"),
    [
        ({"exposure": "ingress", "host": "a.example"}, "http://a.example"),
        ({"exposure": "ingress", "host": "a.example", "tls_secret": "t"}, "https://a.example"),
        ({"exposure": "gateway", "host": "a.example", "tls_secret": "t"}, "a.example"),
    ],
)
def test_address(answers: dict[str, Any], address: str) -> None:
    """Only an Ingress's certificate is known here."""
    assert Deployment(allow_noauth2_exposure=True, **answers).address == address


def test_connections_per_pod_add_up() -> None:
    """A deployment opens as many connections as its pods together."""
    deployment = Deployment(database="postgresql", replicas=3)
    assert deployment.connections_per_pod == 16
    assert deployment.connections == 48
    assert deployment.local_database_title == "PostgreSQL"


def test_image_in_a_registry_on_this_host_is_not_local() -> None:
    """With a port, localhost is a registry, as in the cluster's tests."""
    assert Deployment().image_is_local
    assert not Deployment(image_repository="localhost:5000/placement").image_is_local
    assert not Deployment(image_repository="registry.example.com/placement").image_is_local


def test_secrets_with_the_same_name_are_merged() -> None:
    """A second `kubectl create` of the same name would fail."""
    deployment = Deployment(
        database="mysql",
        auth_strategy="keystone",
        database_secret="placement",
        database_admin_secret="admin",
        keystone_secret="placement",
        keystone_ca_secret="ca",
        image_pull_secret="pull",
        exposure="ingress",
        tls_secret="tls",
    )
    assert deployment.cluster_secrets == [
        "placement:connection,username,password",
        "admin:connection",
        "ca:ca.crt",
        "tls:tls.crt,tls.key:kubernetes.io/tls",
        "pull:.dockerconfigjson:kubernetes.io/dockerconfigjson",
    ]
