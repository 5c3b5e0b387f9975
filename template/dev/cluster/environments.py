"""Check the environments of this repository: `environments.py [[--secrets] NAME]`.

environments/NAME/values.yaml holds the values of an environment. Its key `environment` holds the
namespace and the context of `make deploy ENV=NAME`. With a name, this program prints them for the
Makefile: `namespace=... context=...`. With --secrets, it prints the Secrets that the pods and the
Ingress need instead.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import secret_keys

Values = dict[str, Any]

FOLDER = Path("environments")
ANSWERS = Path(".copier-answers.yml")
# The values of all environments, in the order in which the Makefile passes them to Helm.
COMMON = (Path("values.yaml"), Path("values.image.yaml"), Path("values.local.yaml"))

# As Kubernetes names namespaces. A context may have any name, but make passes on only some.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
CONTEXT = re.compile(r"[A-Za-z0-9._:/@+=-]*")

# The values that an answer decides for all environments. The image, the tests, compose.yaml and the
# documentation depend on these answers, too.
ANSWERED = {
    "database.backend": "database",
    "settings.OS_API__AUTH_STRATEGY": "auth_strategy",
    "settings.OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "keystone_auth_type",
}
# Where Placement's endpoints are registered.
REGISTRATION = ("OS_KEYSTONE_AUTHTOKEN__AUTH_URL", "OS_KEYSTONE_AUTHTOKEN__REGION_NAME")


class InvalidError(Exception):
    """A file that cannot be used."""


@dataclass(frozen=True)
class Environment:
    """An environment: where it is, and what it needs there."""

    file: Path
    namespace: str
    context: str
    """If empty, the current one."""
    values: Values
    """The environment's own."""
    hosts: set[str]
    """The addresses for clients outside the cluster."""
    registration: tuple[str, str] | None
    """The URL of the Keystone and the region in which a Job registers the endpoints."""

    def may_share_cluster(self, other: Environment) -> bool:
        """Whether both may be in the same cluster."""
        return not (self.context and other.context) or self.context == other.context

    def replaces(self, other: Environment) -> bool:
        """Whether it is the other one, with the same endpoints."""
        return (self.namespace, self.hosts) == (other.namespace, other.hosts)


def file_of(name: str) -> Path:
    """Return the file that makes an environment."""
    return FOLDER / name / "values.yaml"


def names() -> list[str]:
    """List the environments."""
    return sorted({file.parent.name for file in FOLDER.glob("*/values.y*ml")})


def load(name: str) -> Environment:
    """Read an environment."""
    file = file_of(name)
    if (other := file.with_suffix(".yml")).exists():
        raise InvalidError(f"{other}: has the wrong name. Rename it to {file.name}.")
    own = read(file)
    namespace, context = (
        str(get(own, f"environment.{key}") or "") for key in ("namespace", "context")
    )
    check(NAME, "the folder", name, file, "Use lower-case letters, digits and hyphens.")
    check(
        NAME,
        "environment.namespace",
        namespace,
        file,
        "Set it to the namespace of the environment.",
    )
    check(CONTEXT, "environment.context", context, file, "Rename it: kubectl config rename-context")
    return create(file, namespace, context, own)


def without_env() -> Environment:
    """Return what a deployment without ENV is: it may exist, also next to environments."""
    return create(COMMON[0], str(read(ANSWERS).get("project_name")), "", {})


def create(file: Path, namespace: str, context: str, own: Values) -> Environment:
    """Create an environment, with its own values on top of those of all environments."""
    values: Values = {}
    for common in filter(Path.exists, COMMON):
        values = merge(values, read(common))
    values = merge(values, own)
    try:
        return Environment(file, namespace, context, own, set(hosts(values)), registration(values))
    except (AttributeError, KeyError, TypeError):
        raise InvalidError(
            f"{file}: a value has the wrong type. `make chart-test` names it."
        ) from None


def read(file: Path) -> Values:
    """Read a file of values."""
    try:
        values = yaml.safe_load(file.read_bytes()) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InvalidError(f"{file}: not a mapping. Write values such as `replicaCount: 2`.")
    return values


def check(pattern: re.Pattern[str], what: str, value: str, file: Path, fix: str) -> None:
    """Refuse a name that does not match."""
    if not pattern.fullmatch(value):
        problem = f"is {value!r}, which is not a valid name" if value else "is missing"
        raise InvalidError(f"{file}: {what} {problem}. {fix}")


def merge(values: Values, others: Values) -> Values:
    """Return values with others on top, as Helm merges its files."""
    merged = values | others
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(others.get(name), dict):
            merged[name] = merge(value, others[name])
    return merged


def get(values: Values, path: str) -> Any:
    """Return a value by its path, as in `helm --set`, or None."""
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def installed(values: Values, part: str) -> Values:
    """Return the values of a part of the chart that `enabled` installs."""
    return values[part] if get(values, f"{part}.enabled") else {}


def ingress_hosts(values: Values) -> list[Values]:
    """List the hosts of the Ingress, each with its certificate."""
    ingress = installed(values, "ingress")
    return [ingress, *(ingress.get("extraHosts") or [])] if ingress else []


def hosts(values: Values) -> Iterator[str]:
    """List the addresses for clients outside the cluster."""
    for item in ingress_hosts(values):
        yield f"{item.get('host')}{values['ingress'].get('path', '/')}".rstrip("/")
    if route := installed(values, "httpRoute"):
        yield str(route.get("host"))


def registration(values: Values) -> tuple[str, str] | None:
    """Return the Keystone and the region in which the Job `register` writes the endpoints."""
    if not values.get("keystoneAdminSecret") or get(values, "migrations.mode") == "none":
        return None
    keystone, region = (str(get(values, f"settings.{option}")) for option in REGISTRATION)
    return keystone.rstrip("/"), region


def secrets(environment: Environment) -> list[str]:
    """List the Secrets that the rendered chart needs, or exit with Helm's error."""
    files = [*filter(Path.exists, COMMON), environment.file]
    command = ["helm", "template", "placement-chart", *(f"--values={file}" for file in files)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return secret_keys.describe([*filter(None, yaml.safe_load_all(done.stdout))])


def problems(name: str) -> Iterator[str]:
    """Find what is wrong with an environment, by itself and next to the others."""
    try:
        environment = load(name)
        yield from contradictions(environment)
        default = without_env()
    except InvalidError as error:
        yield str(error)
        return
    others = []
    for other in sorted({*names()} - {name}):
        with suppress(InvalidError):  # a problem of the other environment
            others.append(load(other))
    for each in others:
        yield from collisions(environment, each)
    if not any(each.replaces(default) for each in (environment, *others)):
        others.append(default)
    yield from registrations(environment, others)


def contradictions(environment: Environment) -> Iterator[str]:
    """Find the values that contradict an answer."""
    values, answers = environment.values, read(ANSWERS)
    for path, question in ANSWERED.items():
        value, answer = get(values, path), answers.get(question)
        if answer and value not in (None, answer):
            yield (
                f"{environment.file}: {path} is {value}, but the answer to {question} is {answer}. "
                f"Remove {path}, or change all environments: make set {question}={value}"
            )
    tag, release = get(values, "image.tag"), answers.get("release")
    if tag and not f"{tag}-".startswith(f"{release}-"):
        yield (
            f"{environment.file}: image.tag is {tag}, but the answer to release is {release}. "
            "Remove image.tag, or change all environments: make set release=..."
        )


def collisions(environment: Environment, other: Environment) -> Iterator[str]:
    """Find what two environments cannot share."""
    if not environment.may_share_cluster(other):
        return
    contexts = "or set a different environment.context in each file"
    if environment.namespace == other.namespace:
        yield (
            f"{environment.file}: environment.namespace is {other.namespace}, as in {other.file}. "
            f"Set another namespace, {contexts}."
        )
    for host in sorted(environment.hosts & other.hosts):
        yield (
            f"{environment.file}: the host {host} is also that of {other.file}. "
            f"Set another ingress.host or httpRoute.host, {contexts}."
        )


def registrations(environment: Environment, others: list[Environment]) -> Iterator[str]:
    """Find the endpoints of others that the Job `register` would replace with its own."""
    if not environment.registration:
        return
    keystone, region = environment.registration
    # Each cluster may have another server at such a URL.
    in_cluster = ".svc." in f"{urlsplit(keystone).hostname}."
    for other in others:
        may_be_same = not in_cluster or environment.may_share_cluster(other)
        if may_be_same and environment.registration == other.registration:
            yield (
                f"{environment.file}: the Job register would replace the endpoints that "
                f"{other.file} registers in the region {region} of {keystone}. "
                f'Set keystoneAdminSecret: "", or another {" or ".join(REGISTRATION)}.'
            )


def main(*arguments: str) -> int:
    """Check one environment and print where it is or its Secrets, or check all."""
    with_secrets = "--secrets" in arguments
    arguments = tuple(name for name in arguments if name != "--secrets")
    known = names()
    for name in arguments:
        if name not in known:
            listed = (
                f"Use {' or '.join(known)}."
                if known
                else "docs/environments.md explains how to write it."
            )
            print(f"ENV={name}: there is no {file_of(name)}. {listed}", file=sys.stderr)
            return 1
    found = [problem for name in arguments or known for problem in problems(name)]
    if found:
        print(*found, sep="\n", file=sys.stderr)
        return 1
    for environment in map(load, arguments):
        if with_secrets:
            print(*secrets(environment))
        else:
            print(f"namespace={environment.namespace}", f"context={environment.context}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
