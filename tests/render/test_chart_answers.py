"""The answers in the manifests: settings, secrets, the image, and the defaults without answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from extensions.deployment import Deployment
from tests.render.conftest import Repo
from tests.support.chart import (
    CHART,
    component,
    environment,
    manifests,
    of_kind,
    parse,
    pods,
    try_helm,
    try_template,
    with_all,
)
from tests.support.template import load
from tests.support.variants import every_variant

ADMIN_SECRET = "keystone-admin"
# Secrets of servers that a Job does not use.
UNUSED = {
    "create-database": {
        "OS_KEYSTONE_AUTHTOKEN__PASSWORD",
        "OS_KEYSTONE_AUTHTOKEN__MEMCACHE_SECRET_KEY",
    },
    "register": {
        "OS_PLACEMENT_DATABASE__CONNECTION",
        "OS_KEYSTONE_AUTHTOKEN__MEMCACHE_SECRET_KEY",
    },
}


def secret_files(repo: Repo, component: str = "api") -> dict[str, str]:
    """The variables that name the files of the secrets."""
    return {
        f"{name}_FILE": f"/etc/placement/secrets/{secret}/{key}"
        for name, (secret, key) in repo.deployment.secrets.items()
        if name not in UNUSED.get(component, ())
    }


def common_variables(repo: Repo, component: str = "api") -> dict[str, str]:
    """The variables of every container that are no settings: the kind of database, and files."""
    variables = secret_files(repo, component)
    if not repo.deployment.sqlite:
        variables["DATABASE_BACKEND"] = repo.deployment.database
    if repo.deployment.keystone_ca_secret:
        variables["OS_KEYSTONE_AUTHTOKEN__CAFILE"] = repo.deployment.keystone_ca_file
    return variables


def server_variables(repo: Repo) -> dict[str, str]:
    """The variables of the server."""
    sync = {"DB_SYNC": "True"} if repo.deployment.sqlite else {}
    return sync | {"PORT": "8778"} | workers(repo)


def workers(repo: Repo) -> dict[str, str]:
    """The variables of the processes and threads, which the Jobs compare with the database."""
    return {
        "UWSGI_PROCESSES": str(repo.deployment.processes),
        "UWSGI_THREADS": str(repo.deployment.threads),
    }


def registration(repo: Repo) -> dict[str, str]:
    """The variables of the Job that registers Placement in Keystone."""
    service = "http://null-placement.default.svc:8778"
    public = repo.deployment.public_url if repo.deployment.exposed else service
    return {
        "OS_CLIENT_CONFIG_FILE": f"/etc/placement/secrets/{ADMIN_SECRET}/clouds.yaml",
        "PUBLIC_ENDPOINT": public,
        "INTERNAL_ENDPOINT": service,
        "ADMIN_ENDPOINT": service,
    }


def admin_file(repo: Repo) -> str:
    """Return the file with the URL of the database's administrator, in one Job."""
    return f"/etc/placement/secrets/{repo.deployment.database_admin_secret}/connection"


@every_variant
def test_the_pods_get_the_settings(repo: Repo) -> None:
    """The API's pods read the ConfigMap. Other pods may run before it exists."""
    [config, *_] = of_kind("ConfigMap", manifests(repo.path))
    settings = repo.deployment.chart_settings
    assert config["data"] == settings
    backend = {} if repo.deployment.sqlite else {"DATABASE_BACKEND": repo.deployment.database}
    assert settings | common_variables(repo) == (
        repo.deployment.settings | secret_files(repo) | backend
    )
    for pod in pods(manifests(repo.path)):
        [container] = pod["spec"]["containers"]
        if component(pod) == "api":
            assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
            assert environment(pod) == server_variables(repo) | common_variables(repo)
        else:
            assert "envFrom" not in container
            own = {} if component(pod) == "test" else workers(repo)
            if component(pod) == "register":
                own |= registration(repo)
            if component(pod) == "create-database":
                own |= {"DATABASE_ADMIN_CONNECTION_FILE": admin_file(repo)}
            assert environment(pod) == settings | common_variables(repo, component(pod)) | own


@every_variant
def test_the_pods_mount_the_secrets_where_their_settings_expect_them(repo: Repo) -> None:
    """The API's pods wait for the Secrets. Other pods start without them and log their names."""
    for pod in pods(manifests(repo.path)):
        volumes = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "secrets"]
        sources = [src["secret"] for volume in volumes for src in volume["projected"]["sources"]]
        found = {
            f"/etc/placement/secrets/{item['path']}": (source["name"], item["key"])
            for source in sources
            for item in source["items"]
        }
        secrets = repo.deployment.secrets
        expected = {
            path: secrets[name.removesuffix("_FILE")]
            for name, path in secret_files(repo, component(pod)).items()
        }
        if component(pod) == "register":
            key = (ADMIN_SECRET, "clouds.yaml")
            expected["/etc/placement/secrets/{}/{}".format(*key)] = key
        if component(pod) == "create-database":
            expected[admin_file(repo)] = (repo.deployment.database_admin_secret, "connection")
        assert found == expected
        optional = component(pod) != "api"
        assert all(source.get("optional", False) == optional for source in sources)


@every_variant
def test_the_manifests_contain_no_secret(repo: Repo) -> None:
    """Neither as an object nor as a variable."""
    objects = manifests(repo.path, *with_all(repo.deployment))
    assert not of_kind("Secret", objects)
    settings = [name for config in of_kind("ConfigMap", objects) for name in config["data"]]
    for pod in pods(objects):
        assert not repo.deployment.secrets.keys() & {*settings, *environment(pod)}


@every_variant
def test_every_pod_runs_the_image_that_make_builds(repo: Repo) -> None:
    """The chart, compose and the Makefile use the same name."""
    image = repo.deployment.image
    compose = load(repo.path / "compose.yaml")["services"]["placement"]["image"]
    makefile = (repo.path / "Makefile").read_text()
    containers = [pod["spec"]["containers"] for pod in pods(manifests(repo.path))]
    assert {container["image"] for [container] in containers} == {image}
    assert compose == f"${{IMAGE:-{image}}}"
    assert f"IMAGE ?= {image}\n" in makefile


@every_variant
def test_the_connection_limit_is_that_of_the_deployment(repo: Repo) -> None:
    """The chart counts the connections of a deployment as the documentation does."""
    code, _, errors = try_template(repo.path, "--set=database.maxConnections=1")
    number = (
        repo.deployment.autoscale_max if repo.deployment.autoscaled else repo.deployment.replicas
    )
    assert (code == 0) == repo.deployment.sqlite
    if code:
        per_pod = repo.deployment.connections_per_pod
        assert f"may open {repo.deployment.connections_of_rollout} database" in errors
        assert f"A pod opens {per_pod}, a Job opens 2, " in errors
        assert f" adds a pod to the {number} replicas." in errors


# ---- Without answers ----


@pytest.fixture
def chart() -> Path:
    """The folder of the chart, as a user of the chart alone has it."""
    return CHART.parent


def test_the_chart_alone_deploys_what_the_default_answers_do(
    chart: Path, render_default: Repo
) -> None:
    """`helm install placement ./placement-chart` works as in placedock."""
    code, output, errors = try_helm(chart, "template", "null", "./placement-chart")
    assert code == 0, errors
    assert parse(output) == manifests(render_default.path)
    [deployment] = of_kind("Deployment", parse(output))
    assert deployment["spec"]["replicas"] == 1
    [config] = of_kind("ConfigMap", parse(output))
    assert config["data"] == {"OS_API__AUTH_STRATEGY": "noauth2"}


def test_the_chart_alone_can_have_an_ingress_as_in_placedock(chart: Path) -> None:
    """Placedock's default host name answers."""
    options = "ingress.enabled=true,allowNoauth2Exposure=true"
    code, output, errors = try_helm(
        chart, "template", "placement", "./placement-chart", "--set", options
    )
    assert code == 0, errors
    [ingress] = of_kind("Ingress", parse(output))
    assert ingress["spec"]["rules"][0]["host"] == Deployment().host
