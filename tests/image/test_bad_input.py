"""What is wrong with the settings is told in one line on standard error, in time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.containers import PORT, Output, Run, Server, readable

NOAUTH = {"OS_API__AUTH_STRATEGY": "noauth2", "PORT": str(PORT)}
KEYSTONE = {
    "OS_API__AUTH_STRATEGY": "keystone",
    "PORT": str(PORT),
    "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "password",
    "OS_KEYSTONE_AUTHTOKEN__AUTH_URL": "http://keystone.invalid:5000/v3",
}
DATABASE = "OS_PLACEMENT_DATABASE__CONNECTION"
SECRET = "s3cr3t-marker"


class Bad(NamedTuple):
    """Settings that are refused, and the line that says why."""

    env: dict[str, str]
    message: str


BAD = {
    "no auth strategy": Bad(
        {"PORT": "8778"}, r"OS_API__AUTH_STRATEGY is not set.*keystone.*noauth2"
    ),
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
        r"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE .*password.*set it",
    ),
    "keystone without its URL": Bad(
        {"OS_API__AUTH_STRATEGY": "keystone", "OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "password"},
        r"OS_KEYSTONE_AUTHTOKEN__AUTH_URL is not set",
    ),
    "unknown auth type": Bad(
        KEYSTONE | {"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": "pasword"},
        r"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE=pasword is none of .*password",
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
        r'OS_KEYSTONE_AUTHTOKEN__PASSWORD holds a single "\$".*"\$\$".*PASSWORD_FILE',
    ),
    "dollar before the secret": Bad(
        NOAUTH | {DATABASE: f"mysql+pymysql://u:p${SECRET}@h/d"},
        r'CONNECTION holds a single "\$".*"\$\$".*CONNECTION_FILE',
    ),
    "dollar in the auth type": Bad(
        KEYSTONE | {"OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE": f"p${SECRET}"},
        r'OS_KEYSTONE_AUTHTOKEN__AUTH_TYPE holds a single "\$".*"\$\$"',
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
    "database URL with an open password": Bad(
        NOAUTH | {DATABASE: f"mysql+pymysql://placement:p@{SECRET}@db/placement"},
        r"is not a database URL: write it as mysql\+pymysql://USER:PASSWORD@HOST/NAME.*URL-encoded",
    ),
    "unknown database": Bad(
        NOAUTH | {DATABASE: f"mysq://placement:{SECRET}@db/placement"},
        r"there is no driver for mysq; write .*mysql\+pymysql",
    ),
    "no driver": Bad(
        NOAUTH | {DATABASE: f"mysql://placement:{SECRET}@db/placement"},
        r"there is no driver for mysql; write .*mysql\+pymysql",
    ),
    "driver that oslo.db does not know": Bad(
        NOAUTH | {DATABASE: f"mariadb+pymysql://placement:{SECRET}@db/placement"},
        r"there is no driver for mariadb\+pymysql; write .*mysql\+pymysql:// for MySQL and MariaDB",
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
        NOAUTH | {"DB_SYNC_FILE": "/x"}, r"DB_SYNC_FILE is not read: .*set DB_SYNC"
    ),
    "no port": Bad(NOAUTH | {"PORT": "http"}, r"PORT=http is not a whole number"),
    "too high a port": Bad(NOAUTH | {"PORT": "65536"}, r"PORT=65536 is not a port"),
    "no processes": Bad(
        NOAUTH | {"UWSGI_PROCESSES": "0"}, r"UWSGI_PROCESSES=0 is not a whole number"
    ),
    "no threads": Bad(
        NOAUTH | {"UWSGI_THREADS": "many"}, r"UWSGI_THREADS=many is not a whole number"
    ),
}


def refusal(result: Output, code: int = 1) -> str:
    """Return the one line that a container said before it ended, having checked that it is one."""
    assert result.returncode == code, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("placement: ")
    assert "Traceback" not in result.stdout
    assert SECRET not in result.stdout + result.stderr
    return lines[0]


@pytest.mark.parametrize("case", BAD)
def test_is_refused_with_one_line(case: str, newest: str, run: Run) -> None:
    bad = BAD[case]
    started = time.monotonic()
    assert re.search(bad.message, refusal(run(newest, env=bad.env, timeout=20)))
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("case", ["no port", "no processes", "no threads", "sync from a file"])
def test_check_config_refuses_what_serving_refuses(case: str, newest: str, run: Run) -> None:
    bad = BAD[case]
    assert re.search(bad.message, refusal(run(newest, "check-config", env=bad.env)))


@pytest.mark.parametrize(
    ("command", "code"), [("db-sync", 1), ("check-config", 1), ("upgrade-check", 2)]
)
def test_commands_refuse_alike(command: str, code: int, newest: str, run: Run) -> None:
    # Of upgrade-check 1 is a warning, after which one goes on.
    line = refusal(run(newest, command, env=NOAUTH | {DATABASE: "nothing"}), code)
    assert "is not a database URL" in line


def test_an_unknown_command_names_those_there_are(newest: str, run: Run) -> None:
    assert re.search(
        r"bash is no command: use one of serve, db-sync,", refusal(run(newest, "bash"))
    )


def test_online_data_migrations_need_a_schema(newest: str, run: Run) -> None:
    line = refusal(run(newest, "online-data-migrations", env=NOAUTH))
    assert "no schema yet: run the command db-sync" in line


def test_a_port_in_use(newest: str, start: Callable[..., Server], run: Run) -> None:
    server = start(newest)
    beside = (f"--network=container:{server.name}",)
    line = refusal(run(newest, env=NOAUTH, options=beside))
    assert f"PORT={PORT}: another process listens there; set PORT" in line


def test_a_port_that_the_user_may_not_have(newest: str, run: Run) -> None:
    options = ("--sysctl=net.ipv4.ip_unprivileged_port_start=1024",)
    line = refusal(run(newest, env=NOAUTH | {"PORT": "80"}, options=options))
    assert "set PORT to 1024 or more, or run the container with --sysctl net.ipv4" in line


def test_a_file_that_the_user_may_not_read(newest: str, run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "connection"
    secret.write_text("sqlite://", encoding="utf-8")
    readable(tmp_path)
    secret.chmod(0o600)
    options = (f"--volume={tmp_path}:/run/secrets:ro",)
    env = NOAUTH | {f"{DATABASE}_FILE": "/run/secrets/connection"}
    assert "Permission denied" in refusal(run(newest, env=env, options=options))


FILES = {
    "nothing": ("\n", r"CONNECTION_FILE=\S+: the file is empty"),
    "several lines": (f"one\n{SECRET}\n", r"CONNECTION_FILE=\S+: the file has more than one line"),
    "a URL without a driver": (f"mysq://u:{SECRET}@h/d", r"there is no driver for mysq"),
    "too large": (
        SECRET + "x" * 65536,
        r"CONNECTION_FILE=\S+: the file is larger than 65536 bytes",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_holds_no_url(case: str, newest: str, run: Run, tmp_path: Path) -> None:
    text, message = FILES[case]
    (tmp_path / "connection").write_text(text, encoding="utf-8")
    options = (f"--volume={readable(tmp_path)}:/run/secrets:ro",)
    env = NOAUTH | {f"{DATABASE}_FILE": "/run/secrets/connection"}
    assert re.search(message, refusal(run(newest, "check-config", env=env, options=options)))


@pytest.mark.parametrize(
    "option", ["PLACEMENT_DATABASE__MAX_RETRIES", "KEYSTONE_AUTHTOKEN__AUTH_TYPE"]
)
def test_what_is_in_a_file_is_not_shown(option: str, newest: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "value").write_text(SECRET, encoding="utf-8")
    options = (f"--volume={readable(tmp_path)}:/run/secrets:ro",)
    env = NOAUTH | {f"OS_{option}_FILE": "/run/secrets/value"}
    assert f"OS_{option}_FILE" in refusal(run(newest, env=env, options=options))


def test_a_file_that_nobody_writes(newest: str, run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "connection")
    options = (f"--volume={readable(tmp_path)}:/run/secrets:ro",)
    env = NOAUTH | {f"{DATABASE}_FILE": "/run/secrets/connection"}
    line = refusal(run(newest, env=env, options=options, timeout=20))
    assert "is not a file" in line


def test_a_dollar_in_a_configuration_file(newest: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "placement.conf").write_text(
        f"[placement_database]\nconnection = mysql+pymysql://u:p${SECRET}@h/d\n", encoding="utf-8"
    )
    options = (f"--volume={readable(tmp_path)}:/etc/placement:ro",)
    assert 'holds a single "$"' in refusal(run(newest, env=NOAUTH, options=options))


def test_a_database_that_cannot_be_written(newest: str, run: Run, volume: str) -> None:
    """Placement writes its traits when it is loaded: not only the schema has to be there."""
    assert (
        run(newest, "db-sync", options=(f"--volume={volume}:/var/lib/placement",)).returncode == 0
    )
    options = (f"--volume={volume}:/var/lib/placement:ro",)
    line = refusal(run(newest, env=NOAUTH, options=options))
    assert re.search(r"the database sqlite:////cats.db cannot be used: .*Mount a volume", line)
    assert "SQL" not in line


def test_a_configuration_file_that_does_not_parse(newest: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "placement.conf").write_text("[api\n", encoding="utf-8")
    options = (f"--volume={readable(tmp_path)}:/etc/placement:ro",)
    line = refusal(run(newest, env=NOAUTH, options=options))
    assert "/etc/placement/placement.conf" in line


@pytest.mark.parametrize("url", ["postgresql://placement", "mysql+pymysql://placement"])
def test_a_server_that_says_nothing(url: str, newest: str, run: Run, silent_server: str) -> None:
    env = NOAUTH | {
        DATABASE: f"{url}:{SECRET}@127.0.0.1:5432/placement",
        "OS_PLACEMENT_DATABASE__MAX_RETRIES": "3",
        "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
    }
    started = time.monotonic()
    line = refusal(run(newest, env=env, options=(f"--network=container:{silent_server}",)))
    assert "/placement cannot be used: no answer in 8 s" in line or "timeout expired" in line
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("driver", ["postgresql+psycopg2", "mysql+pymysql"])
def test_it_asks_a_database_again(driver: str, newest: str, run: Run) -> None:
    env = NOAUTH | {
        DATABASE: f"{driver}://placement:{SECRET}@127.0.0.1:1/placement",
        "OS_PLACEMENT_DATABASE__MAX_RETRIES": "3",
        "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
    }
    result = run(newest, env=env)
    assert "Connection refused" in refusal(result)
    assert result.stdout.count("SQL connection failed") == 3


@pytest.mark.parametrize("driver", ["postgresql+psycopg2", "mysql+pymysql"])
def test_the_default_bound_is_about_a_minute(driver: str, newest: str, run: Run) -> None:
    env = NOAUTH | {DATABASE: f"{driver}://placement@127.0.0.1:1/placement"}
    started = time.monotonic()
    line = refusal(run(newest, env=env, timeout=120))
    assert "Connection refused" in line
    assert 50 < time.monotonic() - started < 80
