"""What the answers are together, and what follows from them.

`Deployment` knows nothing of Copier: `context.py` hands it the answers, templates print its
properties. A field is a question of `copier.yml`, with the same name and the same default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, PrivateAttr, TypeAdapter, ValidationError

from .chart_values import Section, sections
from .releases import RELEASES
from .rules import (
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


class Deployment(BaseModel, extra="forbid"):
    """A Placement as the answers describe it, and all that templates need to know of it."""

    project_name: ProjectName = "placement"
    release: Release = "2026.2"
    image_repository: ImageRepository = "localhost/placement"
    image_pull_secret: Annotated[str, object_name("registry-credentials", optional=True)] = ""
    base_image: BaseImage = "docker.io/library/debian:trixie-slim"
    database: Literal["sqlite", "postgresql", "mysql"] = "sqlite"
    database_secret: Annotated[str, object_name("placement-database")] = "placement-database"
    auth_strategy: Literal["noauth2", "keystone"] = "noauth2"
    keystone_auth_url: HttpUrl = "http://keystone.openstack.svc:5000/v3"
    keystone_public_url: HttpUrl = "http://keystone.openstack.svc:5000"
    keystone_auth_type: Literal["password", "v3applicationcredential"] = "password"
    keystone_secret: Annotated[str, object_name("placement-keystone")] = "placement-keystone"
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

    _contradictions: list[str] = PrivateAttr(default_factory=list)

    def model_post_init(self, _: object) -> None:
        """Give an answer to a question that is not asked its default: it has no effect.

        What such an answer contradicts is found first, by `contradictions`.
        """
        self._contradictions = list(contradictions(self))
        for name in QUESTIONS:
            if not self.is_asked(name):
                setattr(self, name, type(self).model_fields[name].default)

    # What a person answered, in words that templates branch on.

    @property
    def autoscaled(self) -> bool:
        """A HorizontalPodAutoscaler owns the number of replicas."""
        return self.scaling == "autoscale"

    @property
    def exposed(self) -> bool:
        """Placement is reachable from outside the cluster, at `host`."""
        return self.exposure != "none"

    @property
    def keystone(self) -> bool:
        """Keystone decides who may ask."""
        return self.auth_strategy == "keystone"

    @property
    def sqlite(self) -> bool:
        """The database is a file beside the one process that serves."""
        return self.database == "sqlite"

    # What follows from it.

    @property
    def placement_version(self) -> str:
        """The version of openstack-placement that the release brings (source: releases/)."""
        return str(RELEASES[self.release]["placement"])

    @property
    def image(self) -> str:
        """The image that `make build` makes: one for each release, never `latest`."""
        return f"{self.image_repository}:{self.release}"

    @property
    def image_is_local(self) -> bool:
        """The image's name is of no registry that another host could pull it from."""
        return self.image_repository.startswith("localhost/")

    @property
    def processes(self) -> int:
        """Processes of each container; SQLite fails with "database is locked" from two on.

        Source: measured, 28 to 290 errors in 4 s of writes for every shape but one process with
        one thread, none for that (docs/explanation/serving.md).
        """
        return 1 if self.sqlite else 2

    @property
    def threads(self) -> int:
        """Threads of each process; four hide the round trips to a remote database, ten cost."""
        return 1 if self.sqlite else 4

    @property
    def database_title(self) -> str:
        """The database as its makers write it."""
        return {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL or MariaDB"}[
            self.database
        ]

    @property
    def scale_title(self) -> str:
        """How many replicas, in words."""
        if self.sqlite:
            return "one process"
        if self.autoscaled:
            return f"{self.autoscale_min} to {self.autoscale_max} replicas"
        if self.replicas == 0:
            return "stopped"
        return "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"

    @property
    def auth_title(self) -> str:
        """How requests are authenticated, in words."""
        if not self.keystone:
            return "noauth2; every client that reaches Placement is admin"
        login = {"password": "a password", "v3applicationcredential": "an application credential"}
        return f"Keystone; Placement logs in with {login[self.keystone_auth_type]}"

    @property
    def address(self) -> str:
        """Where clients find it; whether by TLS, a Gateway's listener decides for itself."""
        if self.exposure == "gateway":
            return self.host
        return f"{'https' if self.tls_secret else 'http'}://{self.host}"

    @property
    def example_change(self) -> str:
        """A change of an answer that is possible here, as one writes it after `--data`."""
        if self.sqlite:
            return "database=postgresql"
        if self.autoscaled:
            return f"autoscale_cpu_percent={60 if self.autoscale_cpu_percent != 60 else 70}"
        return f"replicas={self.replicas + 1 if self.replicas < 10 else 3}"

    @property
    def database_driver(self) -> str:
        """What a database URL begins with, for the driver that the image has."""
        return {"sqlite": "sqlite", "postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}[
            self.database
        ]

    @property
    def connections(self) -> int:
        """How many connections to the database this deployment opens at most.

        Each thread has one, and as many again are in reserve (shared/entrypoint/server.py).
        """
        most = self.autoscale_max if self.autoscaled else self.replicas
        return most * self.connections_per_pod

    @property
    def connections_per_pod(self) -> int:
        """How many of these belong to one pod."""
        return self.processes * self.threads * 2

    def is_asked(self, name: str) -> bool:
        """Tell whether this question is put to a person who answered the others like this."""
        asked = ASKED_WHEN.get(name)
        return asked is None or asked(self)

    @property
    def answers(self) -> dict[str, str]:
        """The answers to the questions that were asked, as one writes them after `--data`."""
        asked = (name for name in QUESTIONS if self.is_asked(name))
        texts = {name: getattr(self, name) for name in asked}
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in texts.items()
        }

    @cached_property
    def settings(self) -> dict[str, str]:
        """The environment of the container that follows from the answers; no secret is in it.

        Values are literal; a `$` cannot occur in any of them.
        """
        settings: dict[str, str] = {"OS_API__AUTH_STRATEGY": self.auth_strategy}
        if self.keystone:
            for option, value in self._keystone_authtoken().items():
                settings[f"OS_KEYSTONE_AUTHTOKEN__{option.upper()}"] = value
        return settings

    def _keystone_authtoken(self) -> dict[str, str]:
        """The options of [keystone_authtoken] that are no secret.

        Service tokens are required because keystonemiddleware does so only from 13.0.0 on
        (its release note), and 2026.1 has 12.0.0.
        """
        options: dict[str, str] = {
            "auth_type": self.keystone_auth_type,
            "auth_url": self.keystone_auth_url,
            "www_authenticate_uri": self.keystone_public_url,
            "region_name": self.keystone_region,
            "interface": self.keystone_interface,
            "service_type": "placement",
            "service_token_roles_required": "True",
            # Unsaid, a Keystone that takes a connection and is silent holds each request for ever.
            "http_connect_timeout": "5",
        }
        if self.keystone_auth_type == "password":
            options["project_name"] = self.keystone_project_name
            options["project_domain_name"] = self.keystone_project_domain_name
            options["user_domain_name"] = self.keystone_user_domain_name
        if self.keystone_memcached_servers:
            options["memcached_servers"] = self.keystone_memcached_servers
            options["memcache_security_strategy"] = "ENCRYPT"
        if self.keystone_ca_secret:
            options["cafile"] = self.keystone_ca_file
        return options

    @property
    def keystone_ca_file(self) -> str:
        """Where the container finds the certificate that Keystone's is checked against."""
        return "/etc/placement/keystone-ca/ca.crt"

    @property
    def chart_settings(self) -> dict[str, str]:
        """The same as the chart's values; the path of a file that it mounts it says itself."""
        mounted = "OS_KEYSTONE_AUTHTOKEN__CAFILE"
        return {name: value for name, value in self.settings.items() if name != mounted}

    @property
    def chart_values(self) -> list[Section]:
        """The sections of values.yaml, which hands the answers to the chart."""
        return list(sections(self))

    @cached_property
    def secrets(self) -> dict[str, tuple[str, str]]:
        """Each variable of the container that is a secret: the Secret that holds it, its key."""
        secrets = {}
        if not self.sqlite:
            secrets["OS_PLACEMENT_DATABASE__CONNECTION"] = (self.database_secret, "connection")
        if self.keystone:
            for option, key in self._keystone_secret_keys().items():
                variable = f"OS_KEYSTONE_AUTHTOKEN__{option.upper()}"
                secrets[variable] = (self.keystone_secret, key)
        return secrets

    @property
    def egress(self) -> list[tuple[str, int]]:
        """The servers that Placement connects to, each with its port; the database's usual one.

        Where the database is only its Secret says.
        """
        database = {"postgresql": [("PostgreSQL", 5432)], "mysql": [("MySQL or MariaDB", 3306)]}
        servers = database.get(self.database, [])
        if self.keystone:
            servers.append(("Keystone", port_of(self.keystone_auth_url)))
        memcached = filter(None, self.keystone_memcached_servers.split(","))
        ports = {int(server.rpartition(":")[2]) for server in memcached}
        return servers + [("memcached", port) for port in sorted(ports)]

    @cached_property
    def cluster_secrets(self) -> list[str]:
        """Each Secret that the deployment needs, as `name:key,key`, or `name:key,key:type`."""
        needed = [(secret, key, "") for secret, key in self.secrets.values()]
        if self.keystone_ca_secret:
            needed.append((self.keystone_ca_secret, "ca.crt", ""))
        if self.tls_secret:
            needed += [
                (self.tls_secret, key, ":kubernetes.io/tls") for key in ("tls.crt", "tls.key")
            ]
        if self.image_pull_secret:
            config = (".dockerconfigjson", ":kubernetes.io/dockerconfigjson")
            needed.append((self.image_pull_secret, *config))
        keys: dict[str, list[str]] = {}
        types: dict[str, str] = {}
        for secret, key, kind in needed:
            keys.setdefault(secret, []).append(key)
            types[secret] = types.get(secret) or kind
        return [f"{secret}:{','.join(keys[secret])}{types[secret]}" for secret in keys]

    # The development stack: what `make up` runs beside Placement on one host.

    @property
    def dev_services(self) -> list[str]:
        """The servers that Placement needs there; each has a folder in dev/stack/servers."""
        servers = {
            "postgresql": self.database == "postgresql",
            "mariadb": self.database == "mysql",
            "memcached": bool(self.keystone_memcached_servers),
            "keystone": self.keystone,
        }
        return [name for name, needed in servers.items() if needed]

    @property
    def dev_secrets(self) -> list[str]:
        """The names of the passwords there, each made up once on the host itself."""
        names = {
            "DATABASE_PASSWORD": not self.sqlite,
            "KEYSTONE_ADMIN_PASSWORD": self.keystone,
            "KEYSTONE_PLACEMENT_PASSWORD": self.keystone,
            "KEYSTONE_CREDENTIAL_SECRET": self.keystone_auth_type == "v3applicationcredential",
            "MEMCACHE_SECRET_KEY": bool(self.keystone_memcached_servers),
        }
        return [name for name, needed in names.items() if needed]

    @property
    def dev_settings(self) -> dict[str, str]:
        """The settings of the container there: the same, but for where its servers are."""
        there = {
            "auth_url": f"{self.dev_keystone_scheme}://keystone:5000/v3",
            "www_authenticate_uri": f"{self.dev_keystone_scheme}://127.0.0.1:${{KEYSTONE_PORT:-5000}}",
            "memcached_servers": "memcached:11211",
        }
        moved = {f"OS_KEYSTONE_AUTHTOKEN__{name.upper()}": value for name, value in there.items()}
        return {name: moved.get(name, value) for name, value in self.settings.items()}

    @property
    def dev_secret_settings(self) -> dict[str, str]:
        """The settings of the container there that hold a secret, as compose fills them in."""
        server = {"postgresql": "postgresql", "mysql": "mariadb"}.get(self.database)
        keystone = {
            "username": "placement",
            "password": "${KEYSTONE_PLACEMENT_PASSWORD:-}",
            "application_credential_id": "${KEYSTONE_CREDENTIAL_ID:-}",
            "application_credential_secret": "${KEYSTONE_CREDENTIAL_SECRET:-}",
            "memcache_secret_key": "${MEMCACHE_SECRET_KEY:-}",
        }
        values = {f"OS_KEYSTONE_AUTHTOKEN__{name.upper()}": it for name, it in keystone.items()}
        values["OS_PLACEMENT_DATABASE__CONNECTION"] = (
            f"{self.database_driver}://placement:${{DATABASE_PASSWORD:-}}@{server}/placement"
        )
        return {name: values[name] for name in self.secrets}

    @property
    def dev_environment(self) -> dict[str, str]:
        """The environment of the container there, as compose.yaml holds it."""
        return {**self.dev_settings, **self.dev_secret_settings}

    @property
    def dev_mounts(self) -> list[str]:
        """The volumes that the container mounts there, and where."""
        mounts = ["data:/var/lib/placement"]
        if self.keystone_ca_secret:
            mounts.append(f"keystone-ca:{self.keystone_ca_file.removesuffix('/ca.crt')}:ro")
        return mounts

    @property
    def dev_volumes(self) -> list[str]:
        """The names of all volumes there; memcached keeps nothing."""
        servers = [name for name in self.dev_services if name != "memcached"]
        return ["data", *servers, *(["keystone-ca"] if self.keystone_ca_secret else [])]

    @property
    def dev_token(self) -> str:
        """An administrator's token there, as the Makefile writes the command that prints it."""
        return "$$(make -s token)" if self.keystone else "admin"

    @property
    def makefiles(self) -> list[str]:
        """The files that the Makefile includes, next to the scripts that they run."""
        files = {
            "dev/stack/servers/servers.mk": bool(self.dev_services),
            "dev/stack/keystone/keystone.mk": self.keystone,
            "dev/cluster/secrets.mk": bool(self.cluster_secrets),
        }
        return [name for name, needed in files.items() if needed]

    @property
    def dev_keystone_scheme(self) -> str:
        """Whether Keystone serves TLS there: where Placement is told which authority to trust."""
        return "https" if self.keystone_ca_secret else "http"

    # What README.md and the pages in docs/ print.

    @property
    def address_title(self) -> str:
        """Where clients find Placement, in words."""
        return self.address if self.exposed else "port 8778, inside the cluster only"

    @property
    def public_url(self) -> str:
        """A URL for tests; where a Gateway listens, TLS or not is unknown here."""
        return self.address if self.exposure == "ingress" else f"http://{self.host}"

    @property
    def local_database_title(self) -> str:
        """The database server that `make up` starts."""
        return {"postgresql": "PostgreSQL", "mysql": "MariaDB"}.get(self.database, "")

    @property
    def diagram(self) -> list[str]:
        """The lines of the picture in README.md, in Mermaid's language."""
        client = f'client -- "{self.address if self.exposed else "port 8778"}" -->'
        lines = ["client([Nova and other clients])"]
        if self.exposed:
            lines += [f"{client} {self.exposure}[{self.exposure.capitalize()}]"]
            lines += [f"{self.exposure} --> placement"]
        else:
            lines += [f"{client} placement"]
        lines += [f'placement["Placement {self.placement_version}<br>{self.scale_title}"]']
        lines += [f"placement --> database[({self.database_title})]"]
        if self.keystone:
            lines += ['placement -- "validates tokens" --> keystone[Keystone]']
        if self.keystone_memcached_servers:
            lines += ['placement -- "caches tokens" --> memcached[(memcached)]']
        return ["flowchart LR", *(f"    {line}" for line in lines)]

    @property
    def stack_title(self) -> str:
        """What `make up` starts, in words."""
        names = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "keystone": "Keystone"}
        *first, last = ["Placement", *(names.get(name, name) for name in self.dev_services)]
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def token_example(self) -> str:
        """A token of an admin, as a shell reads it between double quotes."""
        return "$(make -s token)" if self.keystone else "admin"

    @property
    def keystone_secret_keys(self) -> list[str]:
        """The keys of the Secret that `keystone_secret` names."""
        return list(self._keystone_secret_keys().values())

    @property
    def pages(self) -> dict[str, str]:
        """The pages of docs/ that this deployment has, each with its topics."""
        topics = {
            "kubernetes.md": "image, Secrets, installation, values, load test",
            "exposure.md": "access from outside the cluster" if self.exposed else "",
            "autoscaling.md": "how pods are added and removed" if self.autoscaled else "",
            "database.md": "" if self.sqlite else "URL, TLS, connections, data from SQLite",
            "keystone.md": "tokens, registration, roles" if self.keystone else "",
            "upgrades.md": "changes of settings, template updates, OpenStack upgrades",
            "devstack.md": "running alongside a devstack",
            "placedock.md": "the image's variables and commands, differences from placedock",
        }
        return {page: text for page, text in topics.items() if text}

    @property
    def own_places(self) -> dict[str, str]:
        """The user's own places in this deployment's repository, each with its purpose."""
        places = {
            "values.local.yaml": "values for the chart",
            "gabbits/local/": "HTTP tests that `make test` also runs",
            "Makefile.local": "make targets",
            "compose.override.yaml": "changes to `compose.yaml`",
            "placement-chart/templates/local-*.yaml": "chart templates",
        }
        ci = {
            "github": {".github/workflows/": "further workflow files"},
            "gitlab": {".gitlab-ci.local.yml": "CI jobs"},
        }
        return places | ci.get(self.ci, {})

    def _keystone_secret_keys(self) -> dict[str, str]:
        """The options of [keystone_authtoken] that a Secret holds, and its keys."""
        keys = (
            {"username": "username", "password": "password"}
            if self.keystone_auth_type == "password"
            else {"application_credential_id": "id", "application_credential_secret": "secret"}
        )
        if self.keystone_memcached_servers:
            keys["memcache_secret_key"] = "memcache_secret_key"
        return keys


def port_of(url: str) -> int:
    """Return the port that a client of this URL connects to."""
    parts = urlsplit(url)
    return parts.port or {"http": 80, "https": 443}[parts.scheme]


QUESTIONS = tuple(Deployment.model_fields)

ASKED_WHEN: dict[str, Callable[[Deployment], bool]] = {
    "database_secret": lambda it: not it.sqlite,
    "keystone_auth_url": lambda it: it.keystone,
    "keystone_public_url": lambda it: it.keystone,
    "keystone_auth_type": lambda it: it.keystone,
    "keystone_secret": lambda it: it.keystone,
    "keystone_project_name": lambda it: it.keystone and it.keystone_auth_type == "password",
    "keystone_project_domain_name": lambda it: it.keystone and it.keystone_auth_type == "password",
    "keystone_user_domain_name": lambda it: it.keystone and it.keystone_auth_type == "password",
    "keystone_region": lambda it: it.keystone,
    "keystone_interface": lambda it: it.keystone,
    "keystone_memcached_servers": lambda it: it.keystone,
    "keystone_ca_secret": lambda it: it.keystone,
    "scaling": lambda it: not it.sqlite,
    "replicas": lambda it: not it.sqlite and not it.autoscaled,
    "autoscale_min": lambda it: it.autoscaled,
    "autoscale_max": lambda it: it.autoscaled,
    "autoscale_cpu_percent": lambda it: it.autoscaled,
    "allow_noauth2_exposure": lambda it: not it.keystone,
    "host": lambda it: it.exposed,
    "ingress_class": lambda it: it.exposure == "ingress",
    "gateway_name": lambda it: it.exposure == "gateway",
    "gateway_namespace": lambda it: it.exposure == "gateway",
    "tls_secret": lambda it: it.exposure == "ingress",
}
"""When a question is asked, in reading order; the others always are. copier.yml says the same."""


def contradictions(it: Deployment) -> Iterator[str]:
    """Say what does not go together, and the way out."""
    if it.sqlite and it.autoscaled:
        yield (
            "scaling: sqlite is one file for one process and cannot be autoscaled; "
            "answer database postgresql or mysql, or scaling fixed"
        )
    if it.sqlite and it.replicas != 1:
        yield (
            f"replicas: sqlite is one file for one process, not for {it.replicas} replicas; "
            "answer replicas 1, or database postgresql or mysql"
        )
    if it.exposed and not it.keystone and not it.allow_noauth2_exposure:
        yield (
            f"exposure: with noauth2 everyone who reaches the {it.exposure} is admin; "
            "answer auth_strategy keystone, or exposure none, "
            "or allow_noauth2_exposure true if this is a lab"
        )
    if it.autoscaled and it.autoscale_min > it.autoscale_max:
        yield (
            f"autoscale_min: is {it.autoscale_min}, above autoscale_max {it.autoscale_max}; "
            "answer a smaller minimum or a greater maximum"
        )


def field_problem(name: str, value: object) -> str:
    """Say what is wrong with one answer by itself, or nothing."""
    field = Deployment.model_fields[name]
    try:
        TypeAdapter[Any](Annotated[field.annotation, field]).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        return _message(error.errors()[0])
    return ""


def problems_alone(answers: Mapping[str, object]) -> list[str]:
    """Say what is wrong with each of these answers by itself."""
    return [
        f"{name}: {problem}" if name in QUESTIONS else f"{shown(name)}: {problem}"
        for name, value in answers.items()
        if (problem := field_problem(name, value) if name in QUESTIONS else _unknown(str(name)))
    ]


def problems(answers: Mapping[str, object]) -> list[str]:
    """Say all that is wrong with these answers, each by itself and then together."""
    return problems_alone(answers) or Deployment.model_validate(dict(answers))._contradictions


def _unknown(name: str) -> str:
    close = get_close_matches(name, QUESTIONS, 1) or get_close_matches(name.lower(), QUESTIONS, 1)
    hint = (
        f"did you mean {close[0]}?"
        if close
        else "docs/reference/questions.md of the template lists them"
    )
    return f"no such question; {hint}"


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "literal_error":
        offered = error["ctx"]["expected"].replace("'", "")
        return f"is {shown(error['input'])}, which is not a choice; answer {offered}"
    return str(error["ctx"]["error"])
