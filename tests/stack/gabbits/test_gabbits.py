"""The gabbits pass repeatedly and in parallel, and leave a Placement unchanged."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.containers import RELEASES, serving
from tests.support.gabbi import Gabbi, new_run
from tests.support.template import Render

# All tests use one Placement and compare its state before and after.
pytestmark = pytest.mark.xdist_group("gabbits")

# The comment in each file after which the requests only delete.
CLEANUP = "# The requests below always run"
OWN_UUID = re.compile(r"[0-9a-f]{8}-0000-4000-8000-\$ENVIRON\['RUN_ID'\]")
TEMPLATE_FILES = sorted((Path(__file__).parents[3] / "template/gabbits").glob("*.yaml"))


def state(url: str) -> dict[str, Any]:
    """Return everything that the API of a Placement lists."""
    headers = {"x-auth-token": "admin", "openstack-api-version": "placement 1.39"}
    pages = ["resource_providers", "traits", "resource_classes"]
    pages += [f"usages?project_id={project}" for project in ("gabbits", "gabbits-usages")]
    with httpx.Client(base_url=url, headers=headers) as client:
        return {page: client.get(f"/{page}").raise_for_status().json() for page in pages}


def passed(process: subprocess.Popen[str]) -> None:
    """Wait for a run, and fail with its output if it failed."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-5000:]


def failed(process: subprocess.Popen[str]) -> str:
    """Wait for a run that must fail, and return its output."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output[-5000:]
    return output


def requests_in(path: Path) -> list[dict[str, Any]]:
    """Read the requests of a gabbi file."""
    tests: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    return tests


def test_gabbits_pass_on_every_older_release(
    engine: str, image: Callable[[str], str], gabbits: list[Path], gabbi: Gabbi
) -> None:
    """The same files pass on each release, with a database of its own."""
    with ExitStack() as running:
        servers = [
            running.enter_context(serving(engine, image(release))) for release in RELEASES[:-1]
        ]
        runs = [gabbi(str(server.client.base_url), *gabbits, env=new_run()) for server in servers]
        for run in runs:
            passed(run)


def test_gabbits_that_fail_midway_leave_nothing(
    placement_url: str, gabbits: list[Path], gabbi: Gabbi, tmp_path: Path
) -> None:
    """A failed request in the middle of a file does not prevent the cleanup."""
    before = state(placement_url)
    for path in gabbits:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        tests = content["tests"]
        tests[len(tests) // 2]["status"] = 299
        (tmp_path / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    output = failed(gabbi(placement_url, *sorted(tmp_path.iterdir()), env=new_run()))
    assert output.count("✗") == len(gabbits)
    assert state(placement_url) == before


def test_second_run_with_the_same_run_id_cleans_up_an_interrupted_run(
    placement_url: str, gabbits: list[Path], gabbi: Gabbi, tmp_path: Path
) -> None:
    """The second run fails, and deletes what a run without its cleanup left behind."""
    before = state(placement_url)
    run = new_run()
    for path in gabbits:
        head = path.read_text(encoding="utf-8").split(CLEANUP)[0]
        (tmp_path / path.name).write_text(head, encoding="utf-8")
    passed(gabbi(placement_url, *sorted(tmp_path.iterdir()), env=run))
    assert state(placement_url) != before
    failed(gabbi(placement_url, *gabbits, env=run))
    assert state(placement_url) == before


def test_gabbits_pass_in_parallel_and_again(
    placement_url: str, gabbits: list[Path], gabbi: Gabbi
) -> None:
    """Two runs at once leave nothing, one of them at the prefix /placement.

    The files whose rows cannot be deleted pass once more, as in every later run.
    """
    before = state(placement_url)
    urls = [placement_url, f"{placement_url}/placement"]
    runs = [gabbi(url, *gabbits, env=new_run()) for url in urls]
    for run in runs:
        passed(run)
    assert state(placement_url) == before
    again = [path for path in gabbits if path.stem in {"aggregates", "consumers", "usages"}]
    passed(gabbi(placement_url, *again, env=new_run()))
    assert state(placement_url) == before


def test_every_route_is_exercised(routes: set[tuple[str, str]], gabbits: list[Path]) -> None:
    """The files send a request to each method of each route of the release."""
    # The root without its slash is an alias of the root. gabbi does not accept it as a URL.
    assert routes - {("GET", "")} <= {
        (method, route_of(test[method], routes))
        for path in gabbits
        for test in resolved(requests_in(path))
        for method in test
        if method.isupper()
    }


def resolved(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace $LAST_URL with the URL of the previous test."""
    last = ""
    for test in tests:
        method = next(key for key in test if key.isupper())
        test[method] = last = test[method].replace("$LAST_URL", last)
    return tests


def route_of(url: str, routes: set[tuple[str, str]]) -> str | None:
    """Return the route that matches this URL, if any."""
    path = url.split("?")[0]
    for _, route in routes:
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), path):
            return route
    return None


def test_each_file_uses_names_of_its_own(gabbits: list[Path]) -> None:
    """UUIDs, names, classes and traits of a run occur in one file only, so files can run alone."""
    names = re.compile(r"(?:gabbits-|CUSTOM_GABBITS_)[\w-]*\$ENVIRON\['RUN_ID'\]")
    used = Counter(
        name
        for path in gabbits
        if path.name not in {"authentication.yaml", "microversions.yaml"}
        for pattern in (OWN_UUID, names)
        for name in set(pattern.findall(path.read_text(encoding="utf-8")))
    )
    shared = {name for name, files in used.items() if files > 1}
    # No provider has this name; three files query it for an empty list.
    assert shared <= {"gabbits-nobody-$ENVIRON['RUN_ID']"}


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.stem)
def test_each_file_explains_itself(path: Path) -> None:
    """A file starts with what Placement guarantees, and a link to the documentation."""
    comment = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert "https://docs.openstack.org/" in comment


def test_files_are_the_same_in_every_repository(repository: Path) -> None:
    """No answer changes a file."""
    for path in TEMPLATE_FILES:
        assert (repository / "gabbits" / path.name).read_bytes() == path.read_bytes()


def test_short_test_needs_no_environment(
    placement_url: str, repository: Path, gabbi: Gabbi
) -> None:
    """gabbi.yaml passes twice in parallel and once more, and leaves nothing."""
    before = state(placement_url)
    for runs in (2, 1):
        started = [gabbi(placement_url, repository / "gabbi.yaml", env={}) for _ in range(runs)]
        for run in started:
            passed(run)
    assert state(placement_url) == before


def test_short_test_sends_the_token_of_the_environment_to_keystone(
    placement_url: str, render: Render, gabbi: Gabbi
) -> None:
    """With Keystone, gabbi.yaml sends TOKEN; without that variable, gabbi names it."""
    short_test = render({"auth_strategy": "keystone"}) / "gabbi.yaml"
    passed(gabbi(placement_url, short_test, env={"TOKEN": "admin"}))
    assert "unable to replace $ENVIRON in $ENVIRON['TOKEN']" in failed(
        gabbi(placement_url, short_test, env={})
    )
