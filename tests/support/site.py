"""A rendered repository and its namespace, used by the same commands as an operator uses."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from tenacity import retry, stop_after_delay, wait_fixed

from tests.support.cluster_servers import ADMIN_URLS, CLIENTS, SERVERS, URLS
from tests.support.containers import IMAGES, RELEASES, Output
from tests.support.load import Load, light_load
from tests.support.servers import CREATION, PASSWORD, TARGETS
from tests.support.template import change_answers, commit_all, load

# A limit for each command, in seconds.
TIMEOUT = 400
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
OLD_AND_NEW = RELEASES[-2:]
# The name and the namespace of the cluster's Gateway.
GATEWAY = ("gateway", "gateway")
BEHIND_THE_GATEWAY = {
    "exposure": "gateway",
    "gateway_name": GATEWAY[0],
    "gateway_namespace": GATEWAY[1],
}
WITH_KEYSTONE = {
    "auth_strategy": "keystone",
    "keystone_auth_url": "http://keystone:5000/v3",
    "keystone_public_url": "http://keystone:5000",
    "keystone_memcached_servers": "memcached:11211",
    "keystone_admin_secret": "keystone-admin",
}
NOAUTH2_TOKEN = "admin"
# The keys of Keystone's Secrets. An application credential does not exist yet.
ADMIN_LOGIN = {
    "auth_url": WITH_KEYSTONE["keystone_auth_url"],
    "username": "admin",
    "password": PASSWORD,
    "project_name": "admin",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}
KEYSTONE_SECRET = {
    "clouds.yaml": yaml.safe_dump({"clouds": {"admin": {"auth": ADMIN_LOGIN}}}),
    "username": "placement",
    "password": PASSWORD,
    "memcache_secret_key": "only-for-tests-as-well",
    "id": "none",
    "secret": "none",
}


@dataclass(frozen=True)
class Site:
    """A rendered repository, and the namespace and Helm release with its name."""

    repository: Path
    name: str
    variables: dict[str, str] = field(default_factory=dict)
    """More variables of the environment for make."""

    # ---- Commands ----

    def run(self, *command: str, env: dict[str, str] | None = None, stdin: str = "") -> Output:
        """Run a command in the repository, whether it succeeds or not."""
        return subprocess.run(
            command,
            cwd=self.repository,
            env={**os.environ, **(env or {})},
            input=stdin,
            text=True,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )

    def try_make(self, *arguments: str, env: dict[str, str] | None = None) -> Output:
        """Run make in the repository, whether it succeeds or not."""
        return self.run("make", *arguments, env={**self.variables, **(env or {})})

    def make(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """Run make in the repository and return its output; it has to succeed."""
        return output(self.try_make(*arguments, env=env))

    def helm(self, *arguments: str) -> str:
        """Run helm in the namespace; it has to succeed."""
        return output(self.run("helm", "--namespace", self.name, *arguments))

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl in the namespace; it has to succeed."""
        return output(self.run("kubectl", "--namespace", self.name, *arguments, stdin=stdin))

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return an object or a list of objects in the namespace."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found

    # ---- Repository ----

    @property
    def host(self) -> str:
        """The host name of the Ingress or HTTPRoute."""
        return f"{self.name}.local"

    def set_answers(self, *answers: str) -> None:
        """Change answers, and commit."""
        change_answers(self.repository, *answers)

    def set_values(self, values: str) -> None:
        """Write values.local.yaml, and commit."""
        (self.repository / "values.local.yaml").write_text(values, encoding="utf-8")
        commit_all(self.repository)

    def installed_values(self) -> dict[str, Any]:
        """Return the values of the Helm release, as `helm get values` shows them."""
        return dict(yaml.safe_load(self.helm("get", "values", self.name, "--output", "yaml")))

    def answered_values(self) -> dict[str, Any]:
        """Return the values that the answers set."""
        return dict(load(self.repository / "values.yaml"))

    # ---- Pods ----

    def deployment(self) -> dict[str, Any]:
        """Return the Deployment of the Helm release with the site's name."""
        return self.get("deployment", self.name)

    def pods(self, release: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the API's pods of a Helm release by name, except terminating ones."""
        instance = f"app.kubernetes.io/instance={release or self.name}"
        selector = f"{instance},app.kubernetes.io/component=api"
        found = self.get("pods", "--selector", selector)["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def revisions(self) -> set[str]:
        """Return the revisions of the Deployment that have pods."""
        return {pod["metadata"]["labels"]["pod-template-hash"] for pod in self.pods().values()}

    def restarts(self) -> int:
        """Return how often the containers of the API's pods restarted."""
        pods = self.pods().values()
        statuses = [status for pod in pods for status in pod["status"]["containerStatuses"]]
        return sum(status["restartCount"] for status in statuses)

    def wait_for_pods(self, number: int) -> None:
        """Wait until the Deployment has exactly this number of pods, all of them ready."""
        self.kubectl("rollout", "status", f"deployment/{self.name}", "--timeout=180s")

        @retry(stop=stop_after_delay(120), wait=wait_fixed(1), reraise=True)
        def wait() -> None:
            assert len(self.pods()) == number

        wait()

    @contextmanager
    def recorded_replicas(self) -> Iterator[list[int]]:
        """Record each number of replicas that the Deployment asks for while the block runs."""
        numbers: list[int] = []
        command = ["kubectl", "--namespace", self.name, "get", "deployment", self.name, "--watch"]
        command += ["--output", "jsonpath={.spec.replicas}{'\\n'}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
            try:
                yield numbers
            finally:
                watch.terminate()
                lines, _ = watch.communicate()
                numbers += [int(line) for line in lines.split()]

    # ---- Servers and Secrets ----

    def start_servers(self, *servers: str) -> None:
        """Start servers in the namespace and wait until they listen."""
        for server in servers:
            manifests = SERVERS[server].manifests(server, f"{IMAGES}-{server}:latest")
            self.kubectl("apply", "--filename", "-", stdin=json.dumps(manifests))
        for server in servers:
            self.kubectl("rollout", "status", f"deployment/{server}", "--timeout=300s")

    def create_database(self, kind: str) -> None:
        """Create the database and its user, as an administrator does by hand."""
        server = TARGETS[kind]
        for statement in CREATION[kind]:
            self.kubectl("exec", f"deployment/{server}", "--", *CLIENTS[server], statement)

    def create_secrets(self, values: dict[str, str]) -> None:
        """Run the commands that `make secrets` prints, with these values for the keys.

        A key that several Secrets have follows the name of its Secret, as in `NAME/KEY`.
        """
        folder = self.repository / "values"
        folder.mkdir()
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        for key, value in values.items():
            (folder / key).parent.mkdir(exist_ok=True)
            (folder / key).write_text(value, encoding="utf-8")
        commands = ""
        for command in re.split(r"\n(?=\S)", self.make("secrets")):
            name = (re.findall(r"create secret generic (\S+)", command) or [""])[0]
            place = f"values/{name}" if (folder / name).is_dir() else "values"
            commands += re.sub(r"--from-file=(\S+)=FILE", rf"--from-file=\1={place}/\1", command)
            commands += "\n"
        output(self.run("sh", "-eu", stdin=commands))

    def disconnect(self, server: str) -> None:
        """Cut all pods off from a running server.

        kube-proxy on each node applies the changed Service a moment later, so this waits until
        every pod fails to connect.
        """
        port = self.get("service", server)["spec"]["ports"][0]["port"]
        connect = f"import socket; socket.create_connection(({server!r}, {port}), 1)"
        python = ("--container", "placement", "--", "/opt/placement/bin/python3", "-Ic", connect)

        @retry(stop=stop_after_delay(30), wait=wait_fixed(0.2), reraise=True)
        def wait_until_refused(pod: str) -> None:
            done = self.run("kubectl", "--namespace", self.name, "exec", pod, *python)
            assert "refused" in done.stderr or "timed out" in done.stderr, done

        self.select(server, "no-pod")
        for pod in self.pods():
            wait_until_refused(pod)

    def reconnect(self, server: str) -> None:
        """Connect all pods to a server again."""
        self.select(server, server)

    def select(self, service: str, pods: str) -> None:
        """Change which pods the Service of a server selects."""
        patch = json.dumps({"spec": {"selector": {"server": pods}}})
        self.kubectl("patch", "service", service, "--patch", patch)


def output(done: Output) -> str:
    """Return the output of a command, which has to have succeeded."""
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@contextmanager
def no_request_fails(
    address: str, host: str, token: str = NOAUTH2_TOKEN, ca: Path | None = None
) -> Iterator[list[Load]]:
    """Keep a light load on Placement while the block runs, by clients with and without keep-alive.

    The load starts before the block and ends after it, so that it meets what begins or ends late.
    """

    def name_host(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = host

    more: dict[str, Any] = {"event_hooks": {"request": [name_host]}} if ca else {}
    with ExitStack() as open_clients:
        clients = [
            open_clients.enter_context(
                httpx.Client(
                    base_url=address,
                    headers={"x-auth-token": token, "host": host, **connection},
                    verify=ssl.create_default_context(cafile=ca) if ca else True,
                    **more,
                )
            )
            for connection in ({}, {"connection": "close"})
        ]
        with ExitStack() as running:
            loads = [running.enter_context(light_load(client)) for client in clients]
            time.sleep(2)
            yield loads
            time.sleep(3)
        for load in loads:
            assert load.failed == {}, load.failed
            assert len(load.requests) > 20
            load.check_writes()


def figures(loads: list[Load]) -> str:
    """Return the number of requests and the longest time of one."""
    number = sum(len(load.requests) for load in loads)
    longest = max(load.longest for load in loads)
    return f"{number} requests, none failed, the slowest took {longest:.1f} s"


def database_secret(database: str, admin: str = "") -> dict[str, str]:
    """Return the keys of the Secrets of a database in the cluster."""
    secrets = {"connection": URLS[database]} if database in URLS else {}
    return secrets | ({f"{admin}/connection": ADMIN_URLS[database]} if admin else {})
