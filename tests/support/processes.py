"""The arguments of processes, which `ps` shows to every user."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def arguments() -> set[str]:
    """Return the arguments of each process that runs now."""
    found = set()
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it is no process, or has ended
            line = (process / "cmdline").read_bytes()
            found.add(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@contextmanager
def record_arguments(found: set[str]) -> Iterator[None]:
    """Add the arguments of each process that runs during the block, except the shortest-lived."""
    ended = threading.Event()

    def record() -> None:
        while not ended.wait(0.02):
            found.update(arguments())

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
