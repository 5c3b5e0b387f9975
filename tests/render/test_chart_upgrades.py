"""What an upgrade of the chart may not change, and what it must change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.render.conftest import Repo
from tests.support.chart import (
    WITH_A_PLAIN_JOB,
    Objects,
    component,
    labels,
    manifests,
    of_kind,
    parse,
    pods,
    template,
    with_all,
)
from tests.support.template import load
from tests.support.variants import every_variant

SELECTORS = {
    "Deployment": ("selector", "matchLabels"),
    "PodDisruptionBudget": ("selector", "matchLabels"),
    "Service": ("selector",),
}


def selectors(objects: Objects) -> dict[str, dict[str, str]]:
    """The labels that each kind of object selects pods by."""
    found = {}
    for manifest in objects:
        if path := SELECTORS.get(manifest["kind"]):
            selector = manifest["spec"]
            for key in path:
                selector = selector[key]
            found[manifest["kind"]] = selector
    return found


@pytest.fixture
def newer_chart(repo: Repo, tmp_path: Path) -> str:
    """Make a copy of the chart that differs in its versions only."""
    chart = shutil.copytree(repo.path / "placement-chart", tmp_path / "placement-chart")
    description = load(chart / "Chart.yaml") | {"version": "99.0.0", "appVersion": "99.0.0"}
    (chart / "Chart.yaml").write_text(json.dumps(description), encoding="utf-8")
    return str(chart)


@every_variant
def test_selectors_match_the_pods_of_the_api_only(repo: Repo) -> None:
    """No pod of a Job or of the test gets requests or counts as a replica."""
    objects = manifests(repo.path)
    found = selectors(objects)
    assert found.keys() == SELECTORS.keys()
    for selector in found.values():
        selected = [pod for pod in pods(objects) if selector.items() <= labels(pod).items()]
        assert [component(pod) for pod in selected] == ["api"]
    assert len({json.dumps(selector) for selector in found.values()}) == 1


@every_variant
def test_selectors_never_change(repo: Repo, newer_chart: str) -> None:
    """The selector of a Deployment is immutable."""
    options = ("commonLabels.a=b", "podLabels.c=d", "image.tag=e")
    newer = template(repo.path, *(f"--set={option}" for option in options), chart=newer_chart)
    assert selectors(parse(newer)) == selectors(manifests(repo.path))


@every_variant
def test_a_new_version_of_the_chart_restarts_nothing(repo: Repo, newer_chart: str) -> None:
    """Neither pods nor the name of a plain Job depend on the version of the chart."""
    newer = parse(
        template(repo.path, *with_all(repo.deployment), *WITH_A_PLAIN_JOB, chart=newer_chart)
    )
    older = manifests(repo.path, *with_all(repo.deployment), *WITH_A_PLAIN_JOB)
    for kind in ("Deployment", "Job"):
        assert list(pods(of_kind(kind, newer))) == list(pods(of_kind(kind, older)))
    assert names(newer) == names(older)


@every_variant
def test_a_plain_job_gets_a_new_name_with_a_new_image(repo: Repo) -> None:
    """A Job is immutable."""

    def job_names(*arguments: str) -> set[str]:
        jobs = of_kind("Job", manifests(repo.path, *WITH_A_PLAIN_JOB, *arguments))
        return {*names([job for job in jobs if component(job) == "db-sync"])}

    assert len(job_names()) == (0 if repo.deployment.sqlite else 1)
    assert not job_names() & job_names("--set=image.tag=newer")


def names(objects: Objects) -> list[str]:
    """The names of objects."""
    return [manifest["metadata"]["name"] for manifest in objects]
