"""All ways by which a setting reaches Placement: checked, and read alike, or kept out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.image.test_bad_input import DATABASE, KEYSTONE, NOAUTH, SECRET, WITH_PASSWORD, refusal
from tests.support.containers import Run, Start, logs, readable


@dataclass(frozen=True)
class Way:
    """A wrong setting that takes one way, and the line that refuses it.

    The files are those of /etc.
    """

    message: str
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


WRONG = "[placement_database]\nmax_pool_size = abc\n"
POOL = "PLACEMENT_DATABASE__MAX_POOL_SIZE"
WAYS = {
    "variable": Way(rf"OS_{POOL}=abc is not a valid value", {f"OS_{POOL}": "abc"}),
    "file of a variable": Way(
        rf"the file that OS_{POOL}_FILE names contains no valid value",
        {f"OS_{POOL}_FILE": "/etc/placement/value"},
        {"placement/value": "abc"},
    ),
    "configuration file": Way(
        r"\[placement_database\] max_pool_size is not a valid value",
        files={"placement/placement.conf": WRONG},
    ),
    "configuration file in the parent folder": Way(
        r"\[placement_database\] max_pool_size is not a valid value",
        files={"placement.conf": WRONG},
    ),
    "folder of configuration files": Way(
        r"\[placement_database\] max_pool_size is not a valid value",
        files={"placement/placement.conf.d/a.conf": WRONG},
    ),
    "database URL in a file": Way(
        r"CONNECTION: the option ssl is not supported",
        files={
            "placement/placement.conf": "[placement_database]\n"
            f"connection = mysql+pymysql://u:{SECRET}@h/d?ssl=true\n"
        },
    ),
    "parameters of the database URL": Way(
        r"CONNECTION: the option ssl is not supported",
        {
            DATABASE: f"mysql+pymysql://u:{SECRET}@h/d",
            "OS_PLACEMENT_DATABASE__CONNECTION_PARAMETERS": "ssl=true",
        },
    ),
    "second database URL": Way(
        r"SLAVE_CONNECTION names no database",
        {"OS_PLACEMENT_DATABASE__SLAVE_CONNECTION": f"postgresql://u:{SECRET}@h"},
    ),
    "auth strategy in a file": Way(
        r"OS_KEYSTONE_AUTHTOKEN__AUTH_URL is required",
        files={
            "placement/placement.conf": "[api]\nauth_strategy = keystone\n"
            "[keystone_authtoken]\nauth_type = password\n"
        },
    ),
    "missing policy": Way(
        r"POLICY_FILE=/etc/absent.yaml cannot be read",
        {"OS_OSLO_POLICY__POLICY_FILE": "/etc/absent.yaml"},
    ),
    "policy": Way(r"the policy .*policy.yaml.* is not valid", files={"placement/policy.yaml": "["}),
    "folder of policies": Way(
        r"the policy .*policy\.d.* is not valid", files={"placement/policy.d/a.yaml": "["}
    ),
    "CA certificates of all libraries": Way(
        r"REQUESTS_CA_BUNDLE=/absent cannot be read", {"REQUESTS_CA_BUNDLE": "/absent"}
    ),
    "CA certificate of Keystone": Way(
        r"OS_KEYSTONE_AUTHTOKEN__CAFILE=/absent cannot be read",
        {**KEYSTONE, **WITH_PASSWORD, "OS_KEYSTONE_AUTHTOKEN__CAFILE": "/absent"},
    ),
    "other configuration folder": Way(
        r"OS_PLACEMENT_CONFIG_DIR is not supported: mount the folder at /etc/placement",
        {"OS_PLACEMENT_CONFIG_DIR": "/config"},
    ),
    "profiler": Way(r"OS_WSGI_PROFILER is not supported", {"OS_WSGI_PROFILER": "/profiles"}),
}


def write(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write files of /etc, and return the options that mount each."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    readable(folder)
    return [f"--volume={folder / name}:/etc/{name}:ro" for name in files]


@pytest.mark.parametrize("name", WAYS)
def test_check_sees_a_wrong_setting(name: str, newest: str, run: Run, tmp_path: Path) -> None:
    way = WAYS[name]
    env = {**({} if name == "auth strategy in a file" else NOAUTH), **way.env}
    result = run(newest, "check-config", env=env, options=tuple(write(tmp_path, way.files)))
    assert re.search(way.message, refusal(result))


# Variables of libraries, of Python and of uWSGI. The container's own checks know none of them.
STEERING = {
    **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"), "http://192.0.2.1:1"),
    **dict.fromkeys(("no_proxy", "PGHOST", "PGSERVICE", "MYSQL_HOST", "STATSD_HOST"), "192.0.2.1"),
    **dict.fromkeys(("PYTHONPATH", "PYTHONSTARTUP", "CURL_CA_BUNDLE", "NETRC"), "/decoy"),
    **dict.fromkeys(("SNAP", "SNAP_COMMON", "SSLKEYLOGFILE", "OSLO_LOCK_PATH"), "/decoy"),
    "UWSGI_HTTP_SOCKET": ":9999",
}
# A module of this name would be imported instead of Python's own.
DECOY_MODULE = "print('a decoy was imported', flush=True)\n"
DECOY = "[DEFAULT]\ndebug = true\n[placement_database]\nconnection = sqlite:////decoy.db\n"
# What the placement.conf of kolla, openstack-helm, nova-operator and SAP contain, and this
# container cannot use.
PEERS = """
[DEFAULT]
log_file = /var/log/kolla/placement/placement-api.log
log_dir = /var/log/placement
log_config_append = /etc/placement/logging.conf
use_syslog = true
memcache_servers = memcached:11211
[cache]
enabled = true
[oslo_concurrency]
lock_path = /var/lib/placement/tmp
[oslo_messaging_notifications]
driver = noop
[profiler]
enabled = true
hmac_keys = {secret}
connection_string = redis://{secret}
"""
IGNORED = (
    *("[DEFAULT] log_file", "[DEFAULT] log_dir", "[DEFAULT] log_config_append"),
    *("[DEFAULT] use_syslog", "[DEFAULT] memcache_servers", "[cache]", "[oslo_concurrency]"),
    *("[oslo_messaging_notifications]", "[profiler]"),
)
ENVIRONMENTS = """
from pathlib import Path
for process in Path("/proc").glob("[0-9]*"):
    if (process / "cmdline").read_text().startswith("/opt/placement/bin/uwsgi"):
        for variable in (process / "environ").read_text().split("\\0"):
            print(variable.partition("=")[0])
"""


def test_nothing_else_steers_the_server(
    newest: str, start: Start, engine: str, tmp_path: Path
) -> None:
    """Neither variables of libraries, nor a home folder, the current folder or foreign sections."""
    decoys = {
        "decoy/sitecustomize.py": DECOY_MODULE,
        "decoy/entrypoint.py": DECOY_MODULE,
        "decoy/etc/placement/placement.conf": DECOY,
        "home/.placement/placement.conf": DECOY,
        "home/placement.conf": DECOY,
    }
    write(tmp_path / "root", decoys)
    etc = {
        "placement/placement.conf": PEERS.format(secret=SECRET),
        # oslo.config looks for a file with the name of the program.
        "placement/uwsgi.conf": DECOY,
        "uwsgi.conf": DECOY,
    }
    options = (
        *write(tmp_path / "etc", etc),
        f"--volume={tmp_path}/root/decoy:/decoy:ro",
        f"--volume={tmp_path}/root/home:/home/decoy:ro",
        "--workdir=/decoy",
    )
    server = start(newest, {**STEERING, "HOME": "/home/decoy"}, options)
    assert server.client.get("/resource_providers").status_code == 200
    log = logs(engine, server.name)
    assert " DEBUG " not in log
    assert "a decoy was imported" not in log
    assert SECRET not in log
    [ignored] = re.findall(r"^ignored, because .*: (.*)$", log, re.MULTILINE)
    assert {*STEERING, *IGNORED} <= set(ignored.strip().split(", "))
    command = [engine, "exec", server.name, "/opt/placement/bin/python3", "-Ic", ENVIRONMENTS]
    assert set(subprocess.check_output(command, text=True).split()).isdisjoint(STEERING)


BROKEN = """
import runpy, sys
import sqlalchemy as sa

@sa.event.listens_for(sa.Engine, "connect")
def fail(*_):
    raise RuntimeError("mysql+pymysql://u:{secret}/@h/d")

sys.argv = ["entrypoint", *{arguments}]
runpy.run_module("entrypoint", run_name="__main__")
"""


@pytest.mark.parametrize("arguments", [["upgrade-check"], ["placement-status", "upgrade", "check"]])
def test_unexpected_error_is_no_warning(arguments: list[str], newest: str, run: Run) -> None:
    """Exit code 1 of the upgrade check lets the upgrade continue."""
    python = "--entrypoint=/opt/placement/bin/python3"
    script = BROKEN.format(secret=SECRET, arguments=arguments)
    result = run(newest, "-Ic", script, env=NOAUTH, options=(python,))
    assert result.returncode == 2
    assert result.stderr.startswith("placement: RuntimeError: ")
    assert "Traceback" in result.stdout
    assert SECRET not in result.stdout + result.stderr
