"""The chart's values: values.yaml, values.schema.json and the templates say the same of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.render.conftest import Repo
from tests.support.chart import parsed, tried
from tests.support.template import load
from tests.support.variants import every_variant

Schema = dict[str, Any]

# What Kubernetes, and not this chart, says the shape of.
FREE = {
    "affinity",
    "autoscaling.behavior.scaleDown",
    "autoscaling.behavior.scaleUp",
    "extraEnv[]",
    "extraEnvFrom[]",
    "extraObjects.*",
    "extraVolumeMounts[]",
    "extraVolumes[]",
    "global",
    "httpRoute.parentRefs[]",
    "networkPolicy.egress[]",
    "networkPolicy.ingressFrom[]",
    "resources.claims[]",
    "resources.limits",
    "resources.requests",
    "tolerations[]",
    "topologySpreadConstraints[]",
}
# What is in the schema alone: values.yaml names nothing of it.
ONLY_ALLOWED = {"global", "resources.claims"}
REFUSED = ("missing property", "execution error at (placement/templates/requirements.yaml")


def schema(repo: Repo) -> Schema:
    """Read what each value may be."""
    text = (repo.path / "placement-chart/values.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def values(repo: Repo) -> dict[str, Any]:
    """Read the values of this deployment."""
    return dict(load(repo.path / "placement-chart/values.yaml"))


def join(*names: str) -> str:
    """Name a value as one does for `--set`."""
    return ".".join(filter(None, names))


def schemas(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Find the schema of each value, by its path; `*` is any name, `[]` any item."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from schemas(inner, join(path, name))
    if "items" in node:
        yield from schemas(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from schemas(node["additionalProperties"], join(path, "*"))


def is_closed(node: Schema) -> bool:
    """Tell whether the names of an object's values are the chart's, and not the user's."""
    return node.get("additionalProperties") is False


def closed_paths(node: Schema, path: str = "") -> Iterator[str]:
    """Find the paths of all values that the schema names, but for items of lists."""
    if is_closed(node):
        for name, inner in node["properties"].items():
            yield join(path, name)
            yield from closed_paths(inner, join(path, name))


def paths(given: Any, node: Schema, path: str = "") -> Iterator[str]:
    """Find the paths of all values that are given, down to where names are the user's."""
    if isinstance(given, dict) and is_closed(node):
        for name, inner in given.items():
            yield join(path, name)
            yield from paths(inner, node["properties"].get(name, {}), join(path, name))


def used(repo: Repo) -> set[str]:
    """Find the paths of all values that the templates read."""
    templates = (repo.path / "placement-chart/templates").rglob("*.*")
    texts = [file.read_text(encoding="utf-8") for file in templates]
    return {path for text in texts for path in re.findall(r"(?:\.Values|\$v)\.([\w.]*\w)", text)}


@every_variant
def test_every_value_is_in_the_schema(repo: Repo) -> None:
    """And every value that the schema names is in values.yaml, where one finds it."""
    given = set(paths(values(repo), schema(repo)))
    named = set(closed_paths(schema(repo)))
    assert given == {it for it in named if it not in ONLY_ALLOWED}


@every_variant
def test_every_value_is_typed_and_described(repo: Repo) -> None:
    """So that a wrong one is refused, and an editor can say what a right one is."""
    for path, node in schemas(schema(repo)):
        assert "type" in node or "oneOf" in node, path
        assert "description" in node or not path or path.endswith(("*", "[]")), path


@every_variant
def test_every_object_is_closed(repo: Repo) -> None:
    """It names its values, or says what they are, or is one of Kubernetes'."""
    objects = {path: node for path, node in schemas(schema(repo)) if node.get("type") == "object"}
    assert {path for path, node in objects.items() if "additionalProperties" not in node} == FREE
    for path, node in objects.items():
        if is_closed(node):
            assert node["properties"], path


@every_variant
def test_every_value_is_used(repo: Repo) -> None:
    """By itself or with what it is a part of; and no template reads what there is not."""
    given = set(paths(values(repo), schema(repo)))
    leaves = {it for it in given if not any(other.startswith(f"{it}.") for other in given)}
    reads = used(repo)
    assert {
        it for it in leaves if not any(f"{it}.".startswith(f"{read}.") for read in reads)
    } == set()
    assert reads - given == set()


def nothing(given: Any) -> bool:
    """Tell whether something in there is null, which Kubernetes would take for not said."""
    if isinstance(given, dict):
        return any(nothing(it) for it in given.values())
    if isinstance(given, list):
        return any(nothing(it) for it in given)
    return given is None


@pytest.mark.parametrize(
    "repo",
    [pytest.param("mysql-autoscale-ingress", marks=pytest.mark.xdist_group("null"))],
    indirect=True,
)
def test_a_value_that_is_null_is_borne_or_refused(repo: Repo) -> None:
    """With a message that names it, and never as an error of a template or a hole in an object."""
    for path in paths(values(repo), schema(repo)):
        code, output, problem = tried(repo.path, f"--set={path}=null")
        if code == 0:
            assert "<nil>" not in output, path
            assert not any(map(nothing, parsed(output))), path
        else:
            assert any(it in problem for it in REFUSED), f"{path}: {problem}"
