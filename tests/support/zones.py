"""The zones of hosts in docs/zones.md, and the allocation candidates in each of them."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import httpx
import yaml

from tests.support.providers import set_total
from tests.support.rotation import blocks
from tests.support.site import Site

PAGE = "docs/zones.md"
# The hosts in each zone of the page, and a host in none.
HOSTS = {
    "kvm": ("compute-kvm-01", "compute-kvm-02"),
    "containers": ("compute-docker-01", "compute-docker-02"),
    "": ("compute-other-01",),
}


def create_hosts(client: httpx.Client) -> dict[str, str]:
    """Create a provider for each host, as its owner does, and return their UUIDs by name."""
    hosts = {name: str(uuid.uuid4()) for names in HOSTS.values() for name in names}
    for name, provider in hosts.items():
        body = {"name": name, "uuid": provider}
        client.post("/resource_providers", json=body).raise_for_status()
        set_total(client, provider, 0, 8).raise_for_status()
    return hosts


def example(repository: Path) -> str:
    """Return the zones.yaml that the page shows."""
    [text] = [block for block in blocks(repository, "yaml", PAGE) if "aggregate:" in block]
    return text


def write_zones(repository: Path) -> None:
    """Write zones.yaml as the page shows it."""
    (repository / "zones.yaml").write_text(example(repository), encoding="utf-8")


def check_candidates(
    repository: Path, hosts: Mapping[str, str], cloud: str, env: Mapping[str, str]
) -> None:
    """The OpenStack client finds only the hosts of a zone by its aggregate."""
    zones = yaml.safe_load((repository / "zones.yaml").read_text(encoding="utf-8"))["zones"]
    command = ["dev/stack/.venv/bin/openstack", "--os-cloud", cloud]
    command += ["allocation", "candidate", "list", "--format=json", "--resource=VCPU=1"]
    for name, zone in zones.items():
        printed = subprocess.check_output(
            [*command, "--member-of", zone["aggregate"]["uuid"]],
            cwd=repository,
            env={**os.environ, **env},
            text=True,
        )
        found = {row["resource provider"] for row in json.loads(printed)}
        assert found == {hosts[host] for host in HOSTS[name]}, name


def run_job(site: Site, name: str, *arguments: str, condition: str = "complete") -> list[str]:
    """Run a Job of the CronJob, by default with its own arguments, and return its log."""
    create = ("create", "job", name, f"--from=cronjob/{site.name}-zones")
    job = json.loads(site.kubectl(*create, "--dry-run=client", "--output=json"))
    if arguments:
        job["spec"]["template"]["spec"]["containers"][0]["args"] = ["zones", *arguments]
    site.kubectl("create", "--filename=-", stdin=json.dumps(job))
    site.kubectl("wait", f"job/{name}", f"--for=condition={condition}", "--timeout=120s")
    return site.kubectl("logs", f"job/{name}").splitlines()
