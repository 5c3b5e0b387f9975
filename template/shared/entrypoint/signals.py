"""SIGTERM and SIGINT end the process at once, from the moment handle_signals() is called.

The kernel has no default action for the signals of process 1: without a handler, only SIGKILL
would end the container.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def handle_signals() -> None:
    """Install the handler."""
    for number in SIGNALS:
        signal.signal(number, exit_at_once)


def exit_at_once(number: int, *_: object) -> NoReturn:
    """Exit with the code that a shell reports for this signal."""
    os._exit(128 + number)


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """Deliver the signals only after the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
