"""Facts that the image or the chart states again, because neither can import the questions' Python.

The chart's number of connections is compared in tests/render/test_chart_answers.py.
"""

from __future__ import annotations

import configparser
import itertools
import re

import pytest

from entrypoint import database, server
from entrypoint.database import release
from extensions.deployment import Deployment
from extensions.releases import RELEASES, release_step
from tests.support.template import ROOT, load

# The powers of two of Kubernetes' units.
UNITS = {"Mi": 20, "Gi": 30}
MAJORS = range(10, 19)
"""Major versions of Placement: all that are offered, and some before and after them."""


def offered_step(deployed: int, wanted: int) -> bool:
    """Return whether the questions allow this step."""
    return not release_step(release.series(deployed), release.series(wanted))


@pytest.mark.parametrize(("deployed", "wanted"), list(itertools.product(MAJORS, MAJORS)))
def test_image_and_questions_allow_the_same_release_steps(deployed: int, wanted: int) -> None:
    assert release.is_step(deployed, wanted) == offered_step(deployed, wanted)
    assert (release.refusal(deployed, wanted) is None) == offered_step(deployed, wanted)


REFUSED = [steps for steps in itertools.product(MAJORS, MAJORS) if not release.is_step(*steps)]


@pytest.mark.parametrize(("deployed", "wanted"), REFUSED)
def test_refusals_of_image_and_questions_name_the_same_release(deployed: int, wanted: int) -> None:
    """The image names the next SLURP release, or the database's own; it is a possible step."""
    found = re.search(
        r": (?:upgrade to|use the image of) (\S+)", str(release.refusal(deployed, wanted))
    )
    assert found
    assert release_step(release.series(deployed), found[1]) == ""
    refusal = release_step(release.series(deployed), release.series(wanted))
    offered = re.findall(r"[0-9]{4}\.[12]", refusal.partition("; use ")[2])
    if found[1] in RELEASES:
        assert found[1] == (min(offered) if wanted < deployed else max(offered))
    else:
        assert found[1] not in offered


@pytest.mark.parametrize("name", RELEASES)
def test_image_knows_the_release_of_each_placement_version(name: str) -> None:
    major = int(RELEASES[name]["placement"].partition(".")[0])
    assert release.series(major) == name


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mysql"])
def test_database_driver_is_the_first_that_the_image_accepts(name: str) -> None:
    assert Deployment(database=name).database_driver == database.DRIVERS[name][0]


def test_image_contains_the_driver_packages() -> None:
    requirements = (ROOT / "releases/requirements.in").read_text().splitlines()
    drivers = (Deployment(database=name).database_driver for name in ("postgresql", "mysql"))
    assert {driver.partition("+")[2] for driver in drivers} <= set(requirements)


def test_connections_per_pod_are_those_of_the_image() -> None:
    """Each process has a pool, whose size the image computes from the number of threads."""
    deployment = Deployment(database="mysql")
    pool = sum(map(int, server.pool(deployment.threads).values()))
    assert deployment.connections_per_pod == deployment.processes * pool


def test_sqlite_has_one_process_with_one_thread_in_the_image_too() -> None:
    deployment = Deployment(database="sqlite")
    assert (deployment.processes, deployment.threads) == server.workers("sqlite:////cats.db")


def test_threads_are_the_default_of_the_image() -> None:
    assert Deployment(database="mysql").threads == server.THREADS


def test_chart_waits_as_long_for_open_requests_as_the_image() -> None:
    """The grace period of a pod covers the wait before SIGTERM and the wait for open requests."""
    uwsgi = read_uwsgi_settings()
    mercy = uwsgi.getint("worker-reload-mercy")
    assert nginx_setting("worker_shutdown_timeout") == f"{mercy}s"
    chart = ROOT / "template/placement-chart"
    [drain] = re.findall(r"\$drain := (\d+)", (chart / "templates/requirements.yaml").read_text())
    values = load(chart / "values.yaml")
    assert mercy == int(drain)
    assert f"plus {mercy} for open requests" in (chart / "values.yaml").read_text()
    assert values["terminationGracePeriodSeconds"] >= values["preStopSleepSeconds"] + mercy


def test_uwsgi_reads_whole_bodies_up_to_the_limit_of_nginx() -> None:
    limit = nginx_setting("client_max_body_size")
    assert read_uwsgi_settings().getint("post-buffering") == int(limit.removesuffix("k")) * 1024


@pytest.mark.parametrize(
    ("setting", "value", "row"),
    [
        ("client_header_timeout", "10s", "the headers are not complete | 10"),
        ("client_body_timeout", "30s", "the body makes no progress | 30"),
        ("send_timeout", "30s", "the client does not read the response | 30"),
        ("uwsgi_read_timeout", "600s", "Placement does not answer | 600"),
        ("worker_shutdown_timeout", "25s", "open requests after SIGTERM | 25"),
        ("large_client_header_buffers", "1 56k", "request line and headers together | 56 KiB"),
        (
            "worker_connections",
            "2048",
            "client connections; a request in progress counts as one more | 2,048",
        ),
        ("client_max_body_size", "512k", "body, with or without `Content-Length` | 512 KiB"),
    ],
)
def test_page_on_security_states_the_limits_of_nginx(setting: str, value: str, row: str) -> None:
    assert nginx_setting(setting) == value
    assert f"| {row}" in (ROOT / "template/docs/security.md.jinja").read_text()


def test_slow_clients_fit_into_the_limits_of_the_chart() -> None:
    """Half of the memory is for uWSGI, and half of the folder for responses."""
    chart = ROOT / "template/placement-chart"
    memory = load(chart / "values.yaml")["resources"]["limits"]["memory"]
    [files] = re.findall(r"sizeLimit: (\S+)", (chart / "templates/_pod.tpl").read_text())
    clients = int(nginx_setting("worker_connections"))
    _, head = nginx_setting("large_client_header_buffers").split()
    body = nginx_setting("client_body_buffer_size")
    assert clients * (size(head) + size(body)) <= size(memory) / 2
    assert clients * size(nginx_setting("client_max_body_size")) <= size(files) / 2


def size(text: str) -> int:
    """Return the bytes of a size of nginx or Kubernetes."""
    return int(text[:-1]) << 10 if text.endswith("k") else int(text[:-2]) << UNITS[text[-2:]]


def read_uwsgi_settings() -> configparser.SectionProxy:
    """Return uWSGI's settings."""
    settings = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    settings.read(ROOT / "template/shared/placement-uwsgi.ini")
    return settings["uwsgi"]


def nginx_setting(name: str) -> str:
    """Return the value of a setting that nginx has once."""
    settings = (ROOT / "template/shared/placement-nginx.conf").read_text()
    [value] = re.findall(rf"^ *{name} ([^;]+);", settings, re.MULTILINE)
    return str(value)
