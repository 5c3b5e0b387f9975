"""Errors that the operator can fix, each reported in one line on standard error."""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

# uWSGI's log goes to standard output; this variable holds the number of the real standard error.
STDERR_VARIABLE = "ENTRYPOINT_STDERR"


class StartError(Exception):
    """An error that ends the command; its message says what to do."""

    exit_code = 1


class UsageError(StartError):
    """An unknown command, or wrong arguments for one."""

    exit_code = 2


class TemporaryError(StartError):
    """A server that does not answer: the same command may succeed later."""

    exit_code = os.EX_TEMPFAIL


class UnexpectedError(StartError):
    """An error of the program. Exit code 1 would be a warning of the upgrade check."""

    exit_code = 2


def hide_passwords(text: str) -> str:
    """Return the text without the password of any URL."""
    # In an example of a URL, the word PASSWORD shows where the password belongs.
    return re.sub(r"(\w://[^:@\s]*):(?!PASSWORD@)\S*@", r"\1:***@", text)


def one_line(text: object) -> str:
    """Return the text in one line, without passwords in URLs and without SQL statements."""
    line = " ".join(str(text).split())
    return hide_passwords(re.sub(r" ?(\[SQL: |\(Background on this error).*", "", line))


def report(text: object) -> None:
    """Write one line to the container's standard error."""
    stderr = int(os.environ.get(STDERR_VARIABLE, sys.stderr.fileno()))
    os.write(stderr, f"placement: {one_line(text)}\n".encode())


def exit_with(error: StartError) -> NoReturn:
    """Report an error and end the process, from any thread and even inside uWSGI."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    report(error)
    os._exit(error.exit_code)


@contextlib.contextmanager
def report_errors(unexpected: type[StartError] = UnexpectedError) -> Iterator[None]:
    """Report an error of the block and end the process.

    The log gets the traceback of an unexpected error.
    """
    try:
        yield
        return
    except StartError as error:
        exit_with(error)
    except Exception as error:
        print(hide_passwords(traceback.format_exc()))
        exit_with(unexpected(f"{type(error).__name__}: {error} (the log has the details)"))
