"""Changes by an operator under constant load: no request fails."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from tests.cluster.conftest import SMALL_REQUESTS, NewSite
from tests.support.containers import CONNECTION, IMAGES
from tests.support.deployments import cluster_problems
from tests.support.load import Load
from tests.support.servers import PASSWORD
from tests.support.site import (
    BEHIND_THE_GATEWAY,
    OLD_AND_NEW,
    RESTRICTED,
    Site,
    figures,
    no_request_fails,
)
from tests.support.template import commit_all, load
from tests.support.work import insert

OLD, NEW = OLD_AND_NEW
# The tests share a site, so one worker runs them in this order.
pytestmark = pytest.mark.xdist_group("under-load")

# Print the header `Served` of a response of this pod.
SERVED = (
    "import http.client; connection = http.client.HTTPConnection('127.0.0.1', 8778);"
    "connection.request('GET', '/'); print(connection.getresponse().headers['Served'])"
)

UnderLoad = Callable[[], AbstractContextManager[list[Load]]]


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Iterator[Site]:
    """Deploy two replicas of the older release."""
    answers = {
        "database": "postgresql",
        "release": OLD,
        "replicas": 2,
        "allow_noauth2_exposure": True,
        **BEHIND_THE_GATEWAY,
    }
    with new_site(answers, NEW) as site:
        site.make("deploy")
        yield site


@pytest.fixture
def under_load(
    site: Site, gateway: str, record_property: Callable[[str, object], None]
) -> UnderLoad:
    """Load Placement while a block runs; a failed request fails the test."""

    @contextmanager
    def under_load() -> Iterator[list[Load]]:
        with no_request_fails(gateway, site.host) as loads:
            yield loads
        record_property("figures", figures(loads))
        assert site.restarts() == 0

    return under_load


def test_an_upgrade_after_a_failed_db_sync(site: Site, under_load: UnderLoad) -> None:
    before = set(site.pods())
    site.set_answers(f"release={NEW}")
    with under_load():
        change_owner(site, "postgres")
        done = site.try_make("deploy")
        assert done.returncode != 0
        assert "must be owner of" in done.stdout + done.stderr
        assert set(site.pods()) == before
        change_owner(site, "placement")
        site.make("deploy")
    images = {pod["spec"]["containers"][0]["image"] for pod in site.pods().values()}
    assert images == {f"{IMAGES}:{NEW}"}
    assert "online-data-migrations" in site.kubectl("get", "jobs", "--output", "name")


def change_owner(site: Site, role: str) -> None:
    """Change the owner of the table that holds the schema's revision; all others may read it."""
    statement = (
        f"ALTER TABLE alembic_version OWNER TO {role}; GRANT ALL ON alembic_version TO public"
    )
    psql = ("psql", "--set=ON_ERROR_STOP=1", "--command", statement, "placement")
    site.kubectl("exec", "deployment/postgresql", "--", *psql)


def test_a_changed_setting_and_a_rollback(site: Site, under_load: UnderLoad) -> None:
    url = f"postgresql+psycopg2://placement:{PASSWORD}@postgresql.{site.name}.svc/placement"
    site.kubectl("create", "secret", "generic", "elsewhere", f"--from-literal=connection={url}")
    before = set(site.pods())
    with under_load():
        site.set_answers("database_secret=elsewhere")
        site.make("deploy")
        assert not before & set(site.pods())
        site.helm("rollback", site.name, "--wait")
    [secret] = {
        source["secret"]["name"]
        for pod in site.pods().values()
        for volume in pod["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
    }
    assert secret == "placement-database"
    site.set_answers("database_secret=placement-database")


def test_an_eviction_of_all_pods(site: Site, under_load: UnderLoad) -> None:
    before = set(site.pods())
    with under_load():
        nodes = workers(site)
        if len(nodes) > 1:
            for node in nodes:
                drain(site, node)
        else:
            for pod in before:
                evict(site, pod)
                site.wait_for_pods(2)
    assert not before & set(site.pods())


def workers(site: Site) -> list[str]:
    """Return the nodes that run pods."""
    nodes = site.get("nodes")["items"]
    return [node["metadata"]["name"] for node in nodes if "taints" not in node["spec"]]


def drain(site: Site, node: str) -> None:
    """Drain the pods of the site from a node, and allow new ones again."""
    pods = f"--pod-selector=app.kubernetes.io/instance={site.name}"
    try:
        site.kubectl("drain", node, pods, "--delete-emptydir-data", "--force", "--timeout=180s")
        site.wait_for_pods(2)
    finally:
        site.kubectl("uncordon", node)


@retry(stop=stop_after_delay(90), wait=wait_fixed(1), reraise=True)
def evict(site: Site, pod: str) -> None:
    """Request an eviction as a drain does, again while the PodDisruptionBudget forbids it."""
    metadata = {"name": pod, "namespace": site.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{site.name}/pods/{pod}/eviction"
    site.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))


def test_fewer_and_more_replicas(site: Site, under_load: UnderLoad) -> None:
    """New answers win over the values of the installed release, even with --reuse-values."""
    with under_load():
        for number in (1, 3):
            site.set_answers(f"replicas={number}")
            site.make("deploy", "HELM_ARGS=--reuse-values")
            site.wait_for_pods(number)
            assert site.installed_values()["replicaCount"] == number


def test_an_autoscaler_takes_over_the_running_pods_and_leaves_them(
    site: Site, under_load: UnderLoad
) -> None:
    with under_load():
        site.set_answers("scaling=autoscale", "autoscale_min=2", "autoscale_max=4")
        with site.recorded_replicas() as numbers:
            site.make("deploy")
            wait_for_the_autoscaler(site)
        assert min(numbers) == 3
        site.set_answers("scaling=fixed", "replicas=2")
        site.make("deploy")
        site.wait_for_pods(2)
    assert site.get("horizontalpodautoscaler")["items"] == []


@retry(stop=stop_after_delay(60), wait=wait_fixed(1), reraise=True)
def wait_for_the_autoscaler(site: Site) -> None:
    """Wait until the autoscaler has measured the pods. It removes none for five minutes."""
    status = site.get("horizontalpodautoscaler", site.name)["status"]
    assert "averageUtilization" in json.dumps(status["currentMetrics"])
    assert status["desiredReplicas"] >= 3


def test_a_changed_line_reaches_two_environments(
    site: Site,
    under_load: UnderLoad,
    engine: str,
    load_image: Callable[[str], None],
    record_property: Callable[[str, object], None],
) -> None:
    """First a new environment next to the running one, then the running one under load."""
    tag = f"{load(site.repository / '.copier-answers.yml')['release']}-changed"
    with staging_next_to(site) as staging:
        insert(
            site.repository / "shared/placement-nginx.conf",
            "    server_tokens off;\n",
            "    add_header Served changed;\n",
        )
        committed = time.monotonic()
        site.set_values(f"{SMALL_REQUESTS}image:\n  tag: {tag}\n")
        site.make("build", f"IMAGE={IMAGES}:{tag}", f"ENGINE={engine}")
        load_image(f"{IMAGES}:{tag}")
        loaded = time.monotonic()
        assert "not installed yet" in site.make("diff", "ENV=staging")
        assert staging.get("deployments")["items"] == []
        site.make("deploy", "ENV=staging")
        assert served(staging, site.name) == ["changed"]
        difference = site.make("diff", "ENV=production")
        assert re.search(rf"^\+ +image: {IMAGES}:{tag}$", difference, re.MULTILINE)
        assert served(site, site.name) == ["None"] * 2
        with under_load() as loads:
            deploying = time.monotonic()
            site.make("deploy", "ENV=production")
            deployed = time.monotonic()
        assert served(site, site.name) == ["changed"] * 2
        times = f"build and load {loaded - committed:.0f} s, deploy {deployed - deploying:.0f} s"
        record_property("figures", f"{times}, {figures(loads)}")
        staging.kubectl("delete", "secret", "staging")
        missing = f"staging: the Secret staging in {staging.name} lacks connection"
        assert cluster_problems(site) == [missing]


@contextmanager
def staging_next_to(site: Site) -> Iterator[Site]:
    """Make an environment of the site, and another one in a namespace that is deleted later."""
    staging = Site(site.repository, f"{site.name}-staging")
    values = {
        "production": {"environment": {"namespace": site.name}},
        "staging": {
            "environment": {"namespace": staging.name},
            "replicaCount": 1,
            "httpRoute": {"host": staging.host},
            "secretSettings": {CONNECTION: {"name": "staging"}},
        },
    }
    for name, environment in values.items():
        file = site.repository / "environments" / name / "values.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(environment), encoding="utf-8")
    commit_all(site.repository)
    try:
        create_database(site, "staging")
        staging.kubectl("create", "namespace", staging.name)
        staging.kubectl("label", "namespace", staging.name, RESTRICTED)
        url = f"postgresql+psycopg2://placement:{PASSWORD}@postgresql.{site.name}.svc/staging"
        secret = ("create", "secret", "generic", "staging", f"--from-literal=connection={url}")
        staging.kubectl(*secret)
        yield staging
    finally:
        staging.kubectl("delete", "namespace", staging.name, "--wait=false")


def create_database(site: Site, name: str) -> None:
    """Create another database of Placement's user."""
    command = ("createdb", "--owner=placement", name)
    site.kubectl("exec", "deployment/postgresql", "--", *command)


def served(site: Site, release: str) -> list[str]:
    """Return the header `Served` of each pod of a Helm release."""
    python = ("--container=placement", "--", "/opt/placement/bin/python3", "-Ic", SERVED)
    return [site.kubectl("exec", pod, *python).strip() for pod in site.pods(release)]
