"""A request that is refused gets its answer, even if Placement has not looked at what it sent.

A server that closes a connection on which something is unread resets it, and the client, or a proxy
before it, may see that in place of the answer. `kubectl port-forward` ends altogether.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.containers import Server

Start = Callable[..., Server]
JSON = "content-type: application/json"
ADMIN = "x-auth-token: admin"
REFUSED = {
    401: ("POST /resource_providers", JSON),
    404: ("POST /nothing", ADMIN, JSON),
    405: ("PUT /resource_providers", ADMIN, JSON),
    415: ("POST /resource_providers", ADMIN, "content-type: text/plain"),
}
# Bytes: less than post-buffering, more than that, and more than limit-post.
SMALL, LARGE, TOO_LARGE = 100, 3_000_000, 16 * 1024 * 1024 + 1


def send(server: Server, request: str, *headers: str, size: int) -> str:
    """Send the head and then the body, as most clients do, and return all of the answer.

    Raises ConnectionResetError where the server has not read all of the body.
    """
    with server.open_request(request, *headers, size=size) as connection:
        connection.sendall(b"x" * size)
        return connection.makefile("rb").read().decode()


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_refusal_is_answered_and_the_connection_closed_in_order(
    size: int, newest: str, start: Start
) -> None:
    server = start(newest)
    for status, (request, *headers) in REFUSED.items():
        for _ in range(5):  # what is unread when the server closes is a matter of time
            answer = send(server, request, *headers, size=size)
            assert answer.split()[1] == str(status)


def test_nobody_can_fill_the_disk(newest: str, start: Start) -> None:
    server = start(newest)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send(server, *REFUSED[401], size=TOO_LARGE)
    assert server.client.get("/resource_providers").status_code == 200
