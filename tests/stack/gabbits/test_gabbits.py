"""The gabbits pass again and again, beside themselves, and leave a Placement as it was."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.containers import RELEASES, serving
from tests.support.gabbi import Gabbi, new_run
from tests.support.template import Render

# They share one Placement, and compare its state before and after.
pytestmark = pytest.mark.xdist_group("gabbits")

# The line that ends the tests proper of a file.
CLEANING = "# Whatever failed above"
OWN_UUID = re.compile(r"[0-9a-f]{8}-0000-4000-8000-\$ENVIRON\['RUN_ID'\]")
TEMPLATE_FILES = sorted((Path(__file__).parents[3] / "template/gabbits").glob("*.yaml"))


def state(url: str) -> dict[str, Any]:
    """Return all of a Placement that its API shows without being asked for by name."""
    headers = {"x-auth-token": "admin", "openstack-api-version": "placement 1.39"}
    pages = ["resource_providers", "traits", "resource_classes"]
    pages += [f"usages?project_id={project}" for project in ("gabbits", "gabbits-usages")]
    with httpx.Client(base_url=url, headers=headers) as client:
        return {page: client.get(f"/{page}").raise_for_status().json() for page in pages}


def passed(process: subprocess.Popen[str]) -> None:
    """Wait for a run and fail with its words if it did."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-5000:]


def failed(process: subprocess.Popen[str]) -> str:
    """Wait for a run that has to fail."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output[-5000:]
    return output


def requests_in(path: Path) -> list[dict[str, Any]]:
    """Read the requests of a gabbi file."""
    tests: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    return tests


@pytest.mark.parametrize("prefix", ["", "/placement"])
def test_pass_again_and_leave_nothing(
    placement_url: str, gabbits: list[Path], gabbi: Gabbi, prefix: str
) -> None:
    """They pass on the database of earlier runs, wherever the service is mounted."""
    before = state(placement_url)
    passed(gabbi(placement_url + prefix, *gabbits, env=new_run()))
    assert state(placement_url) == before


@pytest.mark.parametrize("release", RELEASES[:-1])
def test_pass_on_every_older_release(
    engine: str, image: Callable[[str], str], gabbits: list[Path], gabbi: Gabbi, release: str
) -> None:
    """The same files, on a database of their own."""
    with serving(engine, image(release)) as server:
        passed(gabbi(str(server.client.base_url), *gabbits, env=new_run()))


def test_pass_in_parallel(placement_url: str, gabbits: list[Path], gabbi: Gabbi) -> None:
    """Four runs at once do not meet."""
    before = state(placement_url)
    runs = [gabbi(placement_url, *gabbits, env=new_run()) for _ in range(4)]
    for run in runs:
        passed(run)
    assert state(placement_url) == before


def test_failure_in_the_middle_leaves_nothing(
    placement_url: str, gabbits: list[Path], gabbi: Gabbi, tmp_path: Path
) -> None:
    """When a request in the middle is answered otherwise than expected, the rest is cleaned up."""
    before = state(placement_url)
    for path in gabbits:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        tests = content["tests"]
        tests[len(tests) // 2]["status"] = 299
        (tmp_path / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    output = failed(gabbi(placement_url, *sorted(tmp_path.iterdir()), env=new_run()))
    assert output.count("✗") == len(gabbits)
    assert state(placement_url) == before


def test_interrupted_run_is_cleaned_up_by_the_next_of_that_id(
    placement_url: str, gabbits: list[Path], gabbi: Gabbi, tmp_path: Path
) -> None:
    """What a run without its last part has left, a second one removes, though it fails."""
    before = state(placement_url)
    run = new_run()
    for path in gabbits:
        head = path.read_text(encoding="utf-8").split(CLEANING)[0]
        (tmp_path / path.name).write_text(head, encoding="utf-8")
    passed(gabbi(placement_url, *sorted(tmp_path.iterdir()), env=run))
    assert state(placement_url) != before
    failed(gabbi(placement_url, *gabbits, env=run))
    assert state(placement_url) == before


def test_every_route_is_exercised(routes: set[tuple[str, str]], gabbits: list[Path]) -> None:
    """The files call each method of each route that the release has."""
    # The root without its slash is another name of the root, and no URL that gabbi takes.
    assert routes - {("GET", "")} <= {
        (method, route_of(test[method], routes))
        for path in gabbits
        for test in resolved(requests_in(path))
        for method in test
        if method.isupper()
    }


def resolved(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the URL of the test before in the place of $LAST_URL."""
    last = ""
    for test in tests:
        method = next(key for key in test if key.isupper())
        test[method] = last = test[method].replace("$LAST_URL", last)
    return tests


def route_of(url: str, routes: set[tuple[str, str]]) -> str | None:
    """Return the route that matches this URL."""
    path = url.split("?")[0]
    for _, route in routes:
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), path):
            return route
    return None


def test_no_two_files_use_the_same_names(gabbits: list[Path]) -> None:
    """Uuids, names, classes and traits of a run belong to one file each, which may run alone."""
    names = re.compile(r"(?:gabbits-|CUSTOM_GABBITS_)[\w-]*\$ENVIRON\['RUN_ID'\]")
    used = Counter(
        name
        for path in gabbits
        if path.name not in {"authentication.yaml", "microversions.yaml"}
        for pattern in (OWN_UUID, names)
        for name in set(pattern.findall(path.read_text(encoding="utf-8")))
    )
    shared = {name for name, files in used.items() if files > 1}
    # Nobody has this name; three files ask for it to be told so.
    assert shared <= {"gabbits-nobody-$ENVIRON['RUN_ID']"}


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.stem)
def test_each_file_teaches(path: Path) -> None:
    """It starts with what Placement promises, and where that is written."""
    comment = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert "https://docs.openstack.org/" in comment


def test_rendered_as_they_are(repository: Path) -> None:
    """No answer changes them."""
    for path in TEMPLATE_FILES:
        assert (repository / "gabbits" / path.name).read_bytes() == path.read_bytes()


def test_quick_look_needs_no_environment(
    placement_url: str, repository: Path, gabbi: Gabbi
) -> None:
    """It passes twice at once and once more, and leaves nothing."""
    before = state(placement_url)
    for runs in (2, 1):
        started = [gabbi(placement_url, repository / "gabbi.yaml", env={}) for _ in range(runs)]
        for run in started:
            passed(run)
    assert state(placement_url) == before


def test_quick_look_takes_the_token_where_keystone_asks_for_one(
    placement_url: str, render: Render, gabbi: Gabbi
) -> None:
    """With Keystone it sends TOKEN, and without says what is missing."""
    look = render({"auth_strategy": "keystone"}) / "gabbi.yaml"
    passed(gabbi(placement_url, look, env={"TOKEN": "admin"}))
    assert "unable to replace $ENVIRON in $ENVIRON['TOKEN']" in failed(
        gabbi(placement_url, look, env={})
    )
