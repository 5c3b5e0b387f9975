"""Which changes of answers are tried: a cover of all pairs, or all between valid answer files."""

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

# What each question is answered by in turn; first the eight that can contradict one another.
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
    "database_secret": ["placement-database", "database"],
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


@dataclass(frozen=True)
class Change:
    """From one set of answers to another."""

    name: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def there(self) -> dict[str, Any]:
        """What is answered anew for it: all that is asked then and is not as it was."""
        return _anew(Deployment(**self.before), Deployment(**self.after))

    def back(self) -> dict[str, Any] | None:
        """What is answered anew to be where it began; a release does not go back."""
        if self.before.get("release") != self.after.get("release"):
            return None
        return _anew(Deployment(**self.after), Deployment(**self.before))


def _anew(before: Deployment, after: Deployment) -> dict[str, Any]:
    answers = {
        name: getattr(after, name)
        for name in QUESTIONS
        if after.is_asked(name) and getattr(after, name) != getattr(before, name)
    }
    stored = {name: getattr(before, name) for name in QUESTIONS if before.is_asked(name)}
    # What is stored and contradicts is refused, even where nobody would ask for it any more.
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
    """Change every question from each of its values to each other, beside all that others do.

    The way back is tried, too, so three values are gone through in one direction only; but for the
    database's, so that each of its moves meets each of the others in both.
    """
    moves = [[*zip(values, values[1:] + values[:1], strict=True)] for values in VALUES.values()]
    moves[0] = [*itertools.permutations(VALUES["database"], 2)]
    rows = [_both(row) for row in AllPairs(moves, filter_func=_fits)]
    for number, (before, after) in enumerate(rows):
        yield Change(f"pairwise-{number}", before, after)
    for (before, after), (old, new) in zip(rows, RELEASE_STEPS, strict=False):
        name = f"from-{old}-to-{new}"
        yield Change(name, {**before, "release": old}, {**after, "release": new})


def between_files() -> Iterator[Change]:
    """Go from each valid file of answers to each other, where there is such a step."""
    for one, other in itertools.permutations(VALID, 2):
        change = Change(f"{one.stem}-to-{other.stem}", load(one), load(other))
        releases = (Deployment(**it).release for it in (change.before, change.after))
        if not release_step(*releases):
            yield change
