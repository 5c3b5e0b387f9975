"""A refused request gets its answer, even if Placement has not read the request's body.

A server that closes a connection with unread data resets it. The client, or a proxy before it, may
then see the reset instead of the answer, and `kubectl port-forward` ends.
"""

from __future__ import annotations

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
# Bytes: below post-buffering, above it, and above limit-post.
SMALL, LARGE, TOO_LARGE = 100, 3_000_000, 16 * 1024 * 1024 + 1


def send(server: Server, request: str, *headers: str, size: int) -> str:
    """Send the head and then the body, as most clients do, and return the whole answer.

    Raises ConnectionResetError if the server has not read the whole body.
    """
    with server.open_request(request, *headers, size=size) as connection:
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


def test_too_large_body_is_not_stored(default_server: Server) -> None:
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send(default_server, *REFUSED[401], size=TOO_LARGE)
    assert default_server.client.get("/resource_providers").status_code == 200
