"""The answers: one field for each question of copier.yml, with the same name and default.

`rules.py` defines what a single answer may be, `conditions.py` when its question is asked.
Which answers go together is defined here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..rules import (
    BaseImage,
    HostName,
    HostPorts,
    HttpUrl,
    ImageRepository,
    KeystoneName,
    Namespace,
    Percent,
    PositiveReplicas,
    ProjectName,
    Release,
    Replicas,
    YesOrNo,
    object_name,
    shown,
)


class Answers(BaseModel, extra="forbid", frozen=True):
    """Answers that are valid one by one; a `Deployment` also proves that they go together."""

    project_name: ProjectName = "placement"
    release: Release = "2026.2"
    image_repository: ImageRepository = "localhost/placement"
    image_pull_secret: Annotated[str, object_name("registry-credentials", optional=True)] = ""
    base_image: BaseImage = "docker.io/library/debian:trixie-slim"
    database: Literal["sqlite", "postgresql", "mysql"] = "sqlite"
    database_secret: Annotated[str, object_name("placement-database")] = "placement-database"
    database_admin_secret: Annotated[str, object_name("database-admin", optional=True)] = ""
    auth_strategy: Literal["noauth2", "keystone"] = "noauth2"
    keystone_auth_url: HttpUrl = "http://keystone.openstack.svc:5000/v3"
    keystone_public_url: HttpUrl = "http://keystone.openstack.svc:5000"
    keystone_auth_type: Literal["password", "v3applicationcredential"] = "password"
    keystone_secret: Annotated[str, object_name("placement-keystone")] = "placement-keystone"
    keystone_admin_secret: Annotated[str, object_name("keystone-admin", optional=True)] = ""
    keystone_project_name: KeystoneName = "service"
    keystone_project_domain_name: KeystoneName = "Default"
    keystone_user_domain_name: KeystoneName = "Default"
    keystone_region: KeystoneName = "RegionOne"
    keystone_interface: Literal["internal", "public", "admin"] = "internal"
    keystone_memcached_servers: HostPorts = ""
    keystone_ca_secret: Annotated[str, object_name("internal-ca", optional=True)] = ""
    scaling: Literal["fixed", "autoscale"] = "fixed"
    replicas: Replicas = 1
    autoscale_min: PositiveReplicas = 2
    autoscale_max: PositiveReplicas = 10
    autoscale_cpu_percent: Percent = 50
    allow_noauth2_exposure: YesOrNo = False
    exposure: Literal["none", "ingress", "gateway"] = "none"
    host: HostName = "placement.local"
    ingress_class: Annotated[str, object_name("traefik", optional=True)] = ""
    gateway_name: Annotated[str, object_name("gateway")] = "gateway"
    gateway_namespace: Namespace = ""
    tls_secret: Annotated[str, object_name("placement-tls", optional=True)] = ""
    network_policy: YesOrNo = False
    ci: Literal["github", "gitlab", "none"] = "github"
    gitops: Literal["none", "argocd", "flux"] = "none"


class Topic(Answers, defer_build=True):
    """The base of each topic's properties. It is abstract: only a `Deployment` can be constructed.

    A topic alone would accept answers that do not go together.
    """

    @abstractmethod
    def is_asked(self, name: str) -> bool:
        """Return whether this question is asked after these answers."""


QUESTIONS = tuple(Answers.model_fields)


def contradictions(answers: Answers) -> Iterator[str]:
    """Report which answers do not go together, and how to fix that."""
    sqlite = answers.database == "sqlite"
    autoscaled = answers.scaling == "autoscale"
    if sqlite and autoscaled:
        yield (
            "scaling: SQLite serves a single process and cannot be autoscaled; "
            "set database to postgresql or mysql, or scaling to fixed"
        )
    if sqlite and answers.replicas != 1:
        yield (
            f"replicas: SQLite serves a single process, not {answers.replicas} replicas; "
            "set replicas to 1, or database to postgresql or mysql"
        )
    anonymous = answers.auth_strategy == "noauth2" and not answers.allow_noauth2_exposure
    if answers.exposure != "none" and anonymous:
        yield (
            f"exposure: with noauth2, every client that reaches the {answers.exposure} is admin; "
            "set auth_strategy to keystone, or exposure to none, "
            "or in a lab allow_noauth2_exposure to true"
        )
    if autoscaled and answers.autoscale_min > answers.autoscale_max:
        yield (
            f"autoscale_min: {answers.autoscale_min} is greater than autoscale_max, which is "
            f"{answers.autoscale_max}; lower autoscale_min or raise autoscale_max"
        )
    if not sqlite and answers.database_admin_secret == answers.database_secret:
        yield (
            f"database_admin_secret: {answers.database_admin_secret} is also the database_secret, "
            "but only one of them holds the URL of an administrator; "
            "set database_admin_secret to another Secret"
        )
    with_tls = answers.exposure == "ingress" and answers.tls_secret
    if with_tls and answers.tls_secret == answers.image_pull_secret:
        yield (
            f"tls_secret: {answers.tls_secret} is also the image_pull_secret, "
            "but a Secret has only one type; "
            "set tls_secret to a Secret of type kubernetes.io/tls"
        )


def find_errors(answers: Mapping[str, object]) -> list[str]:
    """List everything that is wrong: with single answers, or else with all of them together."""
    return find_single_errors(answers) or list(
        contradictions(Answers.model_validate(dict(answers)))
    )


def find_single_errors(answers: Mapping[str, object]) -> list[str]:
    """List what is wrong with each of these answers by itself."""
    return [
        f"{name}: {error}" if name in QUESTIONS else f"{shown(name)}: {error}"
        for name, value in answers.items()
        if (error := find_error(name, value) if name in QUESTIONS else _unknown(str(name)))
    ]


def find_error(name: str, value: object) -> str:
    """Return what is wrong with one answer by itself, or nothing."""
    try:
        _rule(name).validate_python(value)
    except ValidationError as error:
        # Pydantic has several errors for a choice: text that is not Unicode has one of its own.
        if choices := get_args(Answers.model_fields[name].annotation):
            return f"{shown(value)} is not a choice; use {', '.join(choices[:-1])} or {choices[-1]}"
        return str(error.errors()[0]["ctx"]["error"])
    return ""


@cache
def _rule(name: str) -> TypeAdapter[Any]:
    field = Answers.model_fields[name]
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]


def _unknown(name: str) -> str:
    close = get_close_matches(name, QUESTIONS, 1) or get_close_matches(name.lower(), QUESTIONS, 1)
    hint = (
        f"did you mean {close[0]}?" if close else "see docs/reference/questions.md of the template"
    )
    return f"no such question; {hint}"
