"""A problem that the person who started the container can solve, told in one line."""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

# uWSGI's log goes to standard output; this variable keeps the number of the real standard error.
STDERR_VARIABLE = "STARTUP_STDERR"


class StartError(Exception):
    """Something that stops the start; its text says what to do."""


def one_line(text: object) -> str:
    """Return the text in a single line, without passwords in any URL or a failed statement."""
    line = " ".join(str(text).split())
    line = re.sub(r" ?(\[SQL: |\(Background on this error).*", "", line)
    # The word PASSWORD is how an example says where one belongs.
    return re.sub(r"(\w://[^:/@\s]*):(?!PASSWORD@)[^/\s]*@", r"\1:***@", line)


def tell(text: object) -> None:
    """Write one line to the container's standard error."""
    stderr = int(os.environ.get(STDERR_VARIABLE, sys.stderr.fileno()))
    os.write(stderr, f"placement: {one_line(text)}\n".encode())


def stop(problem: object) -> NoReturn:
    """Say what is wrong and end this process at once, whatever it runs in."""
    tell(problem)
    sys.stdout.flush()
    os._exit(1)


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """End this process where the block fails; what nobody foresaw is in the log in full."""
    try:
        yield
    except StartError as error:
        stop(error)
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        stop(f"{type(error).__name__}: {error} (the log says more)")
