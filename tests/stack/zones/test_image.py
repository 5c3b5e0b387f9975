"""The command in the image, with many hosts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.stack.zones.conftest import Zones
from tests.support.containers import PORT, Output, Run, logs, readable, serving

WRITES = ('"PUT ', '"POST ', '"DELETE ')


@pytest.mark.parametrize("number", [40, pytest.param(1000, marks=pytest.mark.only_all)])
def test_many_hosts_are_written_once(
    engine: str,
    newest: str,
    run: Run,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    number: int,
) -> None:
    """The second apply writes nothing, and reads in the same few requests for any number."""
    with serving(engine, newest) as server:
        zones = Zones(server.client, pytest.fail, uuid.uuid4().hex[:10])
        half = number // 2
        names = [f"compute-kvm-{index}" for index in range(half)]
        names += [f"compute-containers-{index}" for index in range(half)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(zones.new_host, names))
        file = tmp_path / "zones.yaml"
        file.write_text(yaml.safe_dump(zones.two_zones()), encoding="utf-8")
        readable(tmp_path)
        options = (f"--network=container:{server.name}", f"--volume={file}:/zones.yaml:ro")
        env = {"OS_ENDPOINT": f"http://127.0.0.1:{PORT}"}
        env["OS_TOKEN"] = "admin"

        def measured(*arguments: str) -> tuple[Output, float, list[str]]:
            """Run the command; return its output, its time, and the log of the requests."""
            before = len(logs(engine, server.name).splitlines())
            start = time.monotonic()
            done = run(newest, "zones", *arguments, env=env, options=options)
            seconds = time.monotonic() - start
            return done, seconds, logs(engine, server.name).splitlines()[before:]

        plan, _, _ = measured("plan")
        assert plan.returncode == 2, plan.stderr
        assert f"{number} to change" in plan.stdout
        first, first_seconds, requests = measured("apply")
        assert (first.returncode, first.stderr) == (0, "")
        assert len([line for line in requests if is_write(line)]) == 6 + 2 * number
        # Nobody but Nova writes the inventories of its hosts.
        assert not [line for line in requests if "/inventories" in line]
        second, second_seconds, requests = measured("apply")
        assert (second.returncode, second.stderr) == (0, "")
        assert not [line for line in requests if is_write(line)]
        assert len(requests) < 20
        assert measured("plan")[0].returncode == 0
        assert measured("plan", "--no-such-option")[0].returncode == 1
    record_property(
        "figures",
        f"first apply {first_seconds:.1f} s, second {second_seconds:.1f} s, 0 writes and"
        f" {len(requests)} requests",
    )
    if number == 1000:
        assert first_seconds < 60
        assert second_seconds < 10


def is_write(line: str) -> bool:
    """Return whether a line of the log is of a request that writes."""
    return any(method in line for method in WRITES)
