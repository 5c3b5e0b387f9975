"""A rendered repository and its namespace: what an operator does there, by the same commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import retry, stop_after_delay, wait_fixed

from tests.support.cluster_servers import SERVERS, URLS
from tests.support.containers import RELEASES, Output
from tests.support.load import Load, light_load
from tests.support.servers import PASSWORD
from tests.support.template import change_answers

IMAGES = "localhost/placement-test"
# Seconds that a target of a repository may take.
LONGEST = 400
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
OLD_AND_NEW = RELEASES[-2:]
# What the Secrets hold, by key, where the database is not concerned.
KEYSTONE = {
    "username": "placement",
    "password": PASSWORD,
    "memcache_secret_key": "only-for-tests-as-well",
}


@dataclass(frozen=True)
class Site:
    """One rendered repository and the namespace that is called like it."""

    repository: Path
    name: str

    def try_make(self, *words: str, env: dict[str, str] | None = None) -> Output:
        """Run make there, whatever comes of it."""
        return self.run("make", *words, env=env)

    def make(self, *words: str, env: dict[str, str] | None = None) -> str:
        """Run make there and return what it prints; it has to succeed."""
        return succeeded(self.try_make(*words, env=env))

    def run(self, *words: str, env: dict[str, str] | None = None, given: str = "") -> Output:
        """Run a command there."""
        return subprocess.run(
            words,
            cwd=self.repository,
            env={**os.environ, **(env or {})},
            input=given,
            text=True,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )

    def helm(self, *words: str) -> str:
        """Run helm in the namespace; it has to succeed."""
        return succeeded(self.run("helm", "--namespace", self.name, *words))

    def kubectl(self, *words: str, given: str = "") -> str:
        """Run kubectl in the namespace; it has to succeed."""
        return succeeded(self.run("kubectl", "--namespace", self.name, *words, given=given))

    def get(self, *words: str) -> dict[str, Any]:
        """Return what there is in the namespace."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "--output", "json"))
        return found

    def answer(self, *answers: str) -> None:
        """Change answers, and commit."""
        change_answers(self.repository, *answers)

    @property
    def host(self) -> str:
        """The name that it is published under."""
        return f"{self.name}.local"

    def deployment(self) -> dict[str, Any]:
        """Return the Deployment of the Helm release that has the site's name."""
        return self.get("deployment", self.name)

    def pods(self, release: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the pods of a Helm release that serve, and are not about to go, by name."""
        instance = f"app.kubernetes.io/instance={release or self.name}"
        selector = f"{instance},app.kubernetes.io/component=api"
        found = self.get("pods", "--selector", selector)["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def restarts(self) -> int:
        """How often the containers of these pods were started anew."""
        statuses = [it for pod in self.pods().values() for it in pod["status"]["containerStatuses"]]
        return sum(status["restartCount"] for status in statuses)

    def wait_for_pods(self, number: int) -> None:
        """Wait until so many pods are left, all of them ready."""
        self.kubectl("rollout", "status", f"deployment/{self.name}", "--timeout=180s")

        @retry(stop=stop_after_delay(120), wait=wait_fixed(0.5), reraise=True)
        def wait() -> None:
            assert len(self.pods()) == number

        wait()

    def start(self, *servers: str) -> None:
        """Start servers in the namespace and wait until they listen."""
        for server in servers:
            manifests = SERVERS[server].manifests(server, f"{IMAGES}-{server}:latest")
            self.kubectl("apply", "--filename", "-", given=json.dumps(manifests))
        for server in servers:
            self.kubectl("rollout", "status", f"deployment/{server}", "--timeout=120s")

    def take_away(self, server: str) -> None:
        """Let nobody reach a server any more: new connections are refused, it runs on.

        A Service that leads nowhere is the proxy's work on each node, and some time passes until it
        is done; it returns when no pod gets through any more.
        """
        port = self.get("service", server)["spec"]["ports"][0]["port"]
        connect = f"import socket; socket.create_connection(({server!r}, {port}), 1)"
        python = ("--container", "placement", "--", "/opt/placement/bin/python3", "-Ic", connect)

        @retry(stop=stop_after_delay(30), wait=wait_fixed(0.2), reraise=True)
        def wait_until_refused(pod: str) -> None:
            done = self.run("kubectl", "--namespace", self.name, "exec", pod, *python)
            assert "refused" in done.stderr or "timed out" in done.stderr, done

        self.select(server, "nobody")
        for pod in self.pods():
            wait_until_refused(pod)

    def give_back(self, server: str) -> None:
        """Let everybody reach it again."""
        self.select(server, server)

    def select(self, service: str, pods: str) -> None:
        """Lead a server's Service to other pods."""
        patch = json.dumps({"spec": {"selector": {"server": pods}}})
        self.kubectl("patch", "service", service, "--patch", patch)

    def make_secrets(self, values: dict[str, str]) -> None:
        """Do as `make secrets` says, with these values for the keys."""
        folder = self.repository / "values"
        folder.mkdir()
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        for key, value in values.items():
            (folder / key).write_text(value, encoding="utf-8")
        said = self.make("secrets")
        commands = re.sub(r"--from-file=(\S+)=FILE", r"--from-file=\1=values/\1", said)
        # The namespace is there, because the servers are.
        commands = commands.replace(f"kubectl create namespace {self.name}\n", "")
        succeeded(self.run("sh", "-eu", given=commands))


def succeeded(done: Output) -> str:
    """Return what a command printed, if it succeeded."""
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@contextmanager
def no_request_fails(address: str, host: str) -> Iterator[list[Load]]:
    """Keep a light load on it while the block runs, by clients that keep connections and others.

    It goes on for a while after the block, for what is still on its way.
    """
    headers = {"x-auth-token": "admin", "host": host}
    with ExitStack() as open_clients:
        clients = [
            open_clients.enter_context(httpx.Client(base_url=address, headers={**headers, **more}))
            for more in ({}, {"connection": "close"})
        ]
        with ExitStack() as working:
            loads = [working.enter_context(light_load(client)) for client in clients]
            time.sleep(2)
            yield loads
            time.sleep(3)
        for load in loads:
            assert load.failed == {}
            assert len(load.requests) > 20
            load.check_writes()


def total(loads: list[Load]) -> str:
    """Return how many requests there were and how long the slowest took."""
    number = sum(len(load.requests) for load in loads)
    return (
        f"{number} requests, none failed, the slowest took {max(it.longest for it in loads):.1f} s"
    )


def database_url(database: str) -> dict[str, str]:
    """Return what the Secret of a database in the cluster holds."""
    return {"connection": URLS[database]} if database in URLS else {}
