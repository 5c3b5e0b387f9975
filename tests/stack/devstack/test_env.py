"""`make devstack-env` with a devstack's files: real ones, special ones and bad ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack.devstack.conftest import (
    ADDRESS,
    SAMPLES,
    DevstackEnv,
    Files,
    variables_in,
)
from tests.support.batch import Outcome, RunBatch
from tests.support.containers import new_name
from tests.support.template import commit_all, git

pytestmark = pytest.mark.xdist_group("devstack-env")

DATABASE = "OS_PLACEMENT_DATABASE__CONNECTION"
KEYSTONE = "OS_KEYSTONE_AUTHTOKEN__"
SECRET = "kept-secret"
LOCAL = f"[[local|localrc]]\nHOST_IP={ADDRESS}\n"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())


def placement(*lines: str, connection: str = "mysql+pymysql://root:x@10.0.0.2/placement") -> str:
    """Return a placement.conf with these lines in [keystone_authtoken]."""
    return "\n".join(
        [
            "[placement_database]",
            f"connection = {connection}",
            "[keystone_authtoken]",
            "auth_url = http://10.0.0.2/identity",
            *lines,
            "",
        ]
    )


def local(*lines: str) -> str:
    """Return a local.conf with these lines."""
    return "\n".join(["[[local|localrc]]", *lines, ""])


WITH_PASSWORD = placement(f"password = {SECRET}")
LOOPBACK = placement("password = x", connection="mysql+pymysql://root:x@127.0.0.1/placement")

GOOD: dict[str, tuple[Files, dict[str, str | None]]] = {
    "old names": (
        Files(
            placement(
                "auth_plugin = v3password",
                "user-name = nova",
                "memcache_servers = 10.0.0.2:11211",
                "auth_uri = http://10.0.0.2/old",
                "password = x",
            ),
            LOCAL,
        ),
        {
            "AUTH_TYPE": "v3password",
            "USERNAME": "nova",
            "MEMCACHED_SERVERS": "10.0.0.2:11211",
            "WWW_AUTHENTICATE_URI": "http://10.0.0.2/old",
            "USER_NAME": None,
            "AUTH_URI": None,
        },
    ),
    "a new name overrides an old one": (
        Files(
            placement("memcached_servers = a:1", "memcache_servers = b:1", "password = x"), LOCAL
        ),
        {"MEMCACHED_SERVERS": "a:1"},
    ),
    "oslo.config's dollars": (Files(placement("password = a$$b"), LOCAL), {"PASSWORD": "a$$b"}),
    "a word that a shell would split": (
        Files(placement("password = a'b\"c #d=e"), LOCAL),
        {"PASSWORD": "a'b\"c #d=e"},
    ),
    "password of local.conf": (
        Files(placement(), local("SERVICE_PASSWORD='a$b#c d'  # it's ours", f"HOST_IP={ADDRESS}")),
        {"PASSWORD": "a$$b#c d"},
    ),
    "an empty password is none": (
        Files(placement("password ="), local("export ADMIN_PASSWORD=a#b")),
        {"PASSWORD": "a#b"},
    ),
    "password by another name": (
        Files(
            placement(), local('ADMIN_PASSWORD="a b" # c', "SERVICE_PASSWORD=${ADMIN_PASSWORD}-d")
        ),
        {"PASSWORD": "a b-d"},
    ),
    "servers on loopback": (
        Files(
            placement(
                "auth_url = http://localhost:5000/v3",
                "www_authenticate_uri = http://[::1]/identity",
                "memcached_servers = localhost:11211, 10.0.0.2:11211,127.0.0.1:11212",
                "password = x",
                connection="mysql://root:x@localhost:3307/placement",
            ),
            LOCAL,
        ),
        {
            "AUTH_URL": f"http://{ADDRESS}:5000/v3",
            "WWW_AUTHENTICATE_URI": f"http://{ADDRESS}/identity",
            "MEMCACHED_SERVERS": f"{ADDRESS}:11211,10.0.0.2:11211,{ADDRESS}:11212",
            DATABASE: f"mysql+pymysql://root:x@{ADDRESS}:3307/placement",
        },
    ),
    "IPv6": (
        Files(
            placement(
                "memcached_servers = localhost:11211",
                "password = x",
                connection="mysql+pymysql://root:x@[::1]/placement",
            ),
            local("HOST_IP=127.0.0.1", "SERVICE_HOST=[2001:db8::7]"),
        ),
        {
            "MEMCACHED_SERVERS": "inet6:[2001:db8::7]:11211",
            DATABASE: "mysql+pymysql://root:x@[2001:db8::7]/placement",
        },
    ),
    "an IPv6 address alone": (
        Files(
            placement(
                "memcached_servers = localhost:11211",
                "password = x",
                connection="mysql+pymysql://root:x@[::1]/placement",
            ),
            local("HOST_IPV6=2001:db8::7"),
        ),
        {
            "MEMCACHED_SERVERS": "inet6:[2001:db8::7]:11211",
            DATABASE: "mysql+pymysql://root:x@[2001:db8::7]/placement",
        },
    ),
    "an address of each IP version": (
        Files(
            placement(
                "memcached_servers = localhost:11211",
                "password = x",
                connection="mysql+pymysql://root:x@[::1]/placement",
            ),
            local(f"HOST_IP={ADDRESS}", "HOST_IPV6=2001:db8::7", "SERVICE_IP_VERSION=6"),
        ),
        {
            "MEMCACHED_SERVERS": f"{ADDRESS}:11211",
            DATABASE: "mysql+pymysql://root:x@[2001:db8::7]/placement",
        },
    ),
    "the socket of MySQL": (
        Files(
            placement(
                "password = x",
                connection="mysql://root:x@localhost/placement?charset=utf8&unix_socket=/run/sock",
            ),
            LOCAL,
        ),
        {DATABASE: f"mysql+pymysql://root:x@{ADDRESS}/placement?charset=utf8"},
    ),
    "the socket of PostgreSQL": (
        Files(placement("password = x", connection="postgresql://p:x@/p?host=/run"), LOCAL),
        {DATABASE: f"postgresql+psycopg2://p:x@{ADDRESS}/p"},
    ),
    "a host among the options": (
        Files(placement("password = x", connection="postgresql://p:x@/p?host=10.0.0.2"), LOCAL),
        {DATABASE: "postgresql+psycopg2://p:x@/p?host=10.0.0.2"},
    ),
    "old driver, and a password of special characters": (
        Files(
            placement(
                "password = x", connection="mysql+mysqldb://root:p%40%2F$$s@10.0.0.2/placement"
            ),
            LOCAL,
        ),
        {DATABASE: "mysql+pymysql://root:p%40%2F%24s@10.0.0.2/placement"},
    ),
    "an address in another section": (
        Files(
            LOOPBACK,
            local(
                "enable_plugin ironic https://opendev.org/openstack/ironic",
                "if true; then",
                f"    HOST_IP={ADDRESS}",
                "fi",
                "[[post-config|$NOVA_CONF]]",
                "[DEFAULT]",
                "HOST_IP=10.0.0.9",
            ),
        ),
        {DATABASE: f"mysql+pymysql://root:x@{ADDRESS}/placement"},
    ),
    "HOST_IP overrides local.conf": (
        Files(LOOPBACK, LOCAL, "10.0.0.7"),
        {DATABASE: "mysql+pymysql://root:x@10.0.0.7/placement"},
    ),
}

BAD: dict[str, tuple[Files, str]] = {
    "empty placement.conf": (Files("", LOCAL), r"has no \[placement_database\]connection"),
    "local.conf for placement.conf": (Files(LOCAL, LOCAL), r"has no \[placement_database\]connect"),
    "script for placement.conf": (
        Files("#!/bin/sh\nexit\n", LOCAL),
        "is not a placement.conf: line 2",
    ),
    "binary placement.conf": (Files(b"\xff\xfe\0", LOCAL), "placement.conf is not a text file"),
    "binary local.conf": (Files(WITH_PASSWORD, b"\xff\xfe\0"), "local.conf is not a text file"),
    "empty local.conf": (Files(WITH_PASSWORD, ""), r"has no \[\[local\|localrc\]\] section"),
    "placement.conf for local.conf": (
        Files(WITH_PASSWORD, WITH_PASSWORD),
        r"has no \[\[local\|localrc\]\] section",
    ),
    "several lines": (
        Files(placement(f"password = {SECRET}", f"  {SECRET}"), LOCAL),
        f"the value of {KEYSTONE}PASSWORD has several lines",
    ),
    "no password": (Files(placement(), LOCAL), "SERVICE_PASSWORD or ADMIN_PASSWORD in local.conf"),
    "password that only a shell knows": (
        Files(
            placement(), local("SERVICE_PASSWORD=`cat /secret`", "ADMIN_PASSWORD=$(cat /secret)")
        ),
        "SERVICE_PASSWORD or ADMIN_PASSWORD in local.conf",
    ),
    "no address": (Files(LOOPBACK, local("#HOST_IP=10.0.0.9")), "run make devstack-env HOST_IP="),
    "loopback address": (Files(LOOPBACK, local("HOST_IP=127.0.0.1")), "devstack-env HOST_IP="),
    "loopback address given": (Files(LOOPBACK, LOCAL, "localhost"), "devstack-env HOST_IP="),
    "address that only a shell knows": (
        Files(LOOPBACK, local("HOST_IP=$(hostname -I)")),
        "devstack-env HOST_IP=",
    ),
    "address with more": (Files(LOOPBACK, LOCAL, "http://10.0.0.9"), "devstack-env HOST_IP="),
    "sqlite": (
        Files(placement("password = x", connection="sqlite:////opt/stack/data/p.db"), LOCAL),
        "connection is not a URL of MySQL or PostgreSQL",
    ),
    "no URL": (
        Files(placement("password = x", connection=SECRET), LOCAL),
        "connection is not a URL of MySQL or PostgreSQL",
    ),
    "no port": (
        Files(placement(f"password = {SECRET}", "auth_url = http://localhost:x/"), LOCAL),
        f"{KEYSTONE}AUTH_URL: localhost:x is not HOST:PORT",
    ),
    "wrong value": (
        Files(f"[DEFAULT]\ndebug = perhaps\n{WITH_PASSWORD}", LOCAL),
        "OS_DEFAULT__DEBUG=perhaps is not a valid value",
    ),
    "unknown auth_type": (
        Files(placement("auth_type = magic", f"password = {SECRET}"), LOCAL),
        f"{KEYSTONE}AUTH_TYPE=magic is not an auth plugin: use one of",
    ),
    "reference to nothing": (
        Files(placement("password = a${b}"), LOCAL),
        f'{KEYSTONE}PASSWORD contains a single "\\$"',
    ),
}


def of_sample(name: str) -> Files:
    """Return a sample's files."""
    placement_conf, local_conf = (
        (SAMPLES / name / file).read_text() for file in ("placement.conf", "local.conf")
    )
    return Files(placement_conf, local_conf, ADDRESS)


@pytest.fixture(scope="module")
def outcomes(run_batch: RunBatch) -> dict[str, Outcome]:
    """Run all cases of this file in one container."""
    cases = {name: of_sample(name) for name in NAMES}
    cases |= {name: files for name, (files, _) in [*GOOD.items(), *BAD.items()]}
    batch = {name: files.case for name, files in cases.items()}
    return run_batch(batch, "--network=none", "--user=0")


@pytest.mark.parametrize("name", NAMES)
def test_real_files_become_the_expected_variables(outcomes: dict[str, Outcome], name: str) -> None:
    """The expected variables are in the sample's placement.env."""
    assert outcomes[name].returncode == 0, outcomes[name].stderr
    expected = (SAMPLES / name / "placement.env").read_text()
    assert variables_in(outcomes[name].stdout) == variables_in(expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_used_or_reported(outcomes: dict[str, Outcome], name: str) -> None:
    """No setting of placement.conf is left out silently."""
    written = set(re.findall(r"^(\w+) = ", (SAMPLES / name / "placement.conf").read_text(), re.M))
    output = outcomes[name].stdout + outcomes[name].stderr
    output = output.lower().replace("www_authenticate_uri", "www_authenticate_uri auth_uri")
    assert {
        option for option in written if not re.search(rf"\b(\w+__)?{option}\b", output)
    } == set()
    assert ("plugin=dbcounter" in outcomes[name].stderr) == name.startswith(("2026-m", "2026-i"))
    assert ("--volume /opt/stack/data" in outcomes[name].stderr) == name.endswith("tls")


@pytest.mark.parametrize("name", GOOD)
def test_special_values_are_read(outcomes: dict[str, Outcome], name: str) -> None:
    """Each case is another way to write a setting."""
    assert outcomes[name].returncode == 0, outcomes[name].stderr
    variables = variables_in(outcomes[name].stdout)
    for short, value in GOOD[name][1].items():
        variable = short if short.startswith("OS_") else KEYSTONE + short
        assert variables.get(variable) == value


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(outcomes: dict[str, Outcome], name: str) -> None:
    """The last line explains the fix, no variable is printed, and no password appears."""
    bad, message = outcomes[name], BAD[name][1]
    assert (bad.returncode, bad.stdout) == (1, "")
    last = bad.stderr.splitlines()[-1]
    assert last.startswith("placement: ")
    assert re.search(message, last), bad.stderr
    assert "Traceback" not in bad.stderr
    assert SECRET not in bad.stderr


def test_options_of_the_url_that_are_left_out_are_named(outcomes: dict[str, Outcome]) -> None:
    """Through them, the container would look for the server in itself."""
    left_out = {
        name: re.findall(r"left out (\w+=\S+), which the container cannot reach", outcome.stderr)
        for name, outcome in outcomes.items()
    }
    assert left_out["the socket of MySQL"] == ["unix_socket=/run/sock"]
    assert left_out["the socket of PostgreSQL"] == ["host=/run"]
    assert left_out["a host among the options"] == []


def test_catalog_of_a_keystone_on_loopback_is_reported(outcomes: dict[str, Outcome]) -> None:
    """The container would follow the catalog to itself."""
    assert "Keystone's catalog may name localhost:5000" in outcomes["servers on loopback"].stderr
    assert "catalog" not in outcomes["IPv6"].stderr


def sample_paths(name: str) -> dict[str, Path]:
    """Return a sample's files as variables of `make`."""
    return {
        "PLACEMENT_CONF": SAMPLES / name / "placement.conf",
        "LOCAL_CONF": SAMPLES / name / "local.conf",
    }


def test_env_file_is_private_and_survives_a_failure(
    engine: str, newest: str, repository: Path, devstack_env: DevstackEnv
) -> None:
    """Only its owner can read it, git ignores it, and a later failure does not change it."""
    env_file = repository / "devstack/placement.env"
    # An interrupted run, and a careless copy.
    for path in (env_file, env_file.with_suffix(".env.new")):
        path.touch()
        path.chmod(0o644)
    done = devstack_env(repository, **sample_paths("2019-mysql"))
    assert done.returncode == 0, done.stderr
    assert env_file.stat().st_mode & 0o777 == 0o600
    expected = (SAMPLES / "2019-mysql/placement.env").read_text()
    assert variables_in(env_file.read_text()) == variables_in(expected)
    check = [engine, "run", "--rm", f"--name={new_name()}", f"--env-file={env_file}", newest]
    subprocess.run([*check, "check-config"], check=True, capture_output=True)

    written = env_file.read_bytes()
    done = devstack_env(repository, **sample_paths("2026-mysql"))
    assert done.returncode != 0
    assert "run make devstack-env HOST_IP=" in done.stderr
    assert env_file.read_bytes() == written
    commit_all(repository)
    tracked = git(repository, "ls-files", "devstack").split()
    assert tracked == ["devstack/placement-api.conf"]
    assert sorted(path.name for path in env_file.parent.iterdir()) == [
        "placement-api.conf",
        "placement.env",
    ]


def test_paths_may_contain_blanks_and_other_special_characters(
    repository: Path, devstack_env: DevstackEnv, tmp_path: Path
) -> None:
    """Of the files, absolute or relative to the home directory, and of the repository."""
    folder = tmp_path / "it's a devstack, #1"
    shutil.copytree(SAMPLES / "2019-mysql", folder)
    moved = repository.rename(tmp_path / "our placement")
    env = {**os.environ, "HOME": str(tmp_path)}
    given = {
        "PLACEMENT_CONF": folder / "placement.conf",
        "LOCAL_CONF": f"~/{folder.name}/local.conf",
    }
    done = devstack_env(moved, env, **given)
    assert done.returncode == 0, done.stderr
    written = variables_in((moved / "devstack/placement.env").read_text())
    assert written == variables_in((folder / "placement.env").read_text())


def test_default_local_conf_is_in_the_home_directory(
    repository: Path, devstack_env: DevstackEnv, tmp_path: Path
) -> None:
    """The default path begins with ~, which not every shell expands."""
    (tmp_path / "devstack").mkdir()
    (tmp_path / "devstack/local.conf").write_text(LOCAL)
    env = {**os.environ, "HOME": str(tmp_path)}
    done = devstack_env(repository, env, PLACEMENT_CONF=tmp_path / "nothing")
    assert f"{tmp_path}/nothing does not exist" in done.stderr
    assert "local.conf" not in done.stderr


def test_missing_files_are_reported(repository: Path, devstack_env: DevstackEnv) -> None:
    """A missing file and a folder are named, with the variables to set."""
    for missing in ("/nowhere/local.conf", repository):
        given = {**sample_paths("2019-mysql"), "LOCAL_CONF": missing}
        done = devstack_env(repository, **given)
        assert done.returncode != 0
        assert f"{missing} does not exist: set PLACEMENT_CONF and LOCAL_CONF" in done.stderr


def test_missing_image_is_reported(repository: Path, devstack_env: DevstackEnv) -> None:
    """The image is not pulled from a registry."""
    given = {**sample_paths("2019-mysql"), "IMAGE": "localhost/placement-test-none:1"}
    done = devstack_env(repository, **given)
    assert done.returncode != 0
    assert (
        "The image localhost/placement-test-none:1 does not exist: run `make build` first"
        in done.stderr
    )
