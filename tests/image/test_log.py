"""The log of requests: a client can neither add a line to it nor send escape codes."""

from __future__ import annotations

import io
import logging
import re

import pytest

from entrypoint.logs import EscapingFormatter
from tests.support.containers import Server, Start, logs

FORGED = "2026-01-01 00:00:00.000 1 INFO placement.requestlog forged"
HEADERS = {b"openstack-api-version": b"placement 1.39"}


def test_requests_are_escaped(engine: str, newest: str, start: Start) -> None:
    """Whatever part of the request the log shows, also in what oslo.log adds."""
    server = start(newest, {"OS_DEFAULT__DEBUG": "True"})
    token = f"admin:\x1b[31m{FORGED}".encode()
    for name in (b"x-auth-token", b"user-agent", b"x-openstack-request-id", b"x-project-name"):
        headers = {b"x-auth-token": b"admin", **HEADERS, name: token}
        server.client.get("/resource_providers?name=\x9b", headers=headers)
    body = {"name": f"one\n{FORGED}\r\x1b[31m"}
    answers = [
        server.client.post("/resource_providers", json=body, headers=HEADERS) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 409]
    with server.open_request("GET /\x9b31m?\x9b31m", size=0) as connection:
        connection.recv(1)
    log = logs(engine, server.name)
    assert rf"\x1b[31m{FORGED}" in log
    assert rf"one\n{FORGED}\r\x1b[31m" in log
    assert r"\x9b31m" in log
    assert not re.search(f"^{FORGED}", log, re.M)
    assert all(line.isprintable() for line in log.splitlines())


def test_traceback_keeps_its_lines() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EscapingFormatter(logging.Formatter("%(levelname)s %(message)s")))
    logger = logging.Logger("requests")
    logger.addHandler(handler)
    try:
        raise ValueError("\x1b[31m")
    except ValueError:
        logger.exception("one\ntwo: %s", "Дом")
    first, *rest = stream.getvalue().splitlines()
    assert first == r"ERROR one\ntwo: Дом"
    assert [rest[0], rest[-1]] == ["Traceback (most recent call last):", r"ValueError: \x1b[31m"]


@pytest.mark.parametrize(
    ("forwarded", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("https, http", "https"),
        ("http,https", "http"),
        ("javascript", "http"),
        ("https://example.com/?", "http"),
        ("", "http"),
        ("\xff", "http"),
    ],
)
def test_scheme_of_links(forwarded: str, scheme: str, default_server: Server) -> None:
    """Of X-Forwarded-Proto, only http and https are believed."""
    headers = {**HEADERS, b"x-forwarded-proto": forwarded.encode("latin-1")}
    answer = default_server.client.put("/traits/CUSTOM_LINK", headers=headers)
    assert answer.headers["location"].startswith(f"{scheme}://127.0.0.1")
