"""Wrong settings and arguments: each is refused with one line on standard error."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.image.conftest import RunInBackground
from tests.support.batch import Case, Outcome, RunBatch
from tests.support.containers import PORT, Output, Run, Server, readable

NOAUTH = {"OS_API__AUTH_STRATEGY": "noauth2"}
KEYSTONE = {
    "OS_API__AUTH_STRATEGY": "keystone",
    "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "password",
    "OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "http://keystone.invalid:5000/v3",
}
DATABASE = "OS_PLACEMENT_DATABASE__CONNECTION"
SECRET = "s3cr3t-marker"
# The parts of a database URL.
PARTS = {
    "DATABASE_BACKEND": "postgresql",
    "DATABASE_HOST": "db.invalid",
    "DATABASE_USER": "placement",
    "DATABASE_PASSWORD": SECRET,
    "DATABASE_NAME": "placement",
}
# Without /v3, the client must find the versions of the API first.
NO_VERSION = {"OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "http://keystone.invalid:5000"}
WITH_PASSWORD = {
    "OS_KEYSTONE_AUTHTOKEN__USERNAME": "placement",
    "OS_KEYSTONE_AUTHTOKEN__PASSWORD": SECRET,
}


class Bad(NamedTuple):
    """Settings that are refused, and the line that says why."""

    env: dict[str, str]
    message: str


BAD = {
    "no auth strategy": Bad({}, r"OS_API__AUTH_STRATEGY is not set.*keystone.*noauth2"),
    "wrong auth strategy": Bad(
        {"OS_API__AUTH_STRATEGY": "none"},
        r"OS_API__AUTH_STRATEGY=none is not a valid value.*noauth2",
    ),
    "misspelt option": Bad(
        NOAUTH | {"OS_PLACEMENT__RANDOMISE_ALLOCATION_CANDIDATES": "True"},
        r"OS_PLACEMENT__RANDOMISE_.* did you mean OS_PLACEMENT__RANDOMIZE_ALLOCATION_CANDIDATES\?",
    ),
    "misspelt group": Bad(
        NOAUTH | {"OS_PLACEMENT_DATABSE__CONNECTION": "sqlite://"},
        r"did you mean OS_PLACEMENT_DATABASE__CONNECTION\?",
    ),
    "option of another group": Bad(
        NOAUTH | {"OS_PLACEMENT_PLACEMENT__RANDOMIZE_ALLOCATION_CANDIDATES": "True"},
        r"did you mean OS_PLACEMENT__RANDOMIZE_ALLOCATION_CANDIDATES\?",
    ),
    "option without a like": Bad(NOAUTH | {"OS_FOO__BAR": "1"}, r"OS_FOO__BAR is not .*unset it"),
    "lower case": Bad(NOAUTH | {"OS_DEFAULT__debug": "1"}, r"did you mean OS_DEFAULT__DEBUG\?"),
    "one underscore": Bad(
        {"OS_API_AUTH_STRATEGY": "noauth2"}, r"did you mean OS_API__AUTH_STRATEGY\?"
    ),
    "misspelt file": Bad(
        NOAUTH | {"OS_PLACEMENT_DATABASE__CONECTION_FILE": "/x"},
        r"did you mean OS_PLACEMENT_DATABASE__CONNECTION_FILE\?",
    ),
    "placedock's keystone user": Bad(
        KEYSTONE | {"OS_KEYSTONE_AUTHTOKEN__USER": "placement"},
        r"did you mean OS_KEYSTONE_AUTHTOKEN__USERNAME\?",
    ),
    "keystone without auth type": Bad(
        NOAUTH | {"OS_KEYSTONE_AUTHTOKEN__USERNAME": "placement"},
        r"set OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE, for example to password",
    ),
    "keystone without its URL": Bad(
        {"OS_API__AUTH_STRATEGY": "keystone", "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "password"},
        r"OS_KEYSTONE_AUTHTOKEN__AUTH_URL is required, but not set: set it",
    ),
    "unknown auth type": Bad(
        KEYSTONE | {"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "pasword"},
        r"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE=pasword is not an auth plugin: use one of .*password",
    ),
    "no number": Bad(
        NOAUTH | {"OS_PLACEMENT_DATABASE__MAX_POOL_SIZE": "abc"},
        r"OS_PLACEMENT_DATABASE__MAX_POOL_SIZE=abc is not a valid value",
    ),
    "empty truth value": Bad(
        NOAUTH | {"OS_DEFAULT__DEBUG": ""}, r"OS_DEFAULT__DEBUG= is not a valid"
    ),
    "no truth value": Bad(
        NOAUTH | {"OS_DEFAULT__DEBUG": "perhaps"}, r"OS_DEFAULT__DEBUG=perhaps is not a valid value"
    ),
    "single dollar": Bad(
        KEYSTONE | {"OS_KEYSTONE_AUTHTOKEN__PASSWORD": f"{SECRET}$word"},
        r'OS_KEYSTONE_AUTHTOKEN__PASSWORD contains a single "\$".*"\$\$".*PASSWORD_FILE',
    ),
    "dollar before the secret": Bad(
        NOAUTH | {DATABASE: f"mysql+pymysql://u:p${SECRET}@h/d"},
        r'CONNECTION contains a single "\$".*"\$\$".*CONNECTION_FILE',
    ),
    "dollar in the auth type": Bad(
        KEYSTONE | {"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": f"p${SECRET}"},
        r'OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE contains a single "\$".*"\$\$"',
    ),
    "empty name of a file": Bad(NOAUTH | {f"{DATABASE}_FILE": ""}, r"CONNECTION_FILE is empty"),
    "no file but a folder": Bad(
        NOAUTH | {f"{DATABASE}_FILE": "/etc"}, r"CONNECTION_FILE=/etc is not a file"
    ),
    "unreadable file": Bad(
        NOAUTH | {f"{DATABASE}_FILE": "/run/secrets/absent"},
        r"CONNECTION_FILE=/run/secrets/absent cannot be read: No such file.*uid 42424",
    ),
    "file and variable": Bad(
        NOAUTH | {f"{DATABASE}_FILE": "/etc/passwd", DATABASE: "sqlite://"},
        r"both OS_PLACEMENT_DATABASE__CONNECTION and OS_PLACEMENT_DATABASE__CONNECTION_FILE",
    ),
    "no database URL": Bad(
        NOAUTH | {DATABASE: f"db.example.com {SECRET}"}, r"is not a database URL"
    ),
    "unknown database": Bad(
        NOAUTH | {DATABASE: f"mysq://placement:{SECRET}@db/placement"},
        r"the image has no driver for mysq; use .*mysql\+pymysql",
    ),
    "no driver": Bad(
        NOAUTH | {DATABASE: f"mysql://placement:{SECRET}@db/placement"},
        r"the image has no driver for mysql; use .*mysql\+pymysql",
    ),
    "driver that oslo.db does not know": Bad(
        NOAUTH | {DATABASE: f"mariadb+pymysql://placement:{SECRET}@db/placement"},
        r"no driver for mariadb\+pymysql; use .*mysql\+pymysql:// for MySQL and MariaDB",
    ),
    "database refuses": Bad(
        NOAUTH
        | {
            DATABASE: f"postgresql://placement:{SECRET}@127.0.0.1:1/placement",
            "OS_PLACEMENT_DATABASE__MAX_RETRIES": "2",
            "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
        },
        r"the database postgresql://127.0.0.1:1/placement cannot be used: .*refused",
    ),
    "database of another name": Bad(
        NOAUTH
        | {
            DATABASE: f"mysql+pymysql://placement:{SECRET}@db.invalid/placement",
            "OS_PLACEMENT_DATABASE__MAX_RETRIES": "1",
            "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
        },
        r"the database mysql\+pymysql://db.invalid/placement cannot be used: .*db.invalid",
    ),
    "host of a database without a name": Bad(
        NOAUTH | {name: PARTS[name] for name in PARTS if name != "DATABASE_NAME"},
        r"DATABASE_HOST is set, but DATABASE_NAME is not: set both",
    ),
    "unknown database of a host": Bad(
        NOAUTH | PARTS | {"DATABASE_BACKEND": "sqlite"},
        r"DATABASE_BACKEND=sqlite is not postgresql or mysql",
    ),
    "database without a host": Bad(
        NOAUTH | {"DATABASE_BACKEND": "mysql"},
        r"DATABASE_BACKEND=mysql does not match the database sqlite:////cats.db: set DATABASE_HOST",
    ),
    "URL of another database": Bad(
        NOAUTH | {"DATABASE_BACKEND": "mysql", DATABASE: f"postgresql://u:{SECRET}@h/d"},
        r"DATABASE_BACKEND=mysql does not match the database postgresql://h/d: set DATABASE_HOST",
    ),
    "several hosts of PostgreSQL": Bad(
        NOAUTH | PARTS | {"DATABASE_HOST": "a,b"},
        r"DATABASE_HOST=a,b is not one host: write the hosts as options of a URL: postgresql\+psy",
    ),
    "several hosts of MySQL": Bad(
        NOAUTH | PARTS | {"DATABASE_HOST": "a,b", "DATABASE_BACKEND": "mysql"},
        r"DATABASE_HOST=a,b is not one host: use the host of a proxy",
    ),
    "host with a port": Bad(
        NOAUTH | PARTS | {"DATABASE_PORT": "5432/tcp"},
        r"DATABASE_PORT=5432/tcp is not a whole number from 1 to 65535",
    ),
    "host with a name": Bad(
        NOAUTH | PARTS | {"DATABASE_HOST": "db/placement"},
        r"DATABASE_HOST=db/placement is not valid in a URL",
    ),
    "option of a host that the driver refuses": Bad(
        NOAUTH | PARTS | {"DATABASE_OPTIONS": "sslmode=on"}, r"sslmode=on is not a valid value"
    ),
    "host and URL": Bad(
        NOAUTH | PARTS | {DATABASE: "sqlite:////cats.db"},
        r"both OS_PLACEMENT_DATABASE__CONNECTION and DATABASE_HOST are set: unset one of them",
    ),
    "no place for sqlite": Bad(
        NOAUTH | {DATABASE: "sqlite:////nowhere/cats.db"},
        r"/nowhere/cats.db cannot be used: .*volume",
    ),
    "empty schema": Bad(
        NOAUTH, r"no schema yet: run the command db-sync once, or set DB_SYNC=True"
    ),
    "sync spelled otherwise": Bad(
        NOAUTH | {"DB_SYNC": "yes"}, r"DB_SYNC='yes' is neither True nor False"
    ),
    "sync from a file": Bad(
        NOAUTH | {"DB_SYNC_FILE": "/x"}, r"DB_SYNC_FILE is not supported, .*set DB_SYNC"
    ),
    "no port": Bad(NOAUTH | {"PORT": "http"}, r"PORT=http is not a whole number"),
    "too high a port": Bad(
        NOAUTH | {"PORT": "65536"}, r"PORT=65536 is not a whole number from 1 to 65535"
    ),
    "no processes": Bad(
        NOAUTH | {"UWSGI_PROCESSES": "0"}, r"UWSGI_PROCESSES=0 is not a whole number"
    ),
    "no threads": Bad(
        NOAUTH | {"UWSGI_THREADS": "many"}, r"UWSGI_THREADS=many is not a whole number"
    ),
}


USER = f"u:{SECRET}@h"
CA = "/etc/ssl/certs/ca-certificates.crt"
NOT_ENCODED = (
    r"is not a database URL: write it as mysql\+pymysql://USER:PASSWORD@HOST/NAME.*percent-encoded:"
    r" %40 for @, %2F for /, %3F for \?"
)
# Database URLs that are refused without a connection.
URLS = {
    **{
        f"{driver}://placement:p{character}{SECRET}@db/placement": NOT_ENCODED
        for driver in ("mysql+pymysql", "postgresql", "postgres")
        for character in "@/?#"
    },
    f"mysql+pymysql://u:p@{SECRET}/x@h/d": NOT_ENCODED,
    f"mysql+pymysql://u:p@{SECRET}?x@h/d": NOT_ENCODED,
    **{
        f"{driver}://u:{SECRET}@{hosts}/d": r"a URL has only one host: write the hosts as options"
        r" of a URL: postgresql\+psycopg2://USER:PASSWORD@/NAME\?host=HOST&host=HOST"
        for driver, hosts in (("postgresql", "a,b"), ("postgresql+psycopg2", "a:5432,b:5432"))
    },
    f"mysql+pymysql://u:{SECRET}@a,b/d": r"a URL has only one host: use the host of a proxy",
    f"postgresql://{USER}/d?host=a&host=b": r"the option host replaces h: remove one",
    f"mysql+pymysql://{USER}": r"names no database: write it as mysql\+pymysql://.*/NAME",
    f"mysql+pymysql://{USER}:3306": r"names no database",
    f"postgresql://{USER}/": r"names no database",
    f"postgresql://{USER}?sslmode=require": r"names no database",
    "sqlite://": r"names no database: write it as sqlite:////PATH",
    "sqlite:////cats.db?mode=ro": r"the option mode is not supported for sqlite",
    **{
        f"mysql+pymysql://{USER}/d?{option}": message
        for option, message in {
            "read_default_file=/etc/my.cnf": r"read_default_file is not supported.*ssl_ca",
            "ssl=true": r"the option ssl is not supported",
            "ssl_mode=REQUIRED": r"the option ssl_mode is not supported",
            "ssl_disabled=false": r"ssl_disabled=false is not a valid value",
            f"plugin=dbcounter&ssl_ca={CA}": r"the option plugin is not supported",
            f"password={SECRET}": r"the option password is not supported",
            "ssl_ca=": r"ssl_ca= is not a valid value",
            "ssl_ca=/absent": r"ssl_ca=/absent cannot be read",
            "ssl_ca=/etc/passwd": r"the driver refuses an option: .*certificate",
            "ssl_cert=/etc/passwd": r"without ssl_ca, the server is not verified",
            "connect_timeout=soon": r"the driver refuses an option: .*'soon'",
        }.items()
    },
    **{
        f"postgresql://{USER}/d?{option}": message
        for option, message in {
            "ssl=true": r"""the driver refuses an option: .*option "ssl\"""",
            "sslmode=REQUIRED": r"sslmode=REQUIRED is not a valid value",
            "sslmode=verify-full&sslrootcert=/absent": r"sslrootcert=/absent cannot be read",
            "target_session_attrs=standby": r"target_session_attrs=standby is not a valid value",
            "service=other": r"the option service is not supported",
            "sslmode": r"sslmode= is not a valid value",
        }.items()
    },
}
# Those that made a command fail differently, or use a connection without TLS.
EVERYWHERE_REFUSED = {
    "nothing": NOT_ENCODED,
    **{
        url: message
        for url, message in URLS.items()
        if re.search(r"read_default_file|ssl=true|ssl_mode|x@h/d|names no database", url + message)
    },
}
DATABASE_COMMANDS = {"db-sync": 1, "check-config": 1, "upgrade-check": 2}
VALID_URLS = (
    f"mysql+pymysql://{USER}/d?charset=utf8mb4&ssl_ca={CA}&ssl_check_hostname=false",
    f"mysql+pymysql://{USER}:3307/d?unix_socket=/run/mysqld/mysqld.sock",
    f"postgresql+psycopg2://u:p%40%2F%3F@[::1]:5432/d?sslmode=verify-full&sslrootcert={CA}",
    "postgresql:///d?host=a:5432&host=b:5432&target_session_attrs=read-write",
    f"postgresql://u:{SECRET}@/d?host=a,::1&port=5432,5433",
    "sqlite:////var/lib/placement/a@b.db?timeout=5",
)


# URLs with which check-config can check no database, and its only finding.
NO_DATABASE = {
    f"mysql+pymysql://u:{SECRET}@127.0.0.1:1/placement": (
        "connection",
        "127.0.0.1:1/placement cannot be used: ",
    ),
    f"mysq://u:{SECRET}@h/d": ("settings", "the image has no driver for mysq"),
}
# One of these lines of a file is the database's URL.
FILES = {
    "nothing": ("\n", r"CONNECTION_FILE=\S+: the file is empty"),
    "several lines": (f"one\n{SECRET}\n", r"CONNECTION_FILE=\S+: the file has more than one line"),
    "a URL without a driver": (f"mysq://u:{SECRET}@h/d", r"the image has no driver for mysq"),
    "too large": (
        SECRET + "x" * 65536,
        r"CONNECTION_FILE=\S+: the file is larger than 65536 bytes",
    ),
}
SECRET_OPTIONS = {
    "OS_PLACEMENT_DATABASE__MAX_RETRIES": NOAUTH,
    "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": NOAUTH,
    "DATABASE_PORT": NOAUTH | PARTS,
}
DRIVERS = ("postgresql+psycopg2", "mysql+pymysql")
# Every command, with arguments that it does not take.
WRONG_ARGUMENTS = (
    "serve now",
    "create-database now",
    "db-sync now",
    "upgrade-check now",
    "upgrade-check --json",
    "online-data-migrations now",
    "online-data-migrations --max-count",
    "online-data-migrations --max-count 1 2",
    "import-sqlite /a /b",
    "import-sqlite --force",
    "check-config now",
    "check-config --json",
    "check-config --database now",
    "check-config --database --json now",
    "smoke-test http://a http://b",
    "check-keystone now",
    "register now",
    "register --dry-run now",
    "rotate-credential placement-keystone",
    "rotate-credential placement-keystone 90 now",
    "token now",
    "load-test http://a 1",
    "load-test http://a 1 1 1",
    "devstack-env /a",
    "devstack-env /a /b c d",
)
# Commands that check their arguments themselves.
OWN_COMMANDS = {"placement-manage", "placement-status", "zones"}
BAD_REQUESTS = {
    "token": r"OS_API__AUTH_STRATEGY is not set",
    "smoke-test placement:80": r"placement:80 is not a URL: write it as http://HOST:PORT",
    "smoke-test http://127.0.0.1:1": r"GET http://127.0.0.1:1/ failed: .*refused",
    "rotate-credential placement-keystone 0": r"DAYS=0 is not a whole number from 1",
    "load-test http://a no 1": r"CLIENTS=no is not a whole number from 1",
    "load-test http://a 1 0": r"SECONDS=0 is not a whole number from 1",
}


ROTATE = ("rotate-credential", "placement-keystone", "90")
CLOUDS = f"""
clouds:
  admin:
    auth: {{auth_url: "http://127.0.0.1:1/v3", username: admin, password: {SECRET}}}
"""
# Another unset option of the project, of the domain or of the region is refused in the same way.
REGISTRATION = {
    **KEYSTONE,
    **WITH_PASSWORD,
    **{
        f"OS_KEYSTONE_AUTHTOKEN__{name}": "x"
        for name in ("PROJECT_NAME", "PROJECT_DOMAIN_NAME", "USER_DOMAIN_NAME", "REGION_NAME")
    },
    "OS_CLIENT_CONFIG_FILE": "{folder}/clouds.yaml",
    "PUBLIC_ENDPOINT": "http://placement",
}
BAD_REGISTRATIONS = {
    "no Keystone": Bad(REGISTRATION, r"Keystone at http://127\.0\.0\.1:1/v3 does not answer: "),
    "noauth2": Bad(NOAUTH, r"register needs Keystone: set OS_API__AUTH_STRATEGY to keystone"),
    "no region": Bad(
        REGISTRATION | {"OS_KEYSTONE_AUTHTOKEN__REGION_NAME": ""}, r"REGION_NAME is not set: set it"
    ),
    "no user": Bad(
        REGISTRATION | {"OS_KEYSTONE_AUTHTOKEN__USERNAME": ""}, r"USERNAME is not set: set it"
    ),
    "no URL": Bad(
        REGISTRATION | {"PUBLIC_ENDPOINT": ""},
        r"set PUBLIC_ENDPOINT, INTERNAL_ENDPOINT, ADMIN_ENDPOINT",
    ),
    "no valid URL": Bad(
        REGISTRATION | {"PUBLIC_ENDPOINT": "placement:80"}, r"placement:80 is not a URL"
    ),
    "no clouds.yaml": Bad(
        REGISTRATION | {"OS_CLIENT_CONFIG_FILE": "{folder}/other"},
        r"/other cannot be read: No such",
    ),
}


def cases() -> dict[str, Case]:
    """Return all cases that run in one container."""
    refused = ("no port", "no processes", "no threads", "sync from a file")
    in_file = {f"{DATABASE}_FILE": "{folder}/value"}
    retries = {
        "OS_PLACEMENT_DATABASE__MAX_RETRIES": "3",
        "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
    }
    return {
        **{name: Case(env=bad.env) for name, bad in BAD.items()},
        **{url: Case(("check-config",), NOAUTH | {DATABASE: url}) for url in (*URLS, *VALID_URLS)},
        **{f"check-config: {name}": Case(("check-config",), BAD[name].env) for name in refused},
        **{
            f"{command}: {url}": Case((command,), NOAUTH | {DATABASE: url})
            for command in DATABASE_COMMANDS
            for url in EVERYWHERE_REFUSED
        },
        **{
            f"document: {url}": Case(
                ("check-config", "--database", "--json"), NOAUTH | retries | {DATABASE: url}
            )
            for url in NO_DATABASE
        },
        **{
            f"file: {name}": Case(("check-config",), NOAUTH | in_file, {"value": text})
            for name, (text, _) in FILES.items()
        },
        **{
            f"secret: {option}": Case(
                (), env | {f"{option}_FILE": "{folder}/value"}, {"value": SECRET}
            )
            for option, env in SECRET_OPTIONS.items()
        },
        **{
            f"retries: {driver}": Case(
                (),
                NOAUTH | retries | {DATABASE: f"{driver}://u:{SECRET}@127.0.0.1:1/placement"},
            )
            for driver in DRIVERS
        },
        **{line: Case(tuple(line.split())) for line in (*WRONG_ARGUMENTS, "bash")},
        **{line: Case(tuple(line.split())) for line in BAD_REQUESTS},
        **{
            f"register: {name}": Case(("register",), bad.env, {"clouds.yaml": CLOUDS})
            for name, bad in BAD_REGISTRATIONS.items()
        },
        "token: no Keystone": Case(("token",), KEYSTONE | WITH_PASSWORD),
        "check: no Keystone": Case(("check-keystone",), KEYSTONE | WITH_PASSWORD),
        "check: no version": Case(("check-keystone",), KEYSTONE | WITH_PASSWORD | NO_VERSION),
        "check: noauth2": Case(("check-keystone",), NOAUTH),
        "rotate: noauth2": Case(ROTATE, NOAUTH),
        "rotate: password": Case(ROTATE, KEYSTONE | WITH_PASSWORD),
        "no schema": Case(("online-data-migrations",), NOAUTH),
    }


@pytest.fixture(scope="module")
def outcomes(run_batch: RunBatch) -> dict[str, Outcome]:
    """Run all cases."""
    return run_batch(cases())


in_one_container = pytest.mark.xdist_group("bad-input")


def refusal(result: Output | Outcome, code: int = 1) -> str:
    """Return the one line on standard error, after checking that nothing else is there."""
    assert result.returncode == code, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("placement: ")
    assert "Traceback" not in result.stdout
    assert SECRET not in result.stdout + result.stderr
    return lines[0]


@in_one_container
@pytest.mark.parametrize("case", BAD)
def test_wrong_setting_is_refused(case: str, outcomes: dict[str, Outcome]) -> None:
    assert re.search(BAD[case].message, refusal(outcomes[case]))
    assert outcomes[case].seconds < 120


@in_one_container
@pytest.mark.parametrize("url", URLS)
def test_wrong_database_url_is_refused(url: str, outcomes: dict[str, Outcome]) -> None:
    line = refusal(outcomes[url])
    assert line.startswith(f"placement: {DATABASE}")
    assert re.search(URLS[url], line)


@in_one_container
@pytest.mark.parametrize("url", VALID_URLS)
def test_database_url_is_valid(url: str, outcomes: dict[str, Outcome]) -> None:
    assert (outcomes[url].returncode, outcomes[url].stderr) == (0, "")


@in_one_container
@pytest.mark.parametrize("case", ["no port", "no processes", "no threads", "sync from a file"])
def test_check_config_refuses_what_serve_refuses(case: str, outcomes: dict[str, Outcome]) -> None:
    assert re.search(BAD[case].message, refusal(outcomes[f"check-config: {case}"]))


@in_one_container
@pytest.mark.parametrize("url", EVERYWHERE_REFUSED)
@pytest.mark.parametrize("command", DATABASE_COMMANDS)
def test_every_database_command_refuses_a_wrong_url(
    command: str, url: str, outcomes: dict[str, Outcome]
) -> None:
    # An upgrade continues after 1 of upgrade-check, which is a warning.
    line = refusal(outcomes[f"{command}: {url}"], DATABASE_COMMANDS[command])
    assert re.search(EVERYWHERE_REFUSED[url], line)


@in_one_container
@pytest.mark.parametrize("url", NO_DATABASE)
def test_check_without_a_database_is_a_document(url: str, outcomes: dict[str, Outcome]) -> None:
    check, message = NO_DATABASE[url]
    outcome = outcomes[f"document: {url}"]
    assert outcome.returncode == 1
    document = json.loads(outcome.stdout)
    assert document["ok"] is False
    [finding] = document["findings"]
    assert (finding["severity"], finding["check"]) == ("error", check)
    assert message in finding["message"]
    assert SECRET not in outcome.stdout + outcome.stderr


@in_one_container
def test_unknown_command_is_refused_with_the_known_ones(outcomes: dict[str, Outcome]) -> None:
    line = refusal(outcomes["bash"], 2)
    assert "bash is not a command: use serve, create-database, " in line
    named = line.partition(": use ")[2].partition(", or none")[0].split(", ")
    assert {line.split()[0] for line in WRONG_ARGUMENTS} | OWN_COMMANDS == set(named)


@in_one_container
@pytest.mark.parametrize("line", WRONG_ARGUMENTS)
def test_command_refuses_wrong_arguments(line: str, outcomes: dict[str, Outcome]) -> None:
    assert f"placement: {line}: the command {line.split()[0]} takes " in refusal(outcomes[line], 2)


@in_one_container
@pytest.mark.parametrize("line", BAD_REQUESTS)
def test_client_command_refuses_wrong_values(line: str, outcomes: dict[str, Outcome]) -> None:
    assert re.search(BAD_REQUESTS[line], refusal(outcomes[line]))


@in_one_container
@pytest.mark.parametrize("case", BAD_REGISTRATIONS)
def test_registration_refuses_wrong_values(case: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[f"register: {case}"]
    code = os.EX_TEMPFAIL if case == "no Keystone" else 1
    assert re.search(BAD_REGISTRATIONS[case].message, refusal(outcome, code))
    assert outcome.stdout == ""


@in_one_container
def test_token_reports_a_keystone_that_does_not_answer(outcomes: dict[str, Outcome]) -> None:
    assert "Keystone issued no token: " in refusal(outcomes["token: no Keystone"])


@in_one_container
@pytest.mark.parametrize("case", ["no Keystone", "no version"])
def test_check_continues_without_a_keystone(case: str, outcomes: dict[str, Outcome]) -> None:
    """A Keystone that is away must not prevent the upgrade to a fix."""
    outcome = outcomes[f"check: {case}"]
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "warning: keystone: http://keystone.invalid:5000" in outcome.stdout
    assert "does not answer" in outcome.stdout


@in_one_container
def test_check_needs_no_keystone_with_noauth2(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["check: noauth2"]
    assert (outcome.returncode, outcome.stdout) == (0, "ok: keystone: not used\n")


@in_one_container
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("noauth2", "set OS_API__AUTH_STRATEGY to keystone"),
        ("password", "set OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE to v3applicationcredential"),
    ],
)
def test_rotation_needs_an_application_credential(
    case: str, message: str, outcomes: dict[str, Outcome]
) -> None:
    assert message in refusal(outcomes[f"rotate: {case}"])


@in_one_container
def test_online_data_migrations_refuse_an_empty_database(outcomes: dict[str, Outcome]) -> None:
    assert "no schema yet: run the command db-sync" in refusal(outcomes["no schema"])


@in_one_container
@pytest.mark.parametrize("case", FILES)
def test_file_without_a_url_is_refused(case: str, outcomes: dict[str, Outcome]) -> None:
    assert re.search(FILES[case][1], refusal(outcomes[f"file: {case}"]))


@in_one_container
@pytest.mark.parametrize("option", SECRET_OPTIONS)
def test_content_of_a_file_is_not_printed(option: str, outcomes: dict[str, Outcome]) -> None:
    assert f"{option}_FILE" in refusal(outcomes[f"secret: {option}"])


@in_one_container
@pytest.mark.parametrize("driver", DRIVERS)
def test_connection_is_retried(driver: str, outcomes: dict[str, Outcome]) -> None:
    result = outcomes[f"retries: {driver}"]
    assert "Connection refused" in refusal(result)
    assert result.stdout.count("SQL connection failed") == 3


def test_port_in_use_is_refused(newest: str, default_server: Server, run: Run) -> None:
    options = (f"--network=container:{default_server.name}",)
    line = refusal(run(newest, env=NOAUTH | {"PORT": str(PORT)}, options=options))
    assert f"PORT={PORT}: another process listens on it; set PORT" in line


def test_port_without_permission_is_refused(newest: str, run: Run) -> None:
    options = ("--sysctl=net.ipv4.ip_unprivileged_port_start=1024",)
    line = refusal(run(newest, env=NOAUTH | {"PORT": "80"}, options=options))
    assert "set PORT to 1024 or more, or run the container with --sysctl net.ipv4" in line


def test_file_without_permission_is_refused(newest: str, run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "connection"
    secret.write_text("sqlite://", encoding="utf-8")
    readable(tmp_path)
    secret.chmod(0o600)
    options = (f"--volume={tmp_path}:/run/secrets:ro",)
    env = NOAUTH | {f"{DATABASE}_FILE": "/run/secrets/connection"}
    assert "Permission denied" in refusal(run(newest, env=env, options=options))


def test_named_pipe_without_a_writer_is_refused(newest: str, run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "connection")
    options = (f"--volume={readable(tmp_path)}:/run/secrets:ro",)
    env = NOAUTH | {f"{DATABASE}_FILE": "/run/secrets/connection"}
    assert "is not a file" in refusal(run(newest, env=env, options=options))


def test_single_dollar_in_a_configuration_file_is_refused(
    newest: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "placement.conf").write_text(
        f"[placement_database]\nconnection = mysql+pymysql://u:p${SECRET}@h/d\n", encoding="utf-8"
    )
    options = (f"--volume={readable(tmp_path)}:/etc/placement:ro",)
    assert 'contains a single "$"' in refusal(run(newest, env=NOAUTH, options=options))


def test_invalid_configuration_file_is_refused(newest: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "placement.conf").write_text("[api\n", encoding="utf-8")
    options = (f"--volume={readable(tmp_path)}:/etc/placement:ro",)
    line = refusal(run(newest, env=NOAUTH, options=options))
    assert "/etc/placement/placement.conf" in line


def test_read_only_database_is_refused(newest: str, run: Run, volume: str) -> None:
    """Placement writes its traits when it loads, so a schema alone is not enough."""
    assert (
        run(newest, "db-sync", options=(f"--volume={volume}:/var/lib/placement",)).returncode == 0
    )
    options = (f"--volume={volume}:/var/lib/placement:ro",)
    line = refusal(run(newest, env=NOAUTH | {"PORT": str(PORT)}, options=options))
    assert re.search(r"the database sqlite:////cats.db cannot be used: .*Mount a volume", line)
    assert "SQL" not in line


def test_silent_server_is_given_up(run_batch: RunBatch, silent_server: str) -> None:
    env = NOAUTH | {
        "OS_PLACEMENT_DATABASE__MAX_RETRIES": "3",
        "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
    }
    servers = {
        "mysql+pymysql://placement:{}@127.0.0.1:5432/placement": "//127.0.0.1:5432/placement",
        "postgresql+psycopg2://placement:{}@127.0.0.1:5432/placement": "//127.0.0.1:5432/placement",
        "postgresql+psycopg2://placement:{}@/placement?host=127.0.0.1&host=localhost": (
            "///placement?host=127.0.0.1&host=localhost"
        ),
    }
    silent = {url: Case(env=env | {DATABASE: url.format(SECRET)}) for url in servers}
    for url, outcome in run_batch(silent, f"--network=container:{silent_server}").items():
        line = refusal(outcome)
        assert f"{servers[url]} cannot be used: no answer in 8 s" in line
        assert outcome.seconds < 120


PRINT_RETRIES = """
from entrypoint import options
database = options.load().placement_database
print(database.max_retries, database.retry_interval)
"""


@pytest.mark.parametrize("driver", DRIVERS)
def test_connection_is_retried_30_times_every_2_seconds(
    driver: str, background: RunInBackground
) -> None:
    """Both settings are in effect; the test below waits for all retries, about a minute."""
    container = background({DATABASE: f"{driver}://placement@127.0.0.1:1/placement"})
    log = container.wait_for("29 attempts left")
    first, second = (
        datetime.fromisoformat(stamp)
        for stamp in re.findall(r"^(\S+ \S+) .*SQL connection failed. \d+ attempts", log, re.M)
    )
    assert "SQL connection failed. 30 attempts left" in log
    assert (second - first).total_seconds() > 1.9
    assert container.python(PRINT_RETRIES) == "30 2\n"


@pytest.mark.only_all
@pytest.mark.parametrize("driver", DRIVERS)
def test_connection_is_retried_for_about_a_minute(driver: str, newest: str, run: Run) -> None:
    """With more than 65 seconds, the message would be "no answer in 65 s"."""
    env = NOAUTH | {DATABASE: f"{driver}://placement@127.0.0.1:1/placement"}
    started = time.monotonic()
    line = refusal(run(newest, env=env, timeout=120))
    assert "Connection refused" in line
    assert time.monotonic() - started > 50
