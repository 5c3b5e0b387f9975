"""What README.md and the pages in docs/ print."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from ..own_places import CI_PLACES, PLACES
from .chart_values import Section, Values
from .cluster import Cluster
from .keystone import authtoken_variable
from .stack import Stack


class CiService(NamedTuple):
    """A CI service, in the words of docs/upgrades.md."""

    title: str
    request: str
    """What this service calls a proposed change."""
    checks: str
    """The file that runs the checks."""
    updates: str
    """The file that proposes updates. Its first lines describe what this needs."""
    needs: str


CI_SERVICES = {
    "github": CiService(
        title="GitHub Actions",
        request="pull request",
        checks=".github/workflows/ci.yml",
        updates=".github/workflows/update.yml",
        needs="token or setting",
    ),
    "gitlab": CiService(
        title="GitLab CI",
        request="merge request",
        checks=".gitlab-ci.yml",
        updates=".gitlab-ci.yml",
        needs="schedule and the token",
    ),
}

GITOPS_TITLES = {"argocd": "Argo CD", "flux": "Flux"}

SERVER_TITLES = {
    "postgresql": "PostgreSQL",
    "mariadb": "MariaDB",
    "memcached": "memcached",
    "keystone": "Keystone",
}
"""The servers that `make up` can start, as their makers write them."""


CHART_EXPOSURE = {"ingress": "ingress", "gateway": "httpRoute"}
"""The chart's values for each way to expose Placement."""


class Readme(Cluster, Stack):
    """Words and examples that follow from the answers."""

    @property
    def address_title(self) -> str:
        """Where clients find Placement, in words."""
        return self.address if self.exposed else "port 8778, inside the cluster only"

    @property
    def public_url(self) -> str:
        """A URL for tests. Whether a Gateway has TLS is unknown here, so http is assumed."""
        return self.address if self.exposure == "ingress" else f"http://{self.host}"

    @property
    def local_database_title(self) -> str:
        """The database server that `make up` starts."""
        return "" if self.sqlite else SERVER_TITLES[self.dev_services[0]]

    @property
    def diagram(self) -> list[str]:
        """The lines of the diagram in README.md, in Mermaid's language."""
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
        *first, last = ["Placement", *(SERVER_TITLES[name] for name in self.dev_services)]
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def example_change(self) -> str:
        """A change that is possible with these answers, as one writes it after `--data`."""
        if self.sqlite:
            return "database=postgresql"
        if self.autoscaled:
            return f"autoscale_cpu_percent={60 if self.autoscale_cpu_percent != 60 else 70}"
        return f"replicas={self.replicas + 1 if self.replicas < 10 else 3}"

    @property
    def staging(self) -> Section:
        """The values of an environment as an example."""
        values: Values = {
            "environment": {"namespace": f"{self.project_name}-staging", "context": "staging"}
        }
        if self.autoscaled:
            values["autoscaling"] = {"maxReplicas": self.autoscale_min}
        elif not self.sqlite:
            values["replicaCount"] = 1
        if self.keystone_admin_secret:
            # Otherwise, staging would replace the endpoints of production in the catalog.
            values["keystoneAdminSecret"] = ""
        return Section("Staging", values | self.exposed_at("placement-staging.example.com"))

    @property
    def region(self) -> Section:
        """The values of an environment for another region as an example."""
        option = authtoken_variable("region_name")
        values: Values = {
            "environment": {"namespace": self.project_name, "context": "eu1"},
            "settings": {option: "eu1"},
        }
        return Section("Region", values | self.exposed_at("placement.eu1.example.com"))

    def exposed_at(self, host: str) -> Values:
        """Return the values for another host name."""
        return {CHART_EXPOSURE[self.exposure]: {"host": host}} if self.exposed else {}

    def keystone_user(self, name: str) -> list[str]:
        """Return the commands that create a user for Placement in Keystone."""
        project = shlex.quote(self.keystone_project_name)
        project_domain = shlex.quote(self.keystone_project_domain_name)
        domain = self.keystone_user_domain
        return [
            f"openstack user create --domain {domain} --password-prompt {name}",
            f"openstack role add --project {project} --project-domain {project_domain} \\\n"
            f"    --user {name} --user-domain {domain} service",
        ]

    @property
    def keystone_user_domain(self) -> str:
        """The domain of Placement's user as an argument in a shell."""
        return shlex.quote(self.keystone_user_domain_name)

    @property
    def chart_fullname(self) -> str:
        """The name of the Service and of the Deployment, as of the chart's placement.fullname."""
        return self.project_name + ("" if "placement" in self.project_name else "-placement")

    @property
    def rotation_cron_job(self) -> str:
        """The CronJob that replaces the application credential."""
        return self.cron_job("-rotate-credential")

    @property
    def zones_cron_job(self) -> str:
        """The CronJob that applies zones.yaml."""
        return self.cron_job("-zones")

    def cron_job(self, suffix: str) -> str:
        """Return the name of a CronJob, as of the chart's placement.cronJobName."""
        return self.chart_fullname[: 52 - len(suffix)].removesuffix("-") + suffix

    @property
    def keystone_registration(self) -> list[str]:
        """The commands that register Placement in Keystone, without what a Job does."""
        if self.keystone_admin_secret:
            return self.keystone_user("placement")
        service = f"http://{self.chart_fullname}.{self.project_name}.svc:8778"
        urls = {
            "public": self.public_url if self.exposed else service,
            "internal": service,
            "admin": service,
        }
        create = f"openstack endpoint create --region {shlex.quote(self.keystone_region)} placement"
        return [
            "openstack service create --name placement placement",
            *(f"{create} {interface} {url}" for interface, url in urls.items()),
            *self.keystone_user("placement"),
        ]

    @property
    def registration_parts(self) -> list[str]:
        """The parts of the registration in docs/keystone.md, in includes/keystone."""
        parts = {
            "registration-by-job": bool(self.keystone_admin_secret),
            "registration-by-commands": not self.registers_user,
            "application-credential": self.keystone_auth_type != "password",
        }
        return [name for name, is_needed in parts.items() if is_needed]

    @property
    def registers_user(self) -> bool:
        """Whether the Job of `keystone_admin_secret` creates Placement's user."""
        return bool(self.keystone_admin_secret) and self.keystone_auth_type == "password"

    @property
    def set_passwords(self) -> str:
        """Which Jobs set a password of Placement that a server refuses, in words."""
        jobs = {
            "If the database server refuses Placement's password, `create-database` sets it.": bool(
                self.database_admin_secret
            ),
            "If Keystone refuses Placement's password, `register` sets it.": self.registers_user,
        }
        return " ".join(sentence for sentence, sets in jobs.items() if sets)

    @property
    def components(self) -> list[str]:
        """The labels `app.kubernetes.io/component` of the pods, as the chart sets them."""
        optional = {
            "online-data-migrations": not self.sqlite,
            "rotate-credential": self.keystone_auth_type == "v3applicationcredential",
        }
        return ["api", *self.first_jobs, *(name for name in optional if optional[name]), "zones"]

    @property
    def deploy_step(self) -> str:
        """How a changed value reaches the cluster, as an instruction."""
        return "run `make deploy`" if self.gitops == "none" else "commit and push the change"

    @property
    def test_step(self) -> str:
        """The command that tests the deployed Placement. Argo CD makes no Helm release to test."""
        return "make test" if self.gitops == "argocd" else "make cluster-test"

    @property
    def uninstall_commands(self) -> list[str]:
        """The commands that delete what is installed, and then what Helm and Argo CD keep."""
        name = self.project_name
        application = f"kubectl --namespace argocd patch application {name} --type merge"
        finalizer = '{"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}}'
        first = {
            "none": [f"helm --namespace {name} uninstall {name}"],
            "argocd": [
                f"{application} \\\n    --patch '{finalizer}'",
                f"kubectl --namespace argocd delete application {name}",
            ],
            "flux": [
                "kubectl --namespace flux-system delete"
                f" kustomizations.kustomize.toolkit.fluxcd.io {name}"
            ],
        }[self.gitops]
        selector = f"app.kubernetes.io/instance={name}"
        return [*first, f"kubectl --namespace {name} delete job,pod --selector {selector}"]

    @property
    def prerequisites(self) -> list[str]:
        """What must exist before `make deploy`, each with the page that describes it."""
        title = self.exposure.capitalize()
        user, logins = "user", "and the login of its administrator"
        if self.keystone_auth_type != "password":
            user = "application credential"
            logins = f"the login of its administrator, and Placement's {user}"
        controller = "an Ingress controller" if self.exposure == "ingress" else "the Gateway"
        needed = {
            "a registry that the nodes can pull from: [Registry](registry.md)": True,
            f"{self.database_prerequisite}: [Database](database.md)": not self.sqlite,
            f"Placement's endpoints and its {user} in Keystone: "
            "[Keystone](keystone.md#registration)": self.keystone
            and not self.keystone_admin_secret,
            f"Keystone with the region `{self.keystone_region}` and its own "
            f"`{self.keystone_interface}` endpoint, {logins}: "
            "[Keystone](keystone.md#registration)": bool(self.keystone_admin_secret),
            f"{controller}, and a DNS record for the host: [{title}](exposure.md)": self.exposed,
            "a metrics server: [Autoscaling](autoscaling.md)": self.autoscaled,
        }
        return [name for name, is_needed in needed.items() if is_needed]

    @property
    def database_prerequisite(self) -> str:
        """What must exist on the database server."""
        if self.database_admin_secret:
            return f"a {self.database_title} server, and the URL of its administrator"
        return f"an empty {self.database_title} database, and a user with all privileges on it"

    @property
    def ci_service(self) -> CiService | None:
        """The CI service that checks the rendered repository, if any."""
        return CI_SERVICES.get(self.ci)

    @property
    def pages(self) -> dict[str, str]:
        """The pages of docs/ that this deployment has, each with its topics."""
        return {page: topics for page, topics in self.page_topics().items() if topics}

    def page_topics(self) -> dict[str, str]:
        """Return the topics of each page of docs/: none if this deployment does not have it."""
        secrets = "Secrets, " if self.cluster_secrets else ""
        return {
            "kubernetes.md": f"image, {secrets}installation, recovery, values, clusters, load test",
            "registry.md": "push, tags, digests, signatures, architectures",
            "environments.md": "staging and production, several regions, Helm and its values",
            "gitops.md": f"deployment with {GITOPS_TITLES[self.gitops]}, Secrets, environments"
            if self.gitops != "none"
            else "",
            "exposure.md": "access from outside the cluster" if self.exposed else "",
            "autoscaling.md": "how pods are added and removed" if self.autoscaled else "",
            "database.md": ""
            if self.sqlite
            else "URL, TLS, topologies, connections, existing database, data from SQLite",
            "large-clouds.md": "options for many hosts and for hosts with devices",
            "keystone.md": "tokens, registration, roles" if self.keystone else "",
            "rotation.md": "how to change each secret" if self.cluster_secrets else "",
            "security.md": "limits, timeouts, network access and policy, HTTPS, security fixes",
            "upgrades.md": "changes of settings, template updates, OpenStack upgrades",
            "zones.md": "zones of hosts, traits, resource classes and sharing pools as data",
            "devstack.md": "running alongside a devstack",
            "placedock.md": "the image's variables and commands, differences from placedock",
        }

    @property
    def rotations(self) -> list[str]:
        """The sections of docs/rotation.md, in includes/rotation: one for each secret of pods."""
        sections = {
            self.database: not self.sqlite,
            self.keystone_auth_type: self.keystone,
            "memcache-key": bool(self.keystone_memcached_servers),
        }
        return [name for name, is_needed in sections.items() if is_needed]

    @property
    def read_secrets(self) -> list[str]:
        """The names of the Secrets that pods read when they start."""
        return sorted({secret for secret, _ in self.secrets.values()})

    @property
    def network_access(self) -> dict[str, str]:
        """The addresses of docs/security.md, each with who needs access to it."""
        access = {"the container's port": "clients of Placement, such as Nova"}
        if not self.keystone:
            access["the container's port"] += "; with `noauth2`, each of them is an administrator"
        if not self.sqlite:
            access["the database"] = "only Placement"
        if self.keystone:
            access["Keystone"] = "Placement and its clients"
        if self.keystone_memcached_servers:
            access["memcached"] = "only services that validate tokens, such as Placement and Nova"
        return access

    @property
    def own_places(self) -> dict[str, str]:
        """The user's own places in this deployment's repository, each with its purpose."""
        return {**PLACES, **CI_PLACES.get(self.ci, {})}


def code(text: str) -> str:
    """Return text as code in Markdown, between more backticks in a row than it has itself."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    edge = " " if "`" in text else ""
    return f"{fence}{edge}{text}{edge}{fence}"
