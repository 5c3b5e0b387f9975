"""What Helm does with the values of a release in an upgrade (docs/environments.md)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cluster.conftest import NewSite
from tests.support.site import Site
from tests.support.template import load

# Without pods, an upgrade takes a second.
OWN = "replicaCount: 0\npodLabels: {team: cloud}\n"
VALUES = ("--values=values.yaml", "--values=values.local.yaml")


@pytest.fixture
def newer_chart(tmp_path: Path) -> Path:
    """Return the folder for a newer chart."""
    return tmp_path / "placement-chart"


def write_newer_chart(site: Site, chart: Path) -> None:
    """Copy the chart and add a value that it requires, with a default."""
    shutil.copytree(site.repository / "placement-chart", chart)
    description = load(chart / "Chart.yaml") | {"version": "99.0.0"}
    (chart / "Chart.yaml").write_text(json.dumps(description), encoding="utf-8")
    values = load(chart / "values.yaml") | {"newer": {"text": "default"}}
    (chart / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    schema["properties"]["newer"] = {"type": "object"}
    schema["required"].append("newer")
    (chart / "values.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    (chart / "templates/newer.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: newer}\n"
        "data: {text: {{ .Values.newer.text }}}\n",
        encoding="utf-8",
    )


def pod_labels(site: Site) -> dict[str, str]:
    """Return the labels of the pods that the Deployment would create."""
    return dict(site.deployment()["spec"]["template"]["metadata"]["labels"])


def test_values_of_a_release_and_a_newer_chart(new_site: NewSite, newer_chart: Path) -> None:
    """They include the answers. --reuse-values misses the defaults of the newer chart."""
    with new_site({}) as site:
        (site.repository / "values.local.yaml").write_text(OWN, encoding="utf-8")
        write_newer_chart(site, newer_chart)
        upgrade = ("upgrade", site.name)
        site.helm(*upgrade, "placement-chart", "--install", *VALUES)
        answers = site.answered_values()
        own = load(site.repository / "values.local.yaml")
        assert site.installed_values() == answers | own

        done = site.run(
            "helm", "--namespace", site.name, *upgrade, str(newer_chart), "--reuse-values"
        )
        assert done.returncode != 0
        assert "missing property 'newer'" in done.stderr
        assert site.helm("history", site.name, "--output=json").count('"revision"') == 1

        site.helm(*upgrade, str(newer_chart), "--reset-then-reuse-values")
        assert site.get("configmap", "newer")["data"] == {"text": "default"}
        assert site.installed_values() == answers | own

        # As `make deploy` and Flux do: all values each time. One that is no longer given is reset.
        (site.repository / "values.local.yaml").write_text("replicaCount: 0\n", encoding="utf-8")
        site.helm(*upgrade, str(newer_chart), "--reuse-values", *VALUES)
        assert pod_labels(site)["team"] == "cloud"
        site.helm(*upgrade, str(newer_chart), "--install", *VALUES)
        assert "team" not in pod_labels(site)
        assert site.installed_values() == answers | {"replicaCount": 0}
