"""The autoscaler under `make load`: it adds pods and removes them, and no request fails."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from extensions.deployment import Deployment
from tests.cluster.conftest import NewSite
from tests.support.deployments import check_deployment, check_missing_secrets
from tests.support.site import BEHIND_THE_GATEWAY, Site

# The tests share a site, so one worker runs them in this order.
pytestmark = pytest.mark.xdist_group("autoscale")
ANSWERS: dict[str, Any] = {
    "database": "postgresql",
    "scaling": "autoscale",
    "autoscale_min": 1,
    "autoscale_max": 4,
    "allow_noauth2_exposure": True,
    **BEHIND_THE_GATEWAY,
}
# With Kubernetes' usual timings, the first added pod is ready after at most this many seconds.
FIRST_POD_SECONDS = 60
# placedock's CPU request.
REQUESTS = "resources:\n  requests:\n    cpu: 250m\n"
FAST_SCALE_DOWN = """
autoscaling:
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 15
      policies:
        - type: Pods
          value: 1
          periodSeconds: 5
"""


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Iterator[Site]:
    """Deploy with an autoscaler, as in placedock's readme, within the limits of two cores."""
    with new_site(ANSWERS) as site:
        site.set_values(REQUESTS + FAST_SCALE_DOWN)
        site.make("deploy")
        yield site


def test_the_number_of_pods_follows_the_load(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    printed = site.make("load", "CLIENTS=8", "SECONDS=60", "COOLDOWN=90")
    record_property("figures", " ".join(printed.splitlines()[-3:-1]))
    [table] = site.repository.glob("load/*.csv")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ready = {int(row["second"]): int(row["ready"]) for row in rows if row["ready"]}
    more = [second for second, number in ready.items() if second > 0 and number > 1]
    assert min(more) <= FIRST_POD_SECONDS
    assert ready[max(ready)] == 1
    assert sum(int(row["requests"] or 0) for row in rows) > 100
    assert sum(int(row["failures"] or 0) for row in rows) == 0
    assert max(float(row["cpu_percent"] or 0) for row in rows) > 50
    [plot] = site.repository.glob("load/*.svg")
    assert ET.parse(plot).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    assert "-load-" not in site.kubectl("get", "jobs", "--output", "name")


def test_an_invalid_load_is_refused(site: Site) -> None:
    for arguments, message in (
        (["CLIENTS=none"], "'none' is not a whole number from 1 to 100"),
        (["HELM_RELEASE=unknown"], "Run `make deploy` first"),
    ):
        done = site.try_make("load", *arguments)
        assert done.returncode != 0
        assert message in done.stderr
    assert "-load-" not in site.kubectl("get", "jobs", "--output", "name")


def test_a_deployment_with_an_autoscaler_and_a_gateway_passes_its_tests(
    site: Site, gateway: str
) -> None:
    """With the chart's own pace, in which the autoscaler removes no pod during the test."""
    site.set_values(REQUESTS)
    check_deployment(site, gateway)
    check_missing_secrets(site, len(Deployment(**ANSWERS).cluster_secrets))
