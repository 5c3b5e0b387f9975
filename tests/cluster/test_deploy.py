"""A deployment with SQLite, and one with MySQL and HTTPS, from `make secrets` to `make doctor`.

test_autoscale.py and test_faults.py do the same with the Gateway and with Keystone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from extensions.deployment import Deployment
from tests.cluster.conftest import SMALL_REQUESTS, NewSite
from tests.support.certificates import signed, write_ca
from tests.support.deployments import (
    check_deployment,
    check_missing_secrets,
    cluster_problems,
)
from tests.support.site import Site
from tests.support.zones import run_job

WITH_MYSQL: dict[str, Any] = {
    "database": "mysql",
    "scaling": "autoscale",
    "autoscale_min": 2,
    "autoscale_max": 2,
    "network_policy": True,
}
# What some clusters need. The namespace has a quota for CPU limits.
FOR_OTHER_CLUSTERS = f"""{SMALL_REQUESTS}\
  limits:
    cpu: 1
hostAliases: [{{ip: 192.0.2.10, hostnames: [keystone.example.com]}}]
dnsConfig: {{options: [{{name: ndots, value: "1"}}]}}
service: {{internalTrafficPolicy: Cluster, ipFamilyPolicy: SingleStack}}
startupProbe: {{failureThreshold: 100}}
podAnnotations: {{linkerd.io/inject: enabled}}
"""
VOLUME = "extraVolumes[0].name=a,extraVolumeMounts[0].name=a,extraVolumeMounts[0].mountPath=/a"
ZONES = """\
zones:
  kvm:
    aggregate: {name: kvm, uuid: 11111111-1111-4111-8111-111111111111}
    hosts: []
pools:
  nfs:
    zones: [kvm]
    inventories: {DISK_GB: {total: 100}}
"""
# Values with which pods do not start, and what `make deploy` prints, within this many seconds.
FAULTS = {
    "image.tag=none": 'ErrImagePull: .*:none"',
    "resources.limits.cpu=4": "FailedCreate: .*exceeded quota",
    "nodeSelector.rack=none": "Unschedulable: .*didn't match Pod's node affinity/selector",
    f"{VOLUME},extraVolumes[0].configMap.name=none": 'FailedMount: .*"none" not found',
}
MISSPELT = "extraEnv[0].name=OS_API__NONE,extraEnv[0].value=x"
CAUSE_SECONDS = 45
# A renewed certificate is served this many seconds after Kubernetes has updated the file.
RENEWAL_SECONDS = 60

# Send requests to this pod, each over a new connection and over one that stays open, until two
# seconds after it serves a renewed certificate. Print a line at the start, and the figures.
REQUESTS = """
import http.client, json, pathlib, socket, ssl, sys, time

file = pathlib.Path("/etc/placement/tls/tls.crt")
context = ssl.create_default_context(cafile=file.with_name("ca.crt"))
old = file.read_text()
requests, updated, served, now = 0, None, None, time.monotonic()

def connect():
    connection = socket.create_connection(("127.0.0.1", 8778), 10)
    return context.wrap_socket(connection, server_hostname=sys.argv[1])

def get(connection):
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: placement\\r\\n\\r\\n")
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert response.status == 200 and response.read(), response.status

with connect() as kept:
    print("started", flush=True)
    while not served or time.monotonic() < served + 2:
        assert time.monotonic() < now + 100, "the certificate was not renewed"
        text = file.read_text()
        if text != old and not updated:
            updated = time.monotonic()
        with connect() as new:
            get(new)
            if not served and ssl.DER_cert_to_PEM_cert(new.getpeercert(True)) != old:
                served = time.monotonic()
        get(kept)
        requests += 2
        time.sleep(0.1)
print(json.dumps({"requests": requests, "seconds": max(0, served - (updated or served))}))
"""


def test_a_deployment_with_sqlite_passes_its_tests(
    new_site: NewSite, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """All commands use the context that is set, while another one is current."""
    with new_site({}) as cluster:
        site = replace(cluster, variables=elsewhere(cluster, tmp_path))
        site.kubectl("create", "quota", "cpu", "--hard=limits.cpu=3")
        site.set_values(FOR_OTHER_CLUSTERS)
        check_failed_install(site)
        check_deployment(site)
        site.make("load", "CLIENTS=1", "SECONDS=2")
        deployed = site.deployment()
        check_refused_deploy(site)
        record_property("figures", check_failing_deploys(site))
        check_foreign_fields(site, deployed)
        check_missing_secrets(site, 0)


def elsewhere(site: Site, folder: Path) -> dict[str, str]:
    """Return the variables for make with a current context that nothing can reach."""
    config = json.loads(site.kubectl("config", "view", "--raw", "--flatten", "--output=json"))
    context = config["current-context"]
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    config["clusters"].append(nowhere)
    config["contexts"].append({"name": "nowhere", "context": {"cluster": "nowhere", "user": ""}})
    config["current-context"] = "nowhere"
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config), encoding="utf-8")
    return {"KUBECONFIG": str(file), "CONTEXT": context}


def check_foreign_fields(site: Site, deployed: dict[str, Any]) -> None:
    """Edits by hand are found, and removed by the next deploy."""
    name, spec = deployed["metadata"]["name"], deployed["spec"]["template"]["spec"]
    settings = site.get("configmap", name)["data"]
    edit = {
        "volumes": [{"name": "mine", "emptyDir": {}}],
        "containers": [
            {
                "name": "placement",
                "command": ["/startup.sh"],
                "volumeMounts": [{"name": "mine", "mountPath": "/mine"}],
            }
        ],
    }
    site.kubectl("set", "env", f"deployment/{name}", "OS_DEFAULT__DEBUG=true", "PORT=9999")
    site.kubectl("set", "image", f"deployment/{name}", "placement=localhost/other:1")
    template = json.dumps({"spec": {"template": {"spec": edit}}})
    site.kubectl("patch", "deployment", name, "--patch", template)
    site.kubectl("patch", "configmap", name, "--patch", '{"data": {"OS_API__X": "y"}}')
    foreign = {
        f"containers[placement].env[OS_DEFAULT__DEBUG] of deployment/{name}": "kubectl-set",
        f"containers[placement].env[PORT].value of deployment/{name}": "kubectl-set",
        f"containers[placement].image of deployment/{name}": "kubectl-set",
        f"containers[placement].command of deployment/{name}": "kubectl-patch",
        f"containers[placement].volumeMounts[/mine] of deployment/{name}": "kubectl-patch",
        f"volumes[mine] of deployment/{name}": "kubectl-patch",
        f"OS_API__X of configmap/{name}": "kubectl-patch",
    }
    problems = {f"{field} was set by {manager}" for field, manager in foreign.items()}
    assert set(cluster_problems(site)) == problems

    printed = site.make("deploy")
    for line in (
        f"Context:      {site.kubectl('config', 'current-context').strip()}",
        f"Namespace:    {site.name}",
        f"Helm release: {site.name}, revision ",
        f"Image:        {spec['containers'][0]['image']}\n",
        *(f"Removed, because this repository does not contain it: {line}." for line in problems),
    ):
        assert line in printed
    assert site.deployment()["spec"]["template"]["spec"] == spec
    assert site.get("configmap", name)["data"] == settings


def check_refused_deploy(site: Site) -> None:
    """All missing Secrets are named at once, and nothing changes."""
    before = site.helm("history", site.name)
    more = "extraEnv[0].name=TZ,extraEnv[0].valueFrom.secretKeyRef"
    values = f"keystoneCaSecret=ca,tls.podSecret=pods,{more}.name=more,{more}.key=zone"
    done = site.try_make("deploy", f"HELM_ARGS=--set {values}")
    assert done.returncode != 0
    missing = "  the Secret ca with ca.crt\n  the Secret more with zone\n"
    missing += "  the Secret pods with tls.crt and tls.key\nNothing was deployed."
    assert missing in done.stderr
    assert site.helm("history", site.name) == before


def check_failed_install(site: Site) -> None:
    """The log of a pod that Helm has deleted is in a file, until the next deploy."""
    done = site.try_make("deploy", f"HELM_ARGS=--timeout 25s --set {MISSPELT}")
    assert done.returncode != 0
    cause = "placement: OS_API__NONE is not an option of placement"
    assert f"CrashLoopBackOff. The last line of its log: {cause}" in done.stdout
    assert "The logs of the containers that failed are in deploy.log." in done.stdout
    assert cause in (site.repository / "deploy.log").read_text(encoding="utf-8")
    assert site.helm("list", "--short") == ""


def check_failing_deploys(site: Site) -> str:
    """The cause is printed soon. A killed deploy is recognized, and repaired by a command."""
    times = []
    for values, cause in FAULTS.items():
        started = time.monotonic()
        with subprocess.Popen(
            ["make", "deploy", f"HELM_ARGS=--set {values}"],
            cwd=site.repository,
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        ) as deploy:
            assert deploy.stdout
            try:
                line = next(line for line in deploy.stdout if re.search(cause, line))
                times.append(f"{line.split(': ')[1]} after {time.monotonic() - started:.0f} s")
            finally:
                os.killpg(deploy.pid, signal.SIGKILL)
        assert time.monotonic() - started < CAUSE_SECONDS
        refused = site.try_make("deploy")
        assert refused.returncode != 0
        assert f"Helm release {site.name} is pending-upgrade since " in refused.stderr
        [command] = re.findall(r"^  kubectl (.*)$", refused.stderr, re.MULTILINE)
        site.kubectl(*command.split())
    return ", ".join(times)


def test_a_deployment_with_https_passes_its_tests(
    new_site: NewSite, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Its pods serve a renewed certificate, and no request fails."""
    write_ca(tmp_path)
    with new_site(WITH_MYSQL) as site:
        create_certificate(site, tmp_path)
        site.set_values(
            f"{SMALL_REQUESTS}tls: {{podSecret: pod-tls}}\nzones: {{configMap: zones}}\n"
        )
        # A first install waits for all pods that the autoscaler starts.
        site.make("deploy")
        assert site.deployment()["status"]["availableReplicas"] == 2
        check_deployment(site)
        site.make("load", "CLIENTS=2", "SECONDS=2")
        check_zones(site)
        before = set(site.pods())
        with requests_to_all_pods(site) as figures:
            create_certificate(site, tmp_path)
            # Kubernetes updates the files of a pod within a minute, or as soon as the pod changes.
            site.kubectl("annotate", "pods", "--all", "renewed=now")
        record_property("figures", figures)
        assert all(found["seconds"] < RENEWAL_SECONDS for found in figures)
        assert set(site.pods()) == before
        assert site.restarts() == 0
        check_missing_secrets(site, len(Deployment(**WITH_MYSQL).cluster_secrets))


def check_zones(site: Site) -> None:
    """The CronJob writes what the ConfigMap contains, once."""
    (site.repository / "zones.yaml").write_text(ZONES, encoding="utf-8")
    site.kubectl("create", "configmap", "zones", "--from-file=zones.yaml")
    for job, line in (("first", "Applied."), ("second", "No changes: Placement matches the file.")):
        assert line in run_job(site, job)


def create_certificate(site: Site, ca: Path) -> None:
    """Create or replace the Secret with a certificate for the Service."""
    signed(ca, f"{site.name}.{site.name}.svc", ca)
    files = [f"--from-file={ca / name}" for name in ("tls.crt", "tls.key", "ca.crt")]
    command = ("create", "secret", "generic", "pod-tls", "--type=kubernetes.io/tls", *files)
    secret = site.kubectl(*command, "--dry-run=client", "--output=json")
    site.kubectl("apply", "--server-side", "--filename=-", stdin=secret)


@contextmanager
def requests_to_all_pods(site: Site) -> Iterator[list[dict[str, float]]]:
    """Send requests to each pod from the start of the block until the certificate is renewed."""
    host = f"{site.name}.{site.name}.svc"
    python = ("--", "/opt/placement/bin/python3", "-Ic", REQUESTS, host)
    figures: list[dict[str, float]] = []
    with ExitStack() as running:
        clients = [
            running.enter_context(
                subprocess.Popen(
                    ["kubectl", "--namespace", site.name, "exec", pod, *python],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for pod in site.pods()
        ]
        for client in clients:
            assert client.stdout
            assert client.stdout.readline() == "started\n"
        yield figures
        for client in clients:
            printed, _ = client.communicate(timeout=120)
            assert client.returncode == 0
            figures.append(json.loads(printed))
