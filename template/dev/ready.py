"""Wait until Placement answers at a URL: `ready.py URL SECONDS`."""

import sys

import httpx
from tenacity import RetryError, retry, retry_if_exception_type, stop_after_delay, wait_fixed

url, seconds = sys.argv[1], float(sys.argv[2])


@retry(
    stop=stop_after_delay(seconds),
    wait=wait_fixed(0.25),
    retry=retry_if_exception_type(httpx.HTTPError),
)
def ask() -> None:
    """Ask for the versions: the one answer that needs neither a token nor the database."""
    httpx.get(url, timeout=2).raise_for_status()


try:
    ask()
except RetryError as error:
    sys.exit(f"{url} did not answer within {seconds:g} s: {error.last_attempt.exception()}")
