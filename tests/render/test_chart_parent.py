"""The chart as a dependency of a parent chart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.render.conftest import Repo
from tests.support.chart import manifests, parse, try_helm
from tests.support.template import load

one_variant = pytest.mark.parametrize(
    "repo",
    [pytest.param("mysql-autoscale-ingress", marks=pytest.mark.xdist_group("parent"))],
    indirect=True,
)


@pytest.fixture
def parent(repo: Repo, tmp_path: Path) -> Path:
    """Write a parent chart whose values contain the answers, as docs/kubernetes.md describes it."""
    dependency = {
        "name": "placement",
        "version": ">=0.0.0",
        "repository": f"file://{repo.path}/placement-chart",
        "condition": "placement.enabled",
    }
    chart = {"apiVersion": "v2", "name": "cloud", "version": "1.0.0", "dependencies": [dependency]}
    values = {"global": {"region": "RegionOne"}, "placement": load(repo.path / "values.yaml")}
    for name, content in {"Chart.yaml": chart, "values.yaml": values}.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    code, output, errors = try_helm(tmp_path, "dependency", "update", ".")
    assert code == 0, output + errors
    return tmp_path


@one_variant
def test_a_parent_chart_installs_the_same_objects(repo: Repo, parent: Path) -> None:
    code, output, errors = try_helm(parent, "template", "null", ".", "--set=placement.enabled=true")
    assert code == 0, errors
    assert parse(output) == manifests(repo.path)


@one_variant
def test_a_parent_chart_can_leave_placement_out(parent: Path) -> None:
    code, output, errors = try_helm(
        parent, "template", "null", ".", "--set=placement.enabled=false"
    )
    assert code == 0, errors
    assert parse(output) == ()
