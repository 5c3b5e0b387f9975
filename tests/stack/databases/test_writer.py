"""Galera with one writer behind HAProxy: the next node replaces a writer that was killed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.containers import CONNECTION, Start, remove
from tests.support.galera import running_cluster
from tests.support.load import light_load
from tests.support.proxies import PORTS, NewProxy, haproxy_config
from tests.support.servers import DevImage

# Requests succeed at most this many seconds after the writer was killed.
BACK = 15


@pytest.mark.only_all
def test_next_node_replaces_a_killed_writer(
    engine: str,
    dev_image: DevImage,
    new_proxy: NewProxy,
    newest: str,
    start: Start,
    record_property: Callable[[str, object], None],
) -> None:
    with running_cluster(engine, dev_image("mariadb")) as nodes:
        config = haproxy_config(nodes, single_writer=True)
        with new_proxy("haproxy", config, PORTS["mysql"]) as proxy:
            url = proxy.url(nodes[0].url("placement"))
            client = start(newest, {CONNECTION: url}).client
            with light_load(client) as load:
                load.wait_for_good_requests(20, time.monotonic(), BACK)
                remove(engine, nodes[0].name)
                killed = time.monotonic()
                load.wait_for_good_requests(20, killed + 1, BACK)
            record_property("figures", f"| writer killed | {load.row(killed)} |")
            assert not load.failed_after(killed + BACK)
            load.check_writes()
