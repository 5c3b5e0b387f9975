"""The chart's values: values.yaml, values.schema.json and the templates agree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.render.conftest import Repo
from tests.support.chart import CHART, parse, try_template
from tests.support.template import ROOT, load
from tests.support.variants import every_variant

Schema = dict[str, Any]

SCHEMA: Schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = load(CHART / "values.yaml")
# Objects whose fields Kubernetes defines, not this chart.
OPEN = {
    "affinity",
    "autoscaling.behavior.scaleDown",
    "autoscaling.behavior.scaleUp",
    "dnsConfig",
    "extraEnv[]",
    "extraEnvFrom[]",
    "extraObjects.*",
    "extraVolumeMounts[]",
    "extraVolumes[]",
    "global",
    "httpRoute.parentRefs[]",
    "networkPolicy.dns[]",
    "networkPolicy.egress[]",
    "networkPolicy.ingressFrom[]",
    "resources.claims[]",
    "resources.limits",
    "resources.requests",
    "tolerations[]",
    "topologySpreadConstraints[]",
}
# Values of the schema without a default in values.yaml.
WITHOUT_DEFAULT = {
    "chartDigest",
    "enabled",
    "environment",
    "environment.context",
    "environment.namespace",
    "environment.revision",
    "global",
    "resources.claims",
}
REFUSALS = ("missing property", "execution error at (placement/templates/requirements.yaml")


def join(*names: str) -> str:
    """Return the path of a value as in `--set`."""
    return ".".join(filter(None, names))


def schemas(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """List the schema of each value with its path: `*` is any name, `[]` any item."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from schemas(inner, join(path, name))
    if "items" in node:
        yield from schemas(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from schemas(node["additionalProperties"], join(path, "*"))


def is_closed(node: Schema) -> bool:
    """Return whether the chart, not the user, names the values in an object."""
    return node.get("additionalProperties") is False


def closed_paths(node: Schema, path: str = "") -> Iterator[str]:
    """List the paths of the values that the schema names, except in items of lists."""
    if is_closed(node):
        for name, inner in node["properties"].items():
            yield join(path, name)
            yield from closed_paths(inner, join(path, name))


def paths(values: Any, node: Schema, path: str = "") -> Iterator[str]:
    """List the paths of values, down to objects whose names the user chooses."""
    if isinstance(values, dict) and is_closed(node):
        for name, inner in values.items():
            yield join(path, name)
            yield from paths(inner, node["properties"].get(name, {}), join(path, name))


DEFAULTS = set(paths(VALUES, SCHEMA))


def test_every_value_has_a_default_and_a_schema() -> None:
    assert {path for path in closed_paths(SCHEMA) if path not in WITHOUT_DEFAULT} == DEFAULTS


def test_every_value_has_a_type_and_a_description() -> None:
    """A wrong value is refused, and an editor can explain a right one."""
    for path, node in schemas(SCHEMA):
        assert "type" in node or "oneOf" in node, path
        assert "description" in node or not path or path.endswith(("*", "[]")), path


def test_the_descriptions_are_the_comments_of_the_default_values() -> None:
    command = [sys.executable, "tools/chart_schema.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_object_is_closed() -> None:
    """The schema names its values, or defines their type, or Kubernetes does."""
    objects = {path: node for path, node in schemas(SCHEMA) if node.get("type") == "object"}
    assert {path for path, node in objects.items() if "additionalProperties" not in node} == OPEN
    for path, node in objects.items():
        if is_closed(node):
            assert node["properties"], path


def test_every_value_is_used() -> None:
    """Alone or as a part of an object. No template reads a value that does not exist."""
    parents = {path.rpartition(".")[0] for path in DEFAULTS}
    leaves = DEFAULTS - parents
    texts = [file.read_text(encoding="utf-8") for file in (CHART / "templates").rglob("*.*")]
    used = {path for text in texts for path in re.findall(r"(?:\.Values|\$v)\.([\w.]*\w)", text)}
    unused = {
        leaf for leaf in leaves if not any(f"{leaf}.".startswith(f"{path}.") for path in used)
    }
    assert unused == set()
    assert used - DEFAULTS - WITHOUT_DEFAULT == set()


@every_variant
def test_the_answers_set_only_known_values_that_differ_or_are_answered(repo: Repo) -> None:
    """values.yaml holds exactly the values that the deployment derives from the answers."""
    values = load(repo.path / "values.yaml")
    sections = repo.deployment.chart_values
    assert values == {name: value for section in sections for name, value in section.values.items()}
    assert set(paths(values, SCHEMA)) <= DEFAULTS


def has_null(value: Any) -> bool:
    """Return whether a value contains null, which Kubernetes reads as unset."""
    if isinstance(value, dict):
        return any(has_null(inner) for inner in value.values())
    if isinstance(value, list):
        return any(has_null(inner) for inner in value)
    return value is None


@pytest.mark.parametrize(
    "repo",
    [pytest.param("mysql-autoscale-ingress", marks=pytest.mark.xdist_group("null"))],
    indirect=True,
)
def test_null_is_accepted_or_refused_for_every_value(repo: Repo) -> None:
    """A refusal names the value. Null never breaks a template or leaves a hole in an object."""
    for path in sorted(DEFAULTS):
        code, output, errors = try_template(repo.path, f"--set={path}=null")
        if code == 0:
            assert "<nil>" not in output, path
            assert not any(map(has_null, parse(output))), path
        else:
            assert any(refusal in errors for refusal in REFUSALS), f"{path}: {errors}"
