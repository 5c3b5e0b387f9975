"""Failures of a pod, the database and Keystone, and rotated secrets.

Which requests fail, and which pods restart?
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tenacity import retry, stop_after_delay, wait_fixed

from extensions.deployment import Deployment
from tests.cluster.conftest import SMALL_REQUESTS, NewSite
from tests.support.certificates import certificate
from tests.support.chart import component, of_kind, parse
from tests.support.cluster_servers import URLS
from tests.support.deployments import (
    changed_secret,
    check_deployment,
    check_missing_secrets,
    cluster_problems,
)
from tests.support.load import Load, light_load
from tests.support.rotation import (
    ADMIN,
    DOMAINS,
    Secrets,
    change_secret,
    keystone,
    log_in,
    wait_for_the_end,
)
from tests.support.servers import PASSWORD
from tests.support.site import WITH_KEYSTONE, Site, no_request_fails, output
from tests.support.site import figures as load_figures
from tests.support.waiting import wait_until
from tests.support.zones import check_candidates, create_hosts, run_job, write_zones

# The tests share a site, so one worker runs them in this order.
pytestmark = pytest.mark.xdist_group("faults")
ANSWERS: dict[str, Any] = {
    "database": "postgresql",
    "database_admin_secret": "database-admin",
    "replicas": 2,
    "exposure": "ingress",
    "tls_secret": "certificate",
    "network_policy": True,
    **WITH_KEYSTONE,
}
# The longest time of the first deploy, in seconds, with the images loaded.
INSTALL_SECONDS = 180
# Seconds without a server: twice as long as a readiness probe takes to fail.
OUTAGE = 30

# Kill process 1 of the container in the cgroups of a pod, with which the kernel ends all others.
# systemd writes "_" for "-" in the names of cgroups.
KILL = """
import contextlib, os, pathlib, signal, sys
names = (sys.argv[1], sys.argv[1].replace("-", "_"))
killed = 0
for process in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        cgroup = (process / "cgroup").read_text()
        command = (process / "cmdline").read_bytes()
        if any(name in cgroup for name in names) and b"entrypoint.supervisor" in command:
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
sys.exit(not killed)
"""

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def installed(new_site: NewSite) -> Iterator[tuple[Site, float]]:
    """Deploy two replicas with an empty database server and a Keystone that has only its admin.

    Return the seconds of the deploy as well.
    """
    with new_site(ANSWERS) as site:
        # The gateway is the proxy of clients, because no DNS server knows the host.
        public = f"endpoints: {{public: http://{site.host}}}\n"
        # A test creates the Jobs.
        zones = "zones: {configMap: zones, schedule: '@yearly'}\n"
        site.set_values(SMALL_REQUESTS + public + zones)
        started = time.monotonic()
        site.make("deploy")
        yield site, time.monotonic() - started


@pytest.fixture(scope="module")
def site(installed: tuple[Site, float]) -> Site:
    """Return the deployment."""
    return installed[0]


def new_token(site: Site) -> str:
    """Return a token that no pod knows."""
    pod = next(iter(site.pods()))
    return site.kubectl("exec", pod, "--", "/startup.sh", "token").strip()


def new_client(site: Site, gateway: str) -> httpx.Client:
    """Return a client with a token, which connects through the Ingress."""
    headers = {"host": site.host, "x-auth-token": new_token(site)}
    return httpx.Client(base_url=gateway, headers=headers, timeout=60)


@pytest.fixture
def client(site: Site, gateway: str) -> Iterator[httpx.Client]:
    """Return such a client, and close it after the test."""
    with new_client(site, gateway) as client:
        yield client


def figures(load: Load, since: float) -> str:
    """Return the requests, the failures, and the time from a moment to the next good answer."""
    failed = ", ".join(f"{number} of {code or 'none'}" for code, number in load.failed.items())
    return (
        f"{len(load.requests)} requests, failed: {failed or 'none'},"
        f" the slowest {load.longest:.1f} s, good again in {load.good_after(since):.1f} s"
    )


def are_all_ready(site: Site) -> bool:
    """Return whether both pods are ready."""
    return bool(site.deployment()["status"].get("readyReplicas") == 2)


def test_one_command_installs_placement_from_nothing(
    installed: tuple[Site, float], client: httpx.Client, record_property: Record
) -> None:
    """It creates the database, registers Placement in Keystone, and serves it."""
    site, seconds = installed
    record_property("figures", f"served after {seconds:.0f} s")
    assert client.get("/resource_providers").json() == {"resource_providers": []}
    created = "created the database placement with ENCODING 'UTF8'"
    assert created in site.kubectl("logs", f"job/{site.name}-create-database").splitlines()
    assert seconds < INSTALL_SECONDS


def test_a_deployment_with_keystone_and_an_ingress_passes_its_tests(
    site: Site, gateway: str
) -> None:
    check_deployment(site, gateway)


def test_the_deploy_has_registered_placement(site: Site) -> None:
    """A Job has entered the URLs into the catalog. The pods, which read no login, have no trace."""
    service = f"http://{site.name}.{site.name}.svc:8778"
    with keystone(site) as url:
        assert endpoints(url) == {
            "public": f"http://{site.host}",
            "internal": service,
            "admin": service,
        }
    assert "clouds.yaml" not in json.dumps(site.pods())
    assert "ok: registration: " in site.kubectl("logs", f"job/{site.name}-register")


def endpoints(url: str) -> dict[str, str]:
    """Return the URLs of Placement in Keystone's catalog."""
    catalog = log_in(url, ADMIN).call("GET", "/auth/catalog").json()["catalog"]
    [placement] = (each for each in catalog if each["type"] == "placement")
    return {each["interface"]: each["url"] for each in placement["endpoints"]}


def register(site: Site) -> None:
    """Run the Job of the last deploy again."""
    hooks = parse(site.helm("get", "hooks", site.name))
    [job] = [each for each in of_kind("Job", hooks) if component(each) == "register"]
    site.kubectl("replace", "--force", "--filename", "-", stdin=json.dumps(job))
    site.kubectl("wait", f"job/{site.name}-register", "--for=condition=complete")


@pytest.fixture
def nova_without_a_role(site: Site) -> Iterator[None]:
    """Register Placement with a user of Nova that has no role, and at the end without that user."""
    with keystone(site) as url:
        admin = log_in(url, ADMIN)
        nova = admin.create("user", "/users", name="nova")["id"]
        try:
            register(site)
            yield
        finally:
            admin.call("DELETE", f"/users/{nova}")
            register(site)


@pytest.mark.usefixtures("nova_without_a_role")
def test_doctor_prints_the_warnings_of_the_registration(site: Site) -> None:
    """Those of its last run."""
    [problem] = cluster_problems(site)
    assert problem.startswith("role: the user nova lacks the role service")


@pytest.fixture(scope="module")
def hosts(site: Site, gateway: str) -> dict[str, str]:
    """Return the UUIDs of the providers of hosts."""
    with new_client(site, gateway) as client:
        return create_hosts(client)


@pytest.fixture
def zones_apply(
    site: Site, client: httpx.Client, hosts: dict[str, str], engine: str
) -> Callable[[], str]:
    """Apply the zones of the page, and return a function that does it again."""
    selector = f"app.kubernetes.io/instance={site.name},app.kubernetes.io/component=api"
    command = ("dev/cluster/port-forward.sh", "", site.name, selector, "make", "zones-apply")

    def apply() -> str:
        token = {"TOKEN": client.headers["x-auth-token"]}
        return output(site.run(*command, f"ENGINE={engine}", env=token))

    write_zones(site.repository)
    apply()
    return apply


def test_a_cloud_has_the_zones_of_the_file(
    site: Site, hosts: dict[str, str], zones_apply: Callable[[], str], gateway: str
) -> None:
    """`make zones-apply` writes them, and the catalog leads the OpenStack client to them."""
    assert "No changes: Placement matches the file." in zones_apply()
    site.make("dev/stack/.venv/bin")
    with keystone(site) as url:
        login = {"auth": {"auth_url": url, **ADMIN, **DOMAINS}, "region_name": "RegionOne"}
        clouds = json.dumps({"clouds": {"production": login}})
        (site.repository / "clouds.yaml").write_text(clouds, encoding="utf-8")
        proxy = {"http_proxy": gateway, "no_proxy": "127.0.0.1"}
        check_candidates(site.repository, hosts, "production", proxy)


@pytest.mark.usefixtures("zones_apply")
def test_a_job_removes_nothing_without_permission(site: Site, client: httpx.Client) -> None:
    """It fails, with Placement's own user, and makes all other changes."""
    file = site.repository / "zones.yaml"
    zones = yaml.safe_load(file.read_text(encoding="utf-8"))
    [pool] = zones.pop("pools")
    zones["traits"].append("CUSTOM_LATER")
    file.write_text(yaml.safe_dump(zones), encoding="utf-8")
    site.kubectl("create", "configmap", "zones", "--from-file=zones.yaml")
    version = {"openstack-api-version": "placement 1.6"}

    def exist() -> tuple[bool, bool]:
        providers = client.get(f"/resource_providers?name={pool}").json()["resource_providers"]
        return bool(providers), client.get("/traits/CUSTOM_LATER", headers=version).is_success

    planned = run_job(site, "planned", "plan", condition="failed")
    assert {f"- pool {pool}", "+ trait CUSTOM_LATER"} <= set(planned)
    assert exist() == (True, False)
    applied = "\n".join(run_job(site, "applied", condition="failed"))
    assert f"{pool} stays as it is: pass --yes to remove" in applied
    assert exist() == (True, True)
    assert "Applied." in run_job(site, "removed", "apply", "--yes")
    assert exist() == (False, True)


# ---- What the repository says ----


def test_a_deploy_closes_what_a_variable_has_opened(site: Site, client: httpx.Client) -> None:
    """With noauth2, `admin` is a valid token of everybody."""
    variable = "OS_API__AUTH_STRATEGY"
    site.kubectl("set", "env", f"deployment/{site.name}", f"{variable}=noauth2")
    wait_until_accepted(client, "admin")
    removed = f"containers[placement].env[{variable}] of deployment/{site.name}"
    assert f"it: {removed} was set by kubectl-set.\n" in site.make("deploy")
    for _ in range(10):
        refused = client.get("/resource_providers", headers={"x-auth-token": "admin"})
        assert refused.status_code == 401


def test_a_user_that_keystone_does_not_know_replaces_no_pod(site: Site) -> None:
    before = set(site.pods())
    with changed_secret(site, "placement-keystone", "username", "nobody"):
        # With the login of an administrator, a Job would create this user.
        done = site.try_make("deploy", "HELM_ARGS=--set keystoneAdminSecret=")
    assert done.returncode != 0
    log = (site.repository / "deploy.log").read_text(encoding="utf-8")
    for printed in (done.stdout, log):
        assert "Keystone at http://keystone:5000/v3 refuses the username nobody: " in printed
        assert "/etc/placement/secrets/placement-keystone/username" in printed
        assert PASSWORD not in printed
    assert set(site.pods()) == before


# ---- A pod ----


def test_a_killed_pod_is_missed_for_a_moment(
    site: Site, client: httpx.Client, record_property: Record
) -> None:
    """SIGKILL to all of its processes at once gives it no time to stop."""
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
    record_property("figures", figures(load, killed))
    assert load.failed_after(settled) == {}
    assert site.restarts() == before + 1


def kill(site: Site, pod: dict[str, Any]) -> None:
    """Kill the processes of a pod from another pod, which sees all processes of the node."""
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
    # The namespace of the site does not allow such a pod.
    there = ("--namespace", "default")
    try:
        site.kubectl(*there, "create", "--filename", "-", stdin=json.dumps(killer))
        succeeded = "jsonpath={.status.phase}=Succeeded"
        site.kubectl(*there, "wait", f"pod/{name}", f"--for={succeeded}", "--timeout=60s")
    finally:
        site.kubectl(*there, "delete", "pod", name, "--ignore-not-found", "--wait=false")


@retry(stop=stop_after_delay(60), wait=wait_fixed(1), reraise=True)
def wait_for_restarts(site: Site, number: int) -> None:
    """Wait until the containers have restarted this number of times."""
    assert site.restarts() == number


# ---- Servers ----


def test_placement_recovers_from_an_outage_of_the_database(
    site: Site, client: httpx.Client, record_property: Record
) -> None:
    restarts = site.restarts()
    with light_load(client) as load:
        time.sleep(2)
        site.disconnect("postgresql")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'placement'"
        site.kubectl("exec", "deployment/postgresql", "--", "psql", "--command", end, "postgres")
        time.sleep(OUTAGE)
        assert are_all_ready(site)
        site.reconnect("postgresql")
        back = time.monotonic()
        load.wait_until_good_after(back, 30)
        time.sleep(3)
        settled = time.monotonic()
        time.sleep(3)
    record_property("figures", figures(load, back))
    assert sum(load.failed.values()) > 0
    assert load.failed_after(settled) == {}
    assert site.restarts() == restarts


def test_placement_recovers_from_an_outage_of_keystone(
    site: Site, client: httpx.Client, record_property: Record
) -> None:
    """Known tokens stay valid, new ones are refused, and no pod restarts."""
    restarts = site.restarts()
    fresh = [new_token(site) for _ in range(2)]
    wait_until_accepted(client, client.headers["x-auth-token"])
    with keystone(site) as url:
        registered = endpoints(url)
    site.disconnect("keystone")
    with light_load(client) as load:
        started = time.monotonic()
        refused = client.get("/resource_providers", headers={"x-auth-token": fresh[0]})
        took = time.monotonic() - started
        time.sleep(OUTAGE)
        assert are_all_ready(site)
    # A fix can be deployed meanwhile. Only the registration has to be repeated.
    moved = "http://moved.example.com"
    deploy = ("deploy", f"HELM_ARGS=--set endpoints.admin={moved}")
    printed = site.make(*deploy)
    assert "warning: keystone: http://keystone:5000/v3 does not answer" in printed
    assert "warning: registration: Keystone does not answer, so nothing was registered" in printed
    site.reconnect("keystone")
    back = time.monotonic()
    wait_until_accepted(client, fresh[1])
    recovered = time.monotonic() - back
    with keystone(site) as url:
        assert endpoints(url) == registered
        site.make(*deploy)
        assert endpoints(url) == {**registered, "admin": moved}
    record_property(
        "figures",
        f"known token: {figures(load, started)}; new one: {refused.status_code} after"
        f" {took:.1f} s, accepted {recovered:.1f} s after the outage",
    )
    assert load.failed == {}
    assert refused.status_code == 503
    assert site.restarts() == restarts


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True)
def wait_until_accepted(client: httpx.Client, token: str) -> None:
    """Wait until Placement accepts a token."""
    assert client.get("/resource_providers", headers={"x-auth-token": token}).status_code == 200


def test_a_new_pod_without_a_database_waits_and_reports_why_it_stops(
    site: Site, record_property: Record
) -> None:
    old = set(site.pods())
    site.disconnect("postgresql")
    try:
        site.kubectl("rollout", "restart", f"deployment/{site.name}")
        started = time.monotonic()
        log = wait_for_the_log_of_a_stopped_pod(site, old)
        record_property("figures", f"stopped after {time.monotonic() - started:.0f} s")
        assert "the database" in log
        assert "cannot be used" in log
        # The old pods keep serving, because the new one is not ready.
        assert are_all_ready(site)
    finally:
        site.reconnect("postgresql")
    site.wait_for_pods(2)


@retry(stop=stop_after_delay(180), wait=wait_fixed(2), reraise=True)
def wait_for_the_log_of_a_stopped_pod(site: Site, old: set[str]) -> str:
    """Wait until the container of the new pod has stopped by itself, and return its log."""
    [pod] = [
        name
        for name, pod in site.pods().items()
        if pod["status"]["containerStatuses"][0]["restartCount"] and name not in old
    ]
    return site.kubectl("logs", "--previous", pod)


# ---- Rotation ----


def test_a_renewed_certificate_of_the_ingress(
    site: Site, client: httpx.Client, gateway: str, ca: Path, record_property: Record
) -> None:
    address = gateway.replace("http:", "https:")
    token = client.headers["x-auth-token"]
    with no_request_fails(address, site.host, token, ca / "ca.crt") as loads:
        renewed = certificate(ca, site.host)
        started = time.monotonic()
        change_secret(site, "certificate", **renewed)
        wait_until(lambda: served(address, site.host) == renewed["tls.crt"])
        took = time.monotonic() - started
    record_property("figures", f"served after {took:.1f} s, {load_figures(loads)}")


def served(address: str, host: str) -> str:
    """Return the certificate that a host serves at an address."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = (httpx.URL(address).host, 443)
    with (
        socket.create_connection(server, timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=host) as tls,
    ):
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")


def test_rotated_passwords_and_keys(site: Site, gateway: str, record_property: Record) -> None:
    """A wrong password stops the deploy. The right ones replace the pods."""
    before = set(site.pods())
    with keystone(site) as url:
        secrets = Secrets(site, ANSWERS["database"], url)
        with no_request_fails(gateway, site.host, log_in(url, ADMIN).token) as loads:
            wrong = URLS[ANSWERS["database"]].replace(PASSWORD, "wrong")
            change_secret(site, "placement-database", connection=wrong)
            started = time.monotonic()
            # With the login of an administrator, a Job would change the password of the user.
            refused = site.try_make("deploy", "HELM_ARGS=--set database.adminSecret=")
            stopped = time.monotonic() - started
            assert refused.returncode != 0
            assert "password authentication failed" in refused.stdout + refused.stderr
            assert set(site.pods()) == before

            ends = [secrets.database(), secrets.password(), secrets.memcache_key()]
            assert status_of_a_new_token(site, gateway, url) == 200
            started = time.monotonic()
            site.make("deploy")
            wait_for_the_end(site, before)
            took = time.monotonic() - started
            for end in ends:
                end()
            assert status_of_a_new_token(site, gateway, url) == 200
    assert site.restarts() == 0
    times = f"refused after {stopped:.0f} s, replaced in {took:.0f} s"
    record_property("figures", f"{times}, {load_figures(loads)}")


def status_of_a_new_token(site: Site, gateway: str, url: str) -> int:
    """Send a request with a token that Placement must validate, and return its status."""
    headers = {"host": site.host, "x-auth-token": log_in(url, ADMIN).token}
    return httpx.get(f"{gateway}/resource_providers", headers=headers, timeout=60).status_code


def test_doctor_names_the_missing_secrets(site: Site) -> None:
    check_missing_secrets(site, len(Deployment(**ANSWERS).cluster_secrets))
