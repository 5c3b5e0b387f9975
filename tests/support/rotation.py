"""Rotation of secrets by the steps of docs/rotation.md."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import sqlalchemy as sa

from tests.support.cluster_servers import URLS
from tests.support.keystone import User
from tests.support.servers import PASSWORD
from tests.support.site import Site, output
from tests.support.waiting import wait_until

BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LOGIN = re.compile(r"\b(ROLE|USER) placement(_b)?\b")
# How an administrator reaches each database in the cluster.
SQL = {
    "postgresql": ("deployment/postgresql", "--", "psql", "--set=ON_ERROR_STOP=1", "placement"),
    "mysql": ("deployment/mariadb", "--", "mariadb", "mysql"),
}
# The users that have connections.
SESSIONS = {
    "postgresql": "COPY (SELECT DISTINCT usename FROM pg_stat_activity) TO STDOUT",
    "mysql": "SELECT DISTINCT user FROM information_schema.processlist",
}
# The keys of a login for the Keystone in the cluster, besides its address.
ADMIN = {"username": "admin", "password": PASSWORD, "project_name": "admin"}
SERVICE = {"username": "placement", "password": PASSWORD, "project_name": "service"}
DOMAINS = {"user_domain_name": "Default", "project_domain_name": "Default"}
ROLE = "service"

Finish = Callable[[], object]


def blocks(repository: Path, language: str, page: str = "docs/rotation.md") -> list[str]:
    """Return the blocks of a page in a language."""
    text = (repository / page).read_text(encoding="utf-8")
    return [dedent(block) for found, block in BLOCK.findall(text) if found == language]


def exchange(statement: str) -> str:
    """Exchange the two users in a statement."""
    return LOGIN.sub(lambda found: f"{found[1]} placement{'' if found[2] else '_b'}", statement)


def change_secret(site: Site, name: str, **keys: str) -> None:
    """Change keys of a Secret by the command of the page."""
    command = blocks(site.repository, "console")[0]
    folder = site.repository / "values"
    for key, value in keys.items():
        (folder / key).write_text(value, encoding="utf-8")
    files = " ".join(f"--from-file={key}=values/{key}" for key in keys)
    command = command.replace("--from-file=KEY=FILE", files).replace("NAME", name)
    output(site.run("sh", "-euc", command))


@contextmanager
def keystone(site: Site) -> Iterator[str]:
    """Forward a port to the Keystone of a site, and yield its URL."""
    command = ["dev/cluster/port-forward.sh", "", site.name, "server=keystone"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "sh", "-c", 'echo "$URL"; cat'],
        cwd=site.repository,
        stdin=pipe,
        stdout=pipe,
        text=True,
    ) as forward:
        assert forward.stdin
        assert forward.stdout
        yield f"{forward.stdout.readline().strip()}/v3"
        forward.stdin.close()


def log_in(url: str, login: dict[str, str]) -> User:
    """Return a user of Keystone with a new token."""
    return User({"auth": {"auth_url": url, **DOMAINS}}, **login)


@dataclass
class Secrets:
    """The secrets of a site, each with a method that changes it in the Secret.

    The old value stays valid. The method returns what makes it invalid.
    """

    site: Site
    database_kind: str
    url: str
    """The URL of Keystone."""

    credentials: list[str] = field(default_factory=list)
    """The ids of the application credentials."""

    rotations: dict[str, int] = field(default_factory=dict)

    def count(self, secret: str) -> int:
        """Return how often a secret was rotated before."""
        self.rotations[secret] = self.rotations.get(secret, -1) + 1
        return self.rotations[secret]

    def sql(self, statement: str) -> str:
        """Run a statement as an administrator of the database."""
        command = ("exec", "--stdin", *SQL[self.database_kind])
        return self.site.kubectl(*command, stdin=statement)

    def sessions(self) -> set[str]:
        """Return the users of Placement that have connections to the database."""
        found = self.sql(SESSIONS[self.database_kind]).split()
        return {user for user in found if user.startswith("placement")}

    def database(self) -> Finish:
        """Rotate the login of the database."""
        once, before, after = blocks(self.site.repository, "sql")
        number = self.count("database")
        if number == 0:
            self.sql(once)
        elif number % 2:
            before, after = exchange(before), exchange(after)
        password = new_password()
        self.sql(before.replace("NEW", password))
        user = "placement" if number % 2 else "placement_b"
        url = sa.make_url(URLS[self.database_kind]).set(username=user, password=password)
        text = url.render_as_string(hide_password=False)
        change_secret(self.site, "placement-database", connection=text)

        def finish() -> None:
            wait_until(lambda: self.sessions() == {user}, lambda: str(self.sessions()))
            self.sql(after)

        return finish

    def keystone(self) -> Finish:
        """Rotate the login of Keystone."""
        return self.application_credential() if self.credentials else self.password()

    def password(self) -> Finish:
        """Rotate the user of Keystone."""
        admin = log_in(self.url, ADMIN)
        names = ["placement", "placement-b"]
        old, new = names[:: -1 if self.count("password") % 2 else 1]
        if not find(admin, "users", "placement-b"):
            self.create_user("placement-b")
        password = new_password()
        change_user(admin, new, enabled=True, password=password)
        change_secret(self.site, "placement-keystone", username=new, password=password)
        return lambda: change_user(admin, old, enabled=False)

    def create_user(self, name: str, **fields: str) -> None:
        """Create a user of Placement's in Keystone."""
        admin = log_in(self.url, ADMIN)
        if not find(admin, "projects", "service"):
            admin.create("project", "/projects", name="service")
        user = admin.create("user", "/users", name=name, **fields)["id"]
        [project], [role] = find(admin, "projects", "service"), find(admin, "roles", ROLE)
        admin.call("PUT", f"/projects/{project}/users/{user}/roles/{role}")

    def application_credential(self) -> Finish:
        """Rotate the application credential."""
        user = log_in(self.url, SERVICE)
        path = f"/users/{user.id}/application_credentials"
        created = user.create("application_credential", path, name=new_password())
        keys = {"id": created["id"], "secret": created["secret"]}
        change_secret(self.site, "placement-keystone", **keys)
        old = [*self.credentials]
        self.credentials.append(created["id"])
        return lambda: [user.call("DELETE", f"{path}/{name}") for name in old[-1:]]

    def owned_credentials(self) -> list[dict[str, Any]]:
        """Return the application credentials of Placement's user."""
        user = log_in(self.url, SERVICE)
        found = user.call("GET", f"/users/{user.id}/application_credentials").json()
        return list(found["application_credentials"])

    def prepare_job(self, values: str) -> None:
        """Deploy the CronJob that rotates the application credential, as the page describes."""
        clouds = blocks(self.site.repository, "yaml")[0].replace("PASSWORD", PASSWORD)
        (self.site.repository / "values/clouds.yaml").write_text(clouds, encoding="utf-8")
        page = (self.site.repository / "docs/rotation.md").read_text(encoding="utf-8")
        [create] = re.findall("`(kubectl[^`]*-owner[^`]*)`", page)
        output(self.site.run("sh", "-euc", f"cd values; {create}"))
        self.site.set_values(f"{values}credentialRotation: {{ownerSecret: placement-owner}}\n")
        self.site.make("deploy")

    def run_job(self) -> None:
        """Rotate the application credential by the commands of the page."""
        [command] = [
            text for text in blocks(self.site.repository, "console") if "create job" in text
        ]
        printed = output(self.site.run("sh", "-euc", command))
        assert "\nok: credential: " in printed, printed

    def memcache_key(self) -> Finish:
        """Rotate the key of the token cache."""
        change_secret(self.site, "placement-keystone", memcache_secret_key=new_password())
        return lambda: None


def new_password() -> str:
    """Return a password that needs no encoding."""
    return uuid.uuid4().hex


def find(admin: User, kind: str, name: str) -> list[str]:
    """Return the ids of what has this name in Keystone."""
    found: list[dict[str, Any]] = admin.call("GET", f"/{kind}?name={name}").json()[kind]
    return [item["id"] for item in found]


def change_user(admin: User, name: str, **fields: object) -> None:
    """Change a user of Keystone."""
    [user] = find(admin, "users", name)
    admin.call("PATCH", f"/users/{user}", json={"user": fields})


def wait_for_the_end(site: Site, pods: set[str]) -> None:
    """Wait until pods have ended, instead of the minute of the page."""

    def names() -> set[str]:
        return set(site.kubectl("get", "pods", "--output=name").replace("pod/", "").split())

    wait_until(lambda: not pods & names())
