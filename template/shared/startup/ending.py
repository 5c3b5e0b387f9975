"""How this process ends when asked to, from the moment this is imported.

As process 1 it has no default for a signal: without a handler nothing but a kill would end it.
"""

import os
import signal
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end(number: int, *_: object) -> NoReturn:
    """End at once, with the exit code that a shell gives for this signal."""
    os._exit(128 + number)


for handled in SIGNALS:
    signal.signal(handled, end)
