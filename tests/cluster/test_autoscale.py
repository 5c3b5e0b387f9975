"""The autoscaler under `make load`: up, down again, and no request lost with the pods that go."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.conftest import NewSite
from tests.support.site import Site
from tests.support.template import commit_all

pytestmark = pytest.mark.xdist_group("autoscale")
# Kubernetes' usual timings allow for so many seconds until the first added pod is ready.
LONGEST = 60
# placedock's request, and a way down that a test can wait for.
VALUES = """
resources:
  requests:
    cpu: 250m
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
    """Deploy it as placedock's readme does, as far as two cores carry."""
    answers = {
        "database": "postgresql",
        "scaling": "autoscale",
        "autoscale_min": 1,
        "autoscale_max": 4,
    }
    with new_site(answers) as made:
        (made.repository / "values.local.yaml").write_text(VALUES, encoding="utf-8")
        commit_all(made.repository)
        made.make("deploy")
        yield made


def test_pods_come_with_the_load_and_go_after_it(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    said = site.make("load", "CLIENTS=8", "SECONDS=60", "COOLDOWN=90")
    record_property("figures", " ".join(said.splitlines()[-3:-1]))
    [table] = site.repository.glob("load/*.csv")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ready = {int(row["second"]): int(row["ready"]) for row in rows if row["ready"]}
    more = [second for second, number in ready.items() if second > 0 and number > 1]
    assert min(more) <= LONGEST
    assert ready[max(ready)] == 1
    assert sum(int(row["requests"] or 0) for row in rows) > 100
    assert sum(int(row["failures"] or 0) for row in rows) == 0
    assert max(float(row["cpu_percent"] or 0) for row in rows) > 50
    [picture] = site.repository.glob("load/*.svg")
    assert ET.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    assert "-load-" not in site.kubectl("get", "jobs", "--output", "name")


def test_a_load_that_cannot_be_is_refused(site: Site) -> None:
    for words, complaint in (
        (["CLIENTS=none"], "'none' is not a whole number from 1 to 100"),
        (["HELM_RELEASE=nobody"], "Run `make deploy` first"),
    ):
        done = site.try_make("load", *words)
        assert done.returncode != 0
        assert complaint in done.stderr
    assert "-load-" not in site.kubectl("get", "jobs", "--output", "name")
