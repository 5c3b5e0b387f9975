"""The gabbits pass on a MySQL server, behind a pooler, and on three writers in turn."""

from __future__ import annotations

import pytest

from tests.support.containers import CONNECTION, Start
from tests.support.gabbi import Gabbi, new_run
from tests.support.galera import SYNC_WAIT
from tests.support.template import Render
from tests.support.topologies import Topology, marks

TOPOLOGIES = {"mysql8": {}, "pgbouncer": {}, "galera-round-robin": SYNC_WAIT}


@pytest.mark.only_all
@pytest.mark.parametrize(
    ("topology", "env"),
    [pytest.param(name, env, id=name, marks=marks(name)) for name, env in TOPOLOGIES.items()],
    indirect=["topology"],
)
def test_gabbits_pass(
    topology: Topology,
    env: dict[str, str],
    newest: str,
    start: Start,
    gabbi: Gabbi,
    render: Render,
) -> None:
    [url] = topology.new_database()
    placement = start(newest, {CONNECTION: url, **env})
    files = sorted((render({}) / "gabbits").glob("*.yaml"))
    run = gabbi(str(placement.client.base_url), *files, env=new_run())
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output[-5000:]
