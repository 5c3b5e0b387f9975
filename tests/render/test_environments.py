"""What an environment may contain, and what it needs. tests/cluster/ deploys two of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

import environments
from tests.render.conftest import Repo
from tests.support.chart import Values, parse, template
from tests.support.repositories import make
from tests.support.template import Answers, Render
from tests.support.variants import every_variant

ANSWERS: Answers = {
    "database": "postgresql",
    "auth_strategy": "keystone",
    "exposure": "ingress",
    "host": "placement.example.com",
    "tls_secret": "placement-tls",
}
# All that may differ: another region, in a cluster of its own.
EU2: Values = {
    "environment": {"namespace": "placement", "context": "admin@eu2.example.com"},
    "replicaCount": 3,
    "resources": {"requests": {"cpu": "2"}},
    "image": {"repository": "registry.eu2.example.com/placement", "tag": "2026.2-1f2e3d"},
    "imagePullSecrets": [{"name": "registry-eu2"}],
    "ingress": {"host": "placement.eu2.example.com", "tlsSecret": "eu2-tls"},
    "settings": {
        "OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "https://keystone.eu2.example.com/v3",
        "OS_KEYSTONE_AUTHTOKEN__REGION_NAME": "eu2",
    },
    "secretSettings": {"OS_PLACEMENT_DATABASE__CONNECTION": {"name": "database-eu2"}},
    "extraEnv": [{"name": "TZ", "valueFrom": {"secretKeyRef": {"name": "zones", "key": "zone"}}}],
    "extraEnvFrom": [{"secretRef": {"name": "others"}}],
}
EU1: Values = {
    "environment": {"namespace": "placement", "context": "admin@eu1.example.com"},
    "settings": {"OS_KEYSTONE_AUTHTOKEN__REGION_NAME": "eu1"},
}


@pytest.fixture
def repository(render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository without environments, which is also the current folder."""
    repository = shutil.copytree(render(ANSWERS), tmp_path / "repo")
    # The tools of the Makefile, which take seconds to install, are also in this environment.
    (repository / "dev/stack/.venv").symlink_to(sys.prefix)
    for file in ("requirements.txt", "keystone/requirements.txt"):
        os.utime(repository / "dev/stack" / file, (0, 0))
    monkeypatch.chdir(repository)
    return repository


def write(repository: Path, **values: Values | str) -> None:
    """Write the values of environments."""
    for name, text in values.items():
        file = repository / "environments" / name / "values.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")


def in_namespace(name: str, **values: object) -> Values:
    """Return values with a namespace in the current context, and a host of its own."""
    host = {"host": f"{name}.example.com"}
    return {"environment": {"namespace": name}, "ingress": host} | values


def test_regions_may_differ_in_all_that_depends_on_the_cluster(repository: Path) -> None:
    """From the context to the Secrets. The chart renders what each region needs."""
    write(repository, eu1=EU1, eu2=EU2)
    assert environments.main() == 0
    deployed = {}
    for name, region in {"eu1": EU1, "eu2": EU2}.items():
        objects = parse(template(repository, "--values", f"environments/{name}/values.yaml"))
        found = {item["kind"]: item for item in objects}
        settings = found["ConfigMap"]["data"]
        assert region["settings"].items() <= settings.items()
        deployed[name] = (
            found["Ingress"]["spec"]["rules"][0]["host"],
            found["Deployment"]["spec"]["replicas"],
            found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"],
        )
        printed = make(repository, "secrets", f"ENV={name}").stdout
        secrets = {
            "eu1": ("placement-database", "placement-tls"),
            "eu2": ("database-eu2", "eu2-tls"),
        }
        for secret in (*secrets[name], "placement-keystone"):
            assert f" --namespace placement create secret generic {secret} " in printed
        for line in (
            "registry-eu2 --type=kubernetes.io/dockerconfigjson \\\n    --from-file=.docker",
            "zones \\\n    --from-file=zone=FILE\n",
            "others \\\n    --from-file=KEY=FILE\n",
        ):
            assert (f"create secret generic {line}" in printed) == (name == "eu2")
        where = make(repository, f"ENV={name}", "--eval=where:; @echo $(KUBECTL)", "where").stdout
        assert region["environment"]["context"] in where
    image = EU2["image"]
    assert deployed == {
        "eu1": ("placement.example.com", 1, "localhost/placement:2026.2"),
        "eu2": ("placement.eu2.example.com", 3, f"{image['repository']}:{image['tag']}"),
    }


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"database": {"backend": "mysql"}},
            "database.backend is mysql, but the answer to database is",
        ),
        (
            {"settings": {"OS_API__AUTH_STRATEGY": "noauth2"}},
            "OS_API__AUTH_STRATEGY is noauth2, but the answer to auth_strategy is keystone",
        ),
        (
            {"settings": {"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "v3applicationcredential"}},
            "make set keystone_auth_type=v3applicationcredential",
        ),
        ({"image": {"tag": "2025.1"}}, "image.tag is 2025.1, but the answer to release is 2026.2"),
        ({"image": {"tag": "2026.20"}}, "image.tag is 2026.20, but the answer to release is"),
        ({"environment": {}}, "environment.namespace is missing. Set it to"),
        ({"environment": {"namespace": "a_b"}}, "environment.namespace is 'a_b', which is not"),
        ({"environment": {"namespace": "b", "context": "a b"}}, "context is 'a b', which is not"),
        ({"ingress": {"host": "c.example.com"}}, "c.example.com is also that of environments/c/"),
        ({"environment": {"namespace": "c"}}, "namespace is c, as in environments/c/values.yaml."),
        ({"ingress": {"extraHosts": ["x"]}}, "a value has the wrong type"),
    ],
)
def test_a_problem_is_reported_in_one_line(
    repository: Path, values: Values, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the file. The other environment has no problem of its own."""
    write(repository, b=in_namespace("b") | values, c=in_namespace("c"))
    assert environments.main("b") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("environments/b/values.yaml: ")
    assert problem in line
    assert ". " in line  # the fix follows
    assert environments.main() == 1


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "a: \x00\n"])
def test_a_file_that_is_no_mapping_is_refused(
    repository: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repository, b=text)
    assert environments.main("b") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("environments/b/values.yaml: ")


def test_environments_in_different_contexts_may_be_alike(repository: Path) -> None:
    """A context is a cluster. Without one, both may be in the same cluster."""
    same = in_namespace("b")
    write(repository, b=EU1, c=EU2 | {"ingress": {}})
    assert environments.main() == 0
    write(repository, b=EU1, c=same | {"environment": {"namespace": "placement"}})
    assert environments.main() == 1


def registered(name: str, keystone: str = "", region: str = "", **values: object) -> Values:
    """Return values of an environment in a context of its own, which registers in Keystone."""
    place = {"environment": {"namespace": f"in-{name}", "context": name}}
    settings = {"AUTH_URL": keystone, "REGION_NAME": region}
    options = {f"OS_KEYSTONE_AUTHTOKEN__{key}": value for key, value in settings.items() if value}
    return in_namespace(name, keystoneAdminSecret="admin", settings=options) | place | values


@pytest.mark.parametrize(
    ("other", "valid"),
    [
        (registered("c", "https://keystone.example.com/v3/"), False),
        (registered("c", "https://keystone.example.com/v3", "eu1"), True),
        (registered("c", "https://keystone.example.org/v3"), True),
        (registered("c", "https://keystone.example.com/v3", keystoneAdminSecret=""), True),
        (registered("c", "https://keystone.example.com/v3", migrations={"mode": "none"}), True),
    ],
)
def test_two_environments_do_not_register_in_the_same_region(
    repository: Path, other: Values, valid: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise, clients of one would get to the other, also from one cluster to another."""
    write(repository, b=registered("b", "https://keystone.example.com/v3"), c=other)
    assert environments.main("b") == (0 if valid else 1)
    if not valid:
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("environments/b/values.yaml: ")
        assert "environments/c/values.yaml" in line
        assert "the region RegionOne of https://keystone.example.com/v3. " in line
        assert 'keystoneAdminSecret: ""' in line


def test_each_cluster_may_have_a_keystone_with_the_same_url(repository: Path) -> None:
    """The URL of a Service leads to another Keystone in each cluster."""
    service = "http://keystone.openstack.svc:5000/v3"
    write(repository, b=registered("b", service), c=registered("c", service))
    assert environments.main() == 0
    write(repository, c=registered("c", service, environment={"namespace": "c"}))
    assert environments.main() == 1


def test_an_environment_does_not_register_like_the_values_without_env(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Production may have been deployed without ENV, or may be an environment itself."""
    local = repository / "values.local.yaml"
    local.write_text("keystoneAdminSecret: keystone-admin\n", encoding="utf-8")
    write(repository, staging=in_namespace("staging"))
    assert environments.main("staging") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("environments/staging/values.yaml: ")
    assert " values.yaml " in line
    write(repository, staging=in_namespace("staging", keystoneAdminSecret=""))
    assert environments.main() == 0
    write(repository, production={"environment": {"namespace": "placement"}})
    assert environments.main() == 0
    write(repository, staging=in_namespace("staging"))
    assert environments.main() == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in errors] == [
        f"environments/{name}/values.yaml" for name in ("production", "staging")
    ]


@every_variant
def test_the_documented_environments_are_valid(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need the Secrets of the answers, because they name no others."""

    def parsed(secrets: list[str]) -> dict[str, tuple[set[str], list[str]]]:
        parts = (secret.split(":") for secret in secrets)
        return {name: (set(keys.split(",")), kind) for name, keys, *kind in parts}

    for name in ("values.yaml", "values.local.yaml", ".copier-answers.yml", "placement-chart"):
        (tmp_path / name).symlink_to(repo.path / name)
    monkeypatch.chdir(tmp_path)
    page = (repo.path / "docs/environments.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == (2 if repo.deployment.keystone else 1)
    write(tmp_path, **dict(zip(("staging", "eu1"), examples, strict=False)))
    assert environments.main() == 0
    for name in environments.names():
        needed = parsed(repo.deployment.cluster_secrets)
        if name == "staging":  # is not registered, because production is
            needed.pop(repo.deployment.keystone_admin_secret, None)
        assert parsed(environments.secrets(environments.load(name))) == needed


def test_environments_have_their_own_keys_in_a_store_of_secrets(repository: Path) -> None:
    """Otherwise, staging could get the login of production's database."""
    write(
        repository,
        **{
            name: {"environment": {"namespace": "placement", "context": name}}
            for name in ("staging", "production")
        },
    )
    found = [
        {
            entry["remoteRef"]["key"]
            for manifest in manifests
            if manifest["kind"] == "ExternalSecret"
            for entry in manifest["spec"]["data"]
        }
        for manifests in (
            yaml.safe_load_all(make(repository, "secrets", "FORMAT=external-secrets", env).stdout)
            for env in ("ENV=staging", "ENV=production")
        )
    ]
    assert all(found)
    assert found[0].isdisjoint(found[1])


def test_make_uses_the_environment_of_its_command_line_only(repository: Path) -> None:
    """Some shells have a variable ENV with the path of a file."""
    arguments = ("secrets", "NAMESPACE=other")
    for path_or_name in ("/root/.kshrc", "production"):  # without environments
        done = make(repository, *arguments, ENV=path_or_name)
        assert "create namespace other " in done.stdout
    write(repository, staging=in_namespace("staging"), production=in_namespace("production"))
    done = make(repository, "secrets", "ENV=staging", ENV="/root/.kshrc", NAMESPACE="other")
    assert "create namespace staging " in done.stdout
    done = make(repository, "secrets", "ENV=test")
    assert done.returncode != 0
    assert done.stdout == ""
    line, *_ = done.stderr.splitlines()
    assert line == (
        "ENV=test: there is no environments/test/values.yaml. Use production or staging."
    )


@pytest.mark.parametrize("target", ["deploy", "diff", "secrets", "cluster-test", "load"])
def test_a_command_on_a_cluster_needs_an_environment(repository: Path, target: str) -> None:
    """If there are some. Nothing goes to the current context and the default namespace."""
    write(repository, staging=in_namespace("staging"), production=in_namespace("production"))
    done = make(repository, target, ENV="/root/.kshrc")
    assert done.returncode != 0
    assert done.stderr.startswith("Set ENV to one of the environments: production staging\n")
    assert done.stdout == ""


@pytest.mark.parametrize("variable", ["CONTEXT", "NAMESPACE"])
def test_an_environment_refuses_another_context_or_namespace(
    repository: Path, variable: str
) -> None:
    write(repository, staging=in_namespace("staging"))
    done = make(repository, "secrets", "ENV=staging", f"{variable}=other")
    assert done.returncode != 0
    assert "ENV=staging sets the context and the namespace. Leave out" in done.stderr
    assert done.stdout == ""


def test_a_quote_in_the_name_of_an_environment_is_no_syntax(repository: Path) -> None:
    write(repository, staging=in_namespace("staging"))
    done = make(repository, "secrets", "ENV=a'b")
    assert done.returncode != 0
    line, *_ = done.stderr.splitlines()
    assert line.startswith("ENV=a'b: there is no environments/a'b/values.yaml. Use staging.")


def test_a_dry_run_installs_no_tools(repository: Path) -> None:
    write(repository, staging=in_namespace("staging"))
    (repository / "dev/stack/.venv").unlink()
    done = make(repository, "--dry-run", "deploy", "ENV=staging")
    assert done.returncode != 0
    assert done.stderr.startswith("Run `make dev/stack/.venv/bin` before `make -n`.\n")
    assert not (repository / "dev/stack/.venv").exists()


def test_the_file_of_an_environment_is_called_yaml(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if it is the only one. Otherwise, its values would be ignored."""
    file = repository / "environments/staging/values.yml"
    file.parent.mkdir(parents=True)
    file.write_text("environment: {namespace: staging}\n")
    assert environments.main("staging") == 1
    assert "values.yml: has the wrong name. Rename it to values.yaml." in capsys.readouterr().err
    assert "environments: staging\n" in make(repository, "deploy", ENV="").stderr


def test_make_chart_test_renders_and_checks_each_environment(repository: Path) -> None:
    write(repository, a=in_namespace("a"), b=in_namespace("b", threads="x"))
    done = make(repository, "chart-test")
    assert done.returncode != 0
    assert done.stdout.endswith("Environment: environments/b/values.yaml\n")
    assert "at '/threads'" in done.stderr
    write(repository, b=in_namespace("a"))
    (repository / "environments/b").rename(repository / "environments/my env")
    done = make(repository, "chart-test")
    assert done.returncode != 0
    problems = done.stderr.splitlines()
    assert problems[0].startswith("environments/my env/values.yaml: the folder is 'my env', which")
