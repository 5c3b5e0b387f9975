"""What an operator does by day: under a constant load, and not one request may fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from tests.cluster.conftest import NewSite
from tests.cluster.test_deploy import BEHIND_THE_GATEWAY
from tests.support.servers import PASSWORD
from tests.support.site import OLD_AND_NEW, Site, no_request_fails, total

OLD, NEW = OLD_AND_NEW
# The tests share one site, each leaving it as it serves: one worker runs them in this order.
pytestmark = pytest.mark.xdist_group("under-load")

UnderLoad = Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Iterator[Site]:
    """Deploy the older release, two replicas of it."""
    answers = {
        "database": "postgresql",
        "release": OLD,
        "replicas": 2,
        "allow_noauth2_exposure": True,
        **BEHIND_THE_GATEWAY,
    }
    with new_site(answers) as made:
        made.make("deploy")
        yield made


@pytest.fixture
def under_load(
    site: Site, gateway: str, record_property: Callable[[str, object], None]
) -> UnderLoad:
    """Keep the load on while a block runs, and fail with it if a request does."""

    @contextmanager
    def under_load() -> Iterator[None]:
        with no_request_fails(gateway, site.host) as loads:
            yield
        record_property("figures", total(loads))
        assert site.restarts() == 0

    return under_load


def test_another_release_after_a_sync_that_fails(site: Site, under_load: UnderLoad) -> None:
    before = set(site.pods())
    site.answer(f"release={NEW}")
    with under_load():
        own(site, "postgres")
        done = site.try_make("deploy")
        assert done.returncode != 0
        assert "must be owner of" in done.stdout + done.stderr
        assert set(site.pods()) == before
        own(site, "placement")
        site.make("deploy")
    images = {pod["spec"]["containers"][0]["image"] for pod in site.pods().values()}
    assert images == {f"localhost/placement-test:{NEW}"}
    assert "online-data-migrations" in site.kubectl("get", "jobs", "--output", "name")


def own(site: Site, role: str) -> None:
    """Give the table that says of which release the schema is to a role; all others may read it."""
    statement = (
        f"ALTER TABLE alembic_version OWNER TO {role}; GRANT ALL ON alembic_version TO public"
    )
    psql = ("psql", "--set=ON_ERROR_STOP=1", "--command", statement, "placement")
    site.kubectl("exec", "deployment/postgresql", "--", *psql)


def test_a_setting_and_the_way_back(site: Site, under_load: UnderLoad) -> None:
    url = f"postgresql+psycopg2://placement:{PASSWORD}@postgresql.{site.name}.svc/placement"
    site.kubectl("create", "secret", "generic", "elsewhere", f"--from-literal=connection={url}")
    before = set(site.pods())
    with under_load():
        site.answer("database_secret=elsewhere")
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
    site.answer("database_secret=placement-database")


def test_all_pods_are_moved_away_in_turn(site: Site, under_load: UnderLoad) -> None:
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
    """Return the nodes that pods may run on."""
    nodes = site.get("nodes")["items"]
    return [it["metadata"]["name"] for it in nodes if "taints" not in it["spec"]]


def drain(site: Site, node: str) -> None:
    """Drain a node of what is tested here, and let it have pods again."""
    pods = f"--pod-selector=app.kubernetes.io/instance={site.name}"
    try:
        site.kubectl("drain", node, pods, "--delete-emptydir-data", "--force", "--timeout=180s")
        site.wait_for_pods(2)
    finally:
        site.kubectl("uncordon", node)


@retry(stop=stop_after_delay(90), wait=wait_fixed(1), reraise=True)
def evict(site: Site, pod: str) -> None:
    """Ask for what a drain asks for, again while the PodDisruptionBudget forbids it."""
    metadata = {"name": pod, "namespace": site.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{site.name}/pods/{pod}/eviction"
    site.kubectl("create", "--raw", path, "--filename", "-", given=json.dumps(eviction))


def test_a_restart(site: Site, under_load: UnderLoad) -> None:
    before = set(site.pods())
    with under_load():
        site.kubectl("rollout", "restart", f"deployment/{site.name}")
        site.wait_for_pods(2)
    assert not before & set(site.pods())


def test_more_replicas_and_fewer(site: Site, under_load: UnderLoad) -> None:
    with under_load():
        for number in (1, 3):
            site.answer(f"replicas={number}")
            site.make("deploy")
            site.wait_for_pods(number)


def test_an_autoscaler_takes_over_what_runs_and_gives_it_back(
    site: Site, under_load: UnderLoad
) -> None:
    numbers: list[int] = []
    deployed = threading.Event()

    def watch() -> None:
        while not deployed.wait(0.1):
            numbers.append(site.deployment()["spec"]["replicas"])

    watching = threading.Thread(target=watch)
    with under_load():
        site.answer("scaling=autoscale", "autoscale_min=2", "autoscale_max=4")
        watching.start()
        try:
            site.make("deploy")
            wait_for_the_autoscaler(site)
        finally:
            deployed.set()
            watching.join()
        assert min(numbers) == 3
        site.answer("scaling=fixed", "replicas=2")
        site.make("deploy")
        site.wait_for_pods(2)
    assert site.get("horizontalpodautoscaler")["items"] == []


@retry(stop=stop_after_delay(60), wait=wait_fixed(1), reraise=True)
def wait_for_the_autoscaler(site: Site) -> None:
    """Wait until it has looked at the pods, which it takes away only after five minutes."""
    status = site.get("horizontalpodautoscaler", site.name)["status"]
    assert "averageUtilization" in json.dumps(status["currentMetrics"])
    assert status["desiredReplicas"] >= 3
