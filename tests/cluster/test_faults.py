"""What breaks by night: what failed, how long, and no pod pays for a fault not its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from tests.cluster.conftest import NewSite
from tests.cluster.test_deploy import BEHIND_THE_GATEWAY, BY_PASSWORD, register
from tests.support.load import Load, light_load
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("faults")
# Seconds that what is taken away stays away.
AWAY = 60

# Kill all uWSGI processes in a pod's cgroups, in whose names systemd has "_" for "-".
KILL = """
import contextlib, os, pathlib, signal, sys
names = (sys.argv[1], sys.argv[1].replace("-", "_"))
killed = 0
for process in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        cgroup = (process / "cgroup").read_text()
        if any(it in cgroup for it in names) and b"uwsgi" in (process / "cmdline").read_bytes():
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
sys.exit(not killed)
"""

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Iterator[Site]:
    """Deploy two replicas, with a database and a Keystone."""
    answers = {"database": "postgresql", "replicas": 2, **BY_PASSWORD, **BEHIND_THE_GATEWAY}
    with new_site(answers) as made:
        register(made)
        made.make("deploy")
        yield made


def new_token(site: Site) -> str:
    """Get a token that no pod has seen."""
    pod = next(iter(site.pods()))
    return site.kubectl("exec", pod, "--", "/startup.sh", "token").strip()


@pytest.fixture
def client(site: Site, gateway: str) -> Iterator[httpx.Client]:
    """Return a client with a token, by way of the Gateway."""
    headers = {"host": site.host, "x-auth-token": new_token(site)}
    with httpx.Client(base_url=gateway, headers=headers, timeout=60) as client:
        yield client


def row(load: Load, since: float) -> str:
    """Return what was asked and what failed, and how long after that moment it was good again."""
    failed = ", ".join(f"{number} of {code or 'none'}" for code, number in load.failed.items())
    return (
        f"{len(load.requests)} requests, failed: {failed or 'none'},"
        f" the slowest {load.longest:.1f} s, good again in {load.good_after(since):.1f} s"
    )


def test_a_pod_that_is_killed_is_missed_for_a_moment(
    site: Site, client: httpx.Client, record_property: Record
) -> None:
    """By SIGKILL to all of its processes at once: nobody can tell anybody before."""
    victim = next(iter(site.pods().values()))
    before = site.restarts()
    with light_load(client) as load:
        time.sleep(3)
        killed = time.monotonic()
        kill(site, victim)
        wait_for_restarts(site, before + 1)
        site.wait_for_pods(2)
        time.sleep(3)
        settled = time.monotonic()
        time.sleep(3)
    record_property("figures", row(load, killed))
    assert load.failed_after(settled) == {}
    assert site.restarts() == before + 1


def kill(site: Site, pod: dict[str, Any]) -> None:
    """Kill the processes of a pod from a pod that sees those of its node, and wait for the end."""
    name = f"kill-{pod['metadata']['uid']}"
    container = {
        "name": "kill",
        "image": pod["spec"]["containers"][0]["image"],
        "imagePullPolicy": "Never",
        "command": ["/opt/placement/bin/python3", "-Ic", KILL, pod["metadata"]["uid"]],
        "securityContext": {"runAsUser": 0},
    }
    spec = {
        "nodeName": pod["spec"]["nodeName"],
        "hostPID": True,
        "restartPolicy": "Never",
        "containers": [container],
    }
    killer = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    # Where nothing forbids such a pod.
    there = ("--namespace", "default")
    try:
        site.kubectl(*there, "create", "--filename", "-", given=json.dumps(killer))
        succeeded = "jsonpath={.status.phase}=Succeeded"
        site.kubectl(*there, "wait", f"pod/{name}", f"--for={succeeded}", "--timeout=60s")
    finally:
        site.kubectl(*there, "delete", "pod", name, "--ignore-not-found")


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True)
def wait_for_restarts(site: Site, number: int) -> None:
    """Wait until containers were started anew so often."""
    assert site.restarts() == number


def test_the_database_is_gone_and_comes_back(
    site: Site, client: httpx.Client, record_property: Record
) -> None:
    restarts = site.restarts()
    with light_load(client) as load:
        time.sleep(2)
        site.take_away("postgresql")
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'placement'"
        site.kubectl("exec", "deployment/postgresql", "--", "psql", "--command", ends, "postgres")
        time.sleep(AWAY)
        assert all_ready(site)
        site.give_back("postgresql")
        back = time.monotonic()
        load.wait_until_good_after(back, 30)
        time.sleep(3)
        settled = time.monotonic()
        time.sleep(3)
    record_property("figures", row(load, back))
    assert sum(load.failed.values()) > 0
    assert load.failed_after(settled) == {}
    assert site.restarts() == restarts


def test_keystone_is_gone_and_comes_back(
    site: Site, client: httpx.Client, record_property: Record
) -> None:
    """Known tokens go on to be believed, new ones are not checked, and all pods stay."""
    restarts = site.restarts()
    fresh = [new_token(site) for _ in range(2)]
    wait_until_believed(client, client.headers["x-auth-token"])
    site.take_away("keystone")
    with light_load(client) as load:
        started = time.monotonic()
        refused = client.get("/resource_providers", headers={"x-auth-token": fresh[0]})
        took = time.monotonic() - started
        time.sleep(AWAY)
        assert all_ready(site)
    site.give_back("keystone")
    back = time.monotonic()
    wait_until_believed(client, fresh[1])
    record_property(
        "figures",
        f"known token: {row(load, started)}; new one: {refused.status_code} after {took:.1f} s,"
        f" believed {time.monotonic() - back:.1f} s after it was back",
    )
    assert load.failed == {}
    assert refused.status_code == 503
    assert site.restarts() == restarts


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True)
def wait_until_believed(client: httpx.Client, token: str) -> None:
    """Wait until a token is accepted that nobody has seen before."""
    assert client.get("/resource_providers", headers={"x-auth-token": token}).status_code == 200


def all_ready(site: Site) -> bool:
    """Tell whether all of the pods, two, are ready."""
    return bool(site.deployment()["status"].get("readyReplicas") == 2)


def test_without_a_database_a_pod_waits_and_says_why_it_ends(
    site: Site, record_property: Record
) -> None:
    old = set(site.pods())
    site.take_away("postgresql")
    try:
        site.kubectl("rollout", "restart", f"deployment/{site.name}")
        started = time.monotonic()
        log = log_of_the_one_that_ended(site, old)
        record_property("figures", f"ended after {time.monotonic() - started:.0f} s")
        assert "the database" in log
        assert "cannot be used" in log
        # The old pods serve on: the new one has to be ready first.
        assert all_ready(site)
    finally:
        site.give_back("postgresql")
    site.wait_for_pods(2)


@retry(stop=stop_after_delay(180), wait=wait_fixed(2), reraise=True)
def log_of_the_one_that_ended(site: Site, old: set[str]) -> str:
    """Wait until the container of the new pod has ended by itself, and return what it had said."""
    [pod] = [
        name
        for name, pod in site.pods().items()
        if pod["status"]["containerStatuses"][0]["restartCount"] and name not in old
    ]
    return site.kubectl("logs", "--previous", pod)
