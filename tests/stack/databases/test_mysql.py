"""Placement on a MySQL server. Tests with the fixture `server` run on it as well."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from tests.support.containers import CONNECTION, Start
from tests.support.faults import Fault, Faulty, killed, read_only
from tests.support.load import light_load
from tests.support.mysql import VERSION
from tests.support.networks import Network
from tests.support.providers import HEADERS, new_provider, set_total
from tests.support.servers import PASSWORD, SPEED, DatabaseServer, database_server

# The server's archive is large, so `make test` does not download it.
pytestmark = pytest.mark.only_all

LOCK_WAIT = {
    "OS_PLACEMENT_DATABASE__CONNECTION_PARAMETERS": (
        "init_command=SET SESSION innodb_lock_wait_timeout=1"
    )
}
# Requests succeed at most this many seconds after the fault.
BACK = 15


def test_version(mysql8: DatabaseServer) -> None:
    assert mysql8.administer("SELECT version()") == VERSION


def test_conflict_is_409(mysql8: DatabaseServer, newest: str, start: Start) -> None:
    url = mysql8.new_database()
    client = start(newest, {CONNECTION: url, **LOCK_WAIT}).client
    client.headers.update(HEADERS)
    provider = new_provider(client)
    with mysql8.connect(url).begin() as holder:
        holder.execute(sa.text("SELECT id FROM resource_providers FOR UPDATE"))
        answer = set_total(client, provider, 1, 5)
    assert answer.status_code == 409, answer.text
    assert answer.json()["errors"][0]["code"] == "placement.concurrent_update"
    assert set_total(client, provider, 1, 5).status_code == 200


@pytest.mark.parametrize("fault", [killed, read_only], ids=lambda fault: str(fault.__name__))
def test_placement_recovers_and_keeps_every_write(
    fault: Fault, engine: str, mysql8_image: str, network: Network, newest: str, start: Start
) -> None:
    place = network.place(0x40)
    options = (*network.options, *place.options)
    with database_server(engine, mysql8_image, "mysql", options, SPEED["mysql"]) as server:
        url = f"{server.driver}://placement:{PASSWORD}@[{place.address}]/placement"
        placement = start(newest, {CONNECTION: url}, network.options)
        faulty = Faulty(server, network, place, placement)
        with light_load(placement.client) as load:
            load.wait_until_good_after(time.monotonic(), BACK)
            fault(faulty, 2)
            faulty.wait()
            back = time.monotonic()
            load.wait_for_good_requests(20, back, BACK)
        assert load.failed
        assert not load.failed_after(back + BACK)
        load.check_writes()
