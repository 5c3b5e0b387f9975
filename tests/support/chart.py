"""The chart of a rendered repository, as Helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.render.conftest import Repo

Manifest = dict[str, Any]
Objects = Sequence[Manifest]

# Every object that there can be beside what the answers ask for; a plain Job is another one.
WITH_ALL = ("--set-json", 'policy={"placement:traits:list":"role:reader"}')
WITH_A_PLAIN_JOB = ("--set", "migrations.mode=job")


def tried(path: Path, *arguments: str, chart: str = "placement-chart") -> tuple[int, str, str]:
    """Render the chart as `helm install` would, or see it refused."""
    command = ["helm", "template", "null", chart, "--values", "values.local.yaml", *arguments]
    done = subprocess.run(command, cwd=path, text=True, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def rendered(path: Path, *arguments: str, chart: str = "placement-chart") -> str:
    """Render the chart as `helm install` would."""
    code, output, problem = tried(path, *arguments, chart=chart)
    assert code == 0, problem
    return output


def manifests(repo: Repo, *arguments: str) -> Objects:
    """Render the chart's objects; the same only once, so do not change them."""
    return _manifests(repo.path, arguments)


@cache
def _manifests(path: Path, arguments: tuple[str, ...]) -> Objects:
    return parsed(rendered(path, *arguments))


def parsed(output: str) -> Objects:
    """Read what Helm has rendered."""
    return tuple(filter(None, yaml.load_all(output, Loader=yaml.CSafeLoader)))


def of_kind(kind: str, objects: Objects) -> list[Manifest]:
    """Leave the objects of this kind."""
    return [it for it in objects if it["kind"] == kind]


def pods(objects: Objects) -> Iterator[Manifest]:
    """Find the pods, each with its metadata and its spec: of the Deployment, the Jobs, the test."""
    for manifest in objects:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]
        elif manifest["kind"] == "Pod":
            yield manifest


def component(manifest: Manifest) -> str:
    """Tell what a pod or an object is for."""
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])
