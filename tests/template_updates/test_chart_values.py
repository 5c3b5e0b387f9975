"""From a version that rendered the answers into the chart's own values.yaml.

The answers are in a values.yaml of their own since then, which overrides the chart's. An edit in
the chart's file must not lose its effect silently: it conflicts, or no answer sets its value.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from extensions.deployment import Deployment
from tests.support.repositories import new_repository, publish, update
from tests.support.template import ROOT, VALID, git, load
from tests.support.work import insert, unresolved

VALUES = "placement-chart/values.yaml"
# The chart's file as the old version rendered it for these answers.
OLD = Path(__file__).parent / "data/chart-values-of-mysql-autoscale-ingress.yaml"
ANSWERS = load(next(path for path in VALID if path.stem == "mysql-autoscale-ingress"))


def scalars(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int]]:
    """List the path and the line of each value without inner values."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from scalars(value, f"{path}.{key.value}")
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from scalars(item, f"{path}[]")
    else:
        yield path, node.start_mark.line


def values(text: str) -> Iterator[tuple[str, int]]:
    """List the path and the line of each value in a values file."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None
    return scalars(node)


def test_edit_of_a_value_that_the_answers_set_conflicts(template: Path, tmp_path: Path) -> None:
    git(template, "rm", "--quiet", "template/values.yaml.jinja")
    (template / "template" / VALUES).write_bytes(OLD.read_bytes())
    publish(template, "100.0.0")
    repository = new_repository(
        template,
        tmp_path / "repo",
        ANSWERS,
        lambda folder: insert(
            folder / VALUES, "maxReplicas: 20\n", "maxReplicas: 7\n", replace=True
        ),
    )
    git(template, "revert", "--no-edit", "HEAD")
    git(template, "tag", "101.0.0")
    update(repository, newest=True)
    assert unresolved(repository) == {VALUES}
    assert "  maxReplicas: 7\n" in (repository / VALUES).read_text()
    assert load(repository / "values.yaml")["autoscaling"]["maxReplicas"] == 20


def test_no_edit_of_any_value_loses_its_effect(tmp_path: Path) -> None:
    """Each one is merged alone, by git as in an update."""
    sections = Deployment(**ANSWERS).chart_values
    answered = {path for section in sections for path, _ in values(section.yaml)}
    lines = OLD.read_text(encoding="utf-8").splitlines(keepends=True)
    mine = tmp_path / "values.yaml"
    merged = set()
    for path, line in values("".join(lines)):
        edited = [*lines[:line], f"{lines[line].rstrip()} # ours\n", *lines[line + 1 :]]
        mine.write_text("".join(edited), encoding="utf-8")
        files = (mine, OLD, ROOT / "template" / VALUES)
        command = ["git", "merge-file", "--stdout", *map(str, files)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            merged.add(path)
    assert ".resources.requests.cpu" in merged
    assert ".autoscaling.maxReplicas" in answered
    assert merged & answered == set()
