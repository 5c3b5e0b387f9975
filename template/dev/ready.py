"""Wait until Placement answers at a URL: `ready.py URL SECONDS`."""

import sys

import httpx
from tenacity import RetryError, retry, retry_if_exception_type, stop_after_delay, wait_fixed


def wait(url: str, seconds: float, *, verify: bool = True) -> None:
    """Ask for the versions: the one answer that needs neither a token nor the database."""

    @retry(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.25),
        retry=retry_if_exception_type(httpx.HTTPError),
    )
    def ask() -> None:
        httpx.get(url, timeout=2, verify=verify).raise_for_status()

    try:
        ask()
    except RetryError as error:
        sys.exit(f"{url} did not answer within {seconds:g} s: {error.last_attempt.exception()}")


if __name__ == "__main__":
    wait(sys.argv[1], float(sys.argv[2]))
