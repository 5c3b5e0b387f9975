"""The benchmark sends valid requests to servers that serve. Its figures are not tested."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.containers import CONNECTION, Start
from tests.support.servers import DatabaseServer
from tools.bench import measure, workloads
from tools.bench.cloud import delayed, delete_created, fill
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
