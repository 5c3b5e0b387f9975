"""A refused request gets its answer, even if Placement has not read the request's body.

A server that closes a connection with unread data resets it. The client, or a proxy before it, may
then see the reset instead of the answer, and `kubectl port-forward` ends.
"""

from __future__ import annotations

import json

import pytest

from tests.support.containers import Server

JSON = "content-type: application/json"
ADMIN = "x-auth-token: admin"
REFUSED = {
    401: ("POST /resource_providers", JSON),
    404: ("POST /nothing", ADMIN, JSON),
    405: ("PUT /resource_providers", ADMIN, JSON),
    415: ("POST /resource_providers", ADMIN, "content-type: text/plain"),
}
# Bytes: in nginx's memory, in its temporary file, and above its limit.
SMALL, LARGE, TOO_LARGE = 100, 512 * 1024, 512 * 1024 + 1


def send(server: Server, request: str, *headers: str, size: int) -> str:
    """Send the head and then the body, as most clients do, and return the whole answer.

    Raises ConnectionResetError if the server has not read the whole body.
    """
    with server.open_request(request, "connection: close", *headers, size=size) as connection:
        connection.sendall(b"x" * size)
        return connection.makefile("rb").read().decode()


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_refused_request_is_answered_before_its_connection_closes(
    size: int, default_server: Server
) -> None:
    for status, (request, *headers) in REFUSED.items():
        for _ in range(5):  # how much is unread when the server closes depends on timing
            answer = send(default_server, request, *headers, size=size)
            assert answer.split()[1] == str(status)


def test_too_large_body_is_refused(default_server: Server) -> None:
    answer = send(default_server, *REFUSED[415], size=TOO_LARGE)
    assert answer.startswith("HTTP/1.1 413 ")
    [error] = json.loads(answer.partition("\r\n\r\n")[2])["errors"]
    assert error == {"status": 413, "title": "Content Too Large"}


def test_chunked_body_is_read(default_server: Server) -> None:
    """Go and Java clients, and proxies that stream, send such bodies."""
    uuid = "0d4a9c1c-5b5f-4f0e-9a55-0a3b5d4f8c11"
    body = json.dumps({"name": "chunked", "uuid": uuid}).encode()
    created = default_server.client.post(
        "/resource_providers",
        content=iter([body[:7], body[7:]]),
        headers={"content-type": "application/json"},
    )
    assert created.status_code == 201
    assert default_server.client.delete(f"/resource_providers/{uuid}").status_code == 204


def test_client_that_waits_for_100_continue_gets_it(default_server: Server) -> None:
    request, *headers = REFUSED[415]
    waiting = ("expect: 100-continue", "connection: close")
    with default_server.open_request(request, *headers, *waiting, size=SMALL) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"x" * SMALL)
        assert connection.recv(65536).startswith(b"HTTP/1.1 415 ")
