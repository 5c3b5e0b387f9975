"""Requests while Keystone is silent: keystonemiddleware answers 503 where it refuses a connection.

Where it takes the connection and no answer comes in time, the error would leave the application,
and the client would find its connection closed without an answer.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from keystoneauth1.exceptions import ClientException
from webob.exc import HTTPServiceUnavailable

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def told_by_503(application: Application) -> Application:
    """Return the application that answers 503 then, and says why in the log."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return application(environ, start_response)
        except ClientException as error:
            logging.getLogger("placement").error("Keystone does not answer: %s", error)
            return HTTPServiceUnavailable("Keystone does not answer.")(environ, start_response)

    return answer
