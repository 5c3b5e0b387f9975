"""The patches of Placement in the image: template/image/patches/, and docs/reference/patches.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.containers import NEWEST, Server, new_name
from tests.support.servers import DatabaseServer
from tests.support.template import Render

URL = "OS_PLACEMENT_DATABASE__CONNECTION"
HEADERS = {"x-auth-token": "admin", "openstack-api-version": "placement 1.39"}


def test_usages_are_answered_on_postgresql(
    any_image: str, postgresql: DatabaseServer, start: Callable[..., Server]
) -> None:
    """From microversion 1.38 on, which groups them by consumer type."""
    server = start(any_image, {URL: postgresql.new_database()})
    answer = server.client.get("/usages?project_id=one", headers=HEADERS)
    assert (answer.status_code, answer.json()) == (200, {"usages": {}})


def test_resource_classes_can_be_created_at_once(
    newest: str, server: DatabaseServer, start: Callable[..., Server]
) -> None:
    """Each gets the next id, and another id if a faster request has taken that one.

    On MariaDB from 11.6 on, this also shows that the entry point disables snapshot isolation.
    """
    env = {URL: server.new_database(), "UWSGI_PROCESSES": "4", "UWSGI_THREADS": "4"}
    placement = start(newest, env)
    names = {f"CUSTOM_CLASS_{number}" for number in range(64)}

    def create(name: str) -> int:
        url = f"/resource_classes/{name}"
        return placement.client.put(url, headers=HEADERS, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(create, names)) == {201}
    created = placement.client.get("/resource_classes", headers=HEADERS).json()["resource_classes"]
    assert names <= {each["name"] for each in created}


@pytest.mark.usefixtures("newest")
def test_build_skips_a_patch_that_does_not_apply(
    engine: str, render: Render, tmp_path: Path
) -> None:
    """A release may contain the fix, or other lines: the build reports that and continues."""
    repository = shutil.copytree(render({"release": NEWEST}), tmp_path / "repository")
    patches = repository / "image/patches"
    ours = sorted(patches.iterdir())
    # Applied after the real ones: each patch once more, and each for other lines.
    for path in ours:
        text = path.read_text(encoding="utf-8")
        (patches / f"z-again-{path.name}").write_text(text, encoding="utf-8")
        (patches / f"z-other-{path.name}").write_text(
            text.replace("\n- ", "\n-#"), encoding="utf-8"
        )
    name = f"localhost/{new_name()}"
    command = [engine, "build", "--target=builder", f"--tag={name}", str(repository)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    subprocess.run([engine, "rmi", name], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    left_out = set(re.findall(r"(\S+) does not apply", done.stdout + done.stderr))
    assert left_out == {f"z-{why}-{path.name}" for why in ("again", "other") for path in ours}
