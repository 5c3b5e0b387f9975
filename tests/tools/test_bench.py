"""The benchmark sends valid requests to servers that serve. Its figures are not tested."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.containers import CONNECTION, Start
from tests.support.servers import DatabaseServer
from tools.bench import growth, measure, workloads
from tools.bench.cloud import TRAIT, delayed, delete_created, fill
from tools.bench.peers import PEERS, PRODUCT
from tools.bench.report import SECTIONS, Results, draw, markdown

PROVIDERS = 40
WRITE = "PUT and DELETE allocations"


def test_all_peers_serve_all_workloads(
    postgresql: DatabaseServer, newest: str, engine: str, start: Start, tmp_path: Path
) -> None:
    """All peers serve the same image here; `make bench` builds one without patches for most."""
    url, results = postgresql.new_database(), Results()
    with delayed(engine, newest, postgresql, url, 1) as away:
        servers = {
            peer.name: start(newest, {CONNECTION: away, **peer.env}, peer.options) for peer in PEERS
        }
        cloud = fill(servers[PRODUCT], PROVIDERS)
        for peer, server in servers.items():
            server.client.headers.update(workloads.HEADERS)
            for name in workloads.NAMES if peer == PRODUCT else (WRITE,):
                lua = workloads.script(name, cloud, server.client)
                result = measure.run(engine, server, lua, 1, tmp_path)
                delete_created(postgresql, url)
                assert result.good > 0
                assert peer != PRODUCT or (result.failed, result.broken) == (0, 0), name
                if name == WRITE:
                    results.add(("PostgreSQL, 1 ms away", name, peer), result)
            results.memory["PostgreSQL", peer] = measure.memory(engine, server)
    tokens = MarkdownIt().enable("table").parse(markdown(results))
    assert [token.type for token in tokens].count("table_open") == len(SECTIONS)
    draw(results, tmp_path / "bench.svg")
    assert (tmp_path / "bench.svg").read_text(encoding="utf-8").endswith("</svg>\n")


def test_growth_is_measured_in_clouds_that_placement_serves(
    postgresql: DatabaseServer, newest: str, engine: str, start: Start, tmp_path: Path
) -> None:
    """Three hosts with eight GPUs each, of which two are copies of the first one's rows."""
    url = growth.new_cloud(engine, newest, postgresql, growth.DEVICES, 27)
    server = start(newest, {CONNECTION: url})
    client = server.client
    client.headers.update(workloads.HEADERS)
    providers = client.get("/resource_providers").json()["resource_providers"]
    roots = Counter(provider["root_provider_uuid"] for provider in providers)
    assert list(roots.values()) == [9, 9, 9]
    for provider in providers:
        path = f"/resource_providers/{provider['uuid']}"
        inventories = client.get(f"{path}/inventories").raise_for_status().json()["inventories"]
        assert len(inventories) == (5 if provider["parent_provider_uuid"] is None else 1)
        assert client.get(f"{path}/traits").json()["traits"] == [TRAIT]
        assert len(client.get(f"{path}/aggregates").json()["aggregates"]) == 1
    client.post("/resource_providers", json={"name": "next"}).raise_for_status()

    by_requested = {workload.requested: workload for workload in growth.WORKLOADS}
    cases = {case.name: case for case in growth.CASES}
    two = growth.ask(engine, server, by_requested[2].path)
    assert growth.candidates(two) == "168 on 3"
    assert two.seconds
    eight = growth.ask(engine, server, by_requested[8].path, timeout=1)
    assert growth.candidates(eight) == "none"
    for requested, name, expected in (
        (4, "max=1000", "1,000 on 1"),
        (8, "max=1000, breadth-first, wide", "1,000 on 3"),
    ):
        found = growth.measure_case(engine, newest, url, by_requested[requested], cases[name])
        assert growth.candidates(found) == expected

    results = {
        (workload.name, case.name): [two, eight]
        for workload in growth.WORKLOADS
        for case in growth.CASES
    }
    growth.write(results, tmp_path / "growth.md")
    page = (tmp_path / "growth.md").read_text(encoding="utf-8")
    tokens = MarkdownIt().enable("table").parse(page)
    assert [token.type for token in tokens].count("table_open") == len(growth.SECTIONS) + 1
    assert (tmp_path / "growth.svg").read_text(encoding="utf-8").endswith("</svg>\n")
