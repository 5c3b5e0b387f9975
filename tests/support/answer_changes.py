"""The changes of answers that are tested: a pairwise cover, and all between valid answer files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from allpairspy.allpairs import AllPairs

from extensions.deployment import QUESTIONS, Deployment, find_errors
from extensions.releases import RELEASES, release_step
from tests.support.template import VALID, load

# The values of each question; first the eight questions whose answers can contradict one another.
VALUES: dict[str, list[Any]] = {
    "database": ["sqlite", "postgresql", "mysql"],
    "scaling": ["fixed", "autoscale"],
    "auth_strategy": ["noauth2", "keystone"],
    "allow_noauth2_exposure": [False, True],
    "exposure": ["none", "ingress", "gateway"],
    "replicas": [1, 3],
    "autoscale_min": [2, 3],
    "autoscale_max": [10, 4],
    "ci": ["github", "gitlab", "none"],
    "gitops": ["none", "argocd", "flux"],
    "keystone_interface": ["internal", "public", "admin"],
    "autoscale_cpu_percent": [50, 80],
    "keystone_auth_type": ["password", "v3applicationcredential"],
    "keystone_auth_url": ["http://keystone.openstack.svc:5000/v3", "https://id.example.com/v3"],
    "keystone_public_url": ["http://keystone.openstack.svc:5000", "https://id.example.com"],
    "keystone_secret": ["placement-keystone", "login"],
    "keystone_project_name": ["service", "services"],
    "keystone_project_domain_name": ["Default", "Infra"],
    "keystone_user_domain_name": ["Default", "Users"],
    "keystone_region": ["RegionOne", "north"],
    "keystone_memcached_servers": ["", "memcached:11211"],
    "keystone_ca_secret": ["", "house-ca"],
    "keystone_admin_secret": ["", "keystone-admin"],
    "database_secret": ["placement-database", "database"],
    "database_admin_secret": ["", "database-admin"],
    "host": ["placement.local", "placement.example.com"],
    "ingress_class": ["", "traefik"],
    "tls_secret": ["", "placement-tls"],
    "gateway_name": ["gateway", "public"],
    "gateway_namespace": ["", "gateways"],
    "network_policy": [False, True],
    "image_pull_secret": ["", "registry-credentials"],
    "image_repository": ["localhost/placement", "registry.example.com/cloud/placement"],
    "base_image": ["docker.io/library/debian:trixie-slim", "registry.example.com/debian:trixie"],
    "project_name": ["placement", "placement-lab"],
}
CAN_CONTRADICT = 8
RELEASE_STEPS = [
    (old, new) for old, new in itertools.permutations(RELEASES, 2) if not release_step(old, new)
]
assert {*VALUES, "release"} == set(QUESTIONS)


Moves = list[tuple[Any, Any]]
"""The changes of one question: values before and after."""


@dataclass(frozen=True)
class Change:
    """A change from one set of answers to another."""

    name: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def there(self) -> dict[str, Any]:
        """Return the answers to change: of all questions asked afterwards, those that differ."""
        return _difference(Deployment(**self.before), Deployment(**self.after))

    def back(self) -> dict[str, Any] | None:
        """Return the answers that change it back, or None for a release, which never goes back."""
        if self.before.get("release") != self.after.get("release"):
            return None
        return _difference(Deployment(**self.after), Deployment(**self.before))


def _difference(before: Deployment, after: Deployment) -> dict[str, Any]:
    answers = {
        name: getattr(after, name)
        for name in QUESTIONS
        if after.is_asked(name) and getattr(after, name) != getattr(before, name)
    }
    stored = {name: getattr(before, name) for name in QUESTIONS if before.is_asked(name)}
    # A stored answer that contradicts is refused even if its question is no longer asked.
    for problem in find_errors({**stored, **answers}):
        name = problem.partition(":")[0]
        answers[name] = getattr(after, name)
    return answers


def _both(row: Sequence[tuple[Any, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    befores, afters = zip(*row, strict=True)
    return dict(zip(VALUES, befores, strict=False)), dict(zip(VALUES, afters, strict=False))


@cache
def _go_together(row: tuple[tuple[Any, Any], ...]) -> bool:
    return not any(find_errors(answers) for answers in _both(row))


def _fits(row: list[tuple[Any, Any]]) -> bool:
    return _go_together(tuple(row[:CAN_CONTRADICT]))


def pairwise() -> Iterator[Change]:
    """Change every question between all its values, in each combination with another's change.

    Each change is also undone, so a cycle through three values covers both directions.
    """
    rows = list(_rows(_cycle(VALUES["database"])))
    for number, (before, after) in enumerate(rows):
        yield Change(f"pairwise-{number}", before, after)
    # One step that skips a release, and one to the next release.
    yield from _release_changes(rows, [RELEASE_STEPS[1], RELEASE_STEPS[-1]])


def both_directions() -> Iterator[Change]:
    """The same with each change of the database in both directions, and the other release steps."""
    rows = list(_rows([*itertools.permutations(VALUES["database"], 2)]))
    for number, (before, after) in enumerate(rows):
        yield Change(f"both-directions-{number}", before, after)
    yield from _release_changes(rows, [RELEASE_STEPS[0], *RELEASE_STEPS[2:-1]])


def _rows(database: Moves) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    moves = [_cycle(values) for values in VALUES.values()]
    moves[0] = database
    for row in AllPairs(moves, filter_func=_fits):
        yield _both(row)


def _cycle(values: list[Any]) -> Moves:
    return [*zip(values, values[1:] + values[:1], strict=True)]


def _release_changes(
    rows: list[tuple[dict[str, Any], dict[str, Any]]], steps: list[tuple[str, str]]
) -> Iterator[Change]:
    for (before, after), (old, new) in zip(rows, steps, strict=False):
        name = f"from-{old}-to-{new}"
        yield Change(name, {**before, "release": old}, {**after, "release": new})


def between_files() -> Iterator[Change]:
    """Change from each valid file of answers to each other, if its release can be reached."""
    for one, other in itertools.permutations(VALID, 2):
        change = Change(f"{one.stem}-to-{other.stem}", load(one), load(other))
        releases = (Deployment(**answers).release for answers in (change.before, change.after))
        if not release_step(*releases):
            yield change
