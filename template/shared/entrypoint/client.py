"""smoke-test, token and load-test: requests to Placement with this container's settings."""

import functools
import itertools
import json
import math
import os
import queue
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3

from entrypoint.errors import StartError
from entrypoint.variables import CLOUD, CLOUDS_FILE, DEFAULT_CLOUDS_FILE, whole_number

# Timeout of a request, in seconds.
TIMEOUT = 30
# The token of an administrator with noauth2.
NOAUTH2_TOKEN = "admin"
# The path of the requests that only services may send.
RESHAPER = "/reshaper"
# Seconds between a failed request of the load test and the next one.
PAUSE = 0.1
# The requests of the load test: various reads, which are work even for a Placement without data.
PATHS = (
    "/",
    "/resource_providers",
    "/allocation_candidates?resources=VCPU:1&limit=100",
    "/resource_classes",
    "/traits",
)

# The time of a request, and the reason of its failure.
Result = tuple[float, str | None]


def token() -> str:
    """Return a token of the cloud in clouds.yaml, or else of Placement's own user in Keystone.

    With noauth2, `admin` is one.
    """
    from entrypoint import options

    named = os.environ.get(CLOUDS_FILE) or os.environ.get(CLOUD)
    if named or Path(DEFAULT_CLOUDS_FILE).exists():
        return cloud_token()
    config = options.load()
    options.require_auth_strategy(config)
    if config.api.auth_strategy == "noauth2":
        return NOAUTH2_TOKEN
    # Imported only here, because it takes long to load.
    from keystoneauth1 import exceptions

    from entrypoint import keystone

    try:
        return keystone.new_token(config)
    except exceptions.ClientException as error:
        raise StartError(f"Keystone issued no token: {error}") from error


def cloud_token() -> str:
    """Return a token of the user in clouds.yaml."""
    # Imported only here, because it takes long to load.
    from keystoneauth1 import exceptions

    from entrypoint import clouds

    cloud = clouds.load()
    try:
        return str(cloud.session.get_token())
    except exceptions.ClientException as error:
        raise StartError(f"Keystone issued no token for {cloud.name}: {error}") from error


def print_token() -> None:
    """Print a token for tests: of a cloud, of Placement's own user, or `admin` with noauth2."""
    print(token())


def smoke_test(url: str = "") -> None:
    """Test that a running Placement answers, accepts a token and reaches its database."""
    pool = urllib3.PoolManager()
    if not url:
        scheme = "https" if os.environ.get("TLS_CERT") else "http"
        url = f"{scheme}://127.0.0.1:{os.environ.get('PORT') or '80'}"
        # The certificate of this container is valid for another name.
        pool = urllib3.PoolManager(cert_reqs="CERT_NONE")
        urllib3.disable_warnings()
    url = base_url(url)
    [version] = json.loads(get(pool, url, "/", {}))["versions"]
    print(f"version: {version['id']}, up to {version['max_version']}", flush=True)
    given = headers(version["max_version"])
    traits = json.loads(get(pool, url, "/traits", given))["traits"]
    print(f"token and database: accepted, {len(traits)} traits")
    # Placement checks the role first, and then refuses the empty object.
    if (
        given["x-auth-token"] != NOAUTH2_TOKEN
        and send(pool, "POST", url, RESHAPER, given).status == 403
    ):
        print("warning: role: the user lacks the role service, which Nova's user needs to reshape")


def load_test(url: str, clients: str, seconds: str) -> None:
    """Put load on a running Placement, and print the results of each second as a line of JSON.

    The last line has the results of all seconds.
    """
    url = base_url(url)
    number, duration = whole_number("CLIENTS", clients), whole_number("SECONDS", seconds)
    send = functools.partial(
        get, urllib3.PoolManager(maxsize=number), url, headers=headers("latest")
    )
    results: queue.SimpleQueue[Result] = queue.SimpleQueue()
    start = time.monotonic()
    threads = [
        threading.Thread(target=send_requests, args=(send, start + duration, results))
        for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    all_times: list[float] = []
    for second in itertools.count(1):
        time.sleep(max(0, start + second - time.monotonic()))
        is_over = not any(thread.is_alive() for thread in threads)
        finished = [results.get() for _ in range(results.qsize())]
        reasons = [reason for _, reason in finished if reason]
        times = [time for time, reason in finished if not reason]
        all_times += times
        line = {
            "second": second,
            "requests": len(finished),
            "failures": len(reasons),
            "reason": reasons[0] if reasons else None,
            **percentiles(times),
        }
        print(json.dumps(line), flush=True)
        if is_over:
            break
    print(json.dumps(percentiles(all_times)), flush=True)


def send_requests(
    send: Callable[[str], bytes], end: float, results: queue.SimpleQueue[Result]
) -> None:
    """Send one request after the other, and record each one's time and failure."""
    for path in itertools.cycle(PATHS):
        start = time.monotonic()
        if start >= end:
            return
        reason = None
        try:
            send(path)
        except StartError as error:
            reason = str(error)
        results.put((time.monotonic() - start, reason))
        if reason:
            time.sleep(PAUSE)


def percentiles(times: list[float]) -> dict[str, float | None]:
    """Return in how many milliseconds 50, 95 and 99 percent of the requests were answered."""
    ordered = sorted(times)
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1}
    return {
        name: round(1000 * ordered[math.ceil(share * len(ordered)) - 1], 1) if ordered else None
        for name, share in shares.items()
    }


def base_url(url: str) -> str:
    """Return the URL that paths are appended to; refuse one that is not HTTP or HTTPS."""
    if not url.startswith(("http://", "https://")):
        raise StartError(f"{url} is not a URL: write it as http://HOST:PORT")
    return url.rstrip("/")


def headers(version: str) -> dict[str, str]:
    """Return the headers of a request with a token."""
    return {"x-auth-token": token(), "openstack-api-version": f"placement {version}"}


def get(pool: urllib3.PoolManager, url: str, path: str, headers: dict[str, str]) -> bytes:
    """Return what Placement answers, or raise an error that contains the answer."""
    answer = send(pool, "GET", url, path, headers)
    if answer.status != 200:
        text = textwrap.shorten(answer.data.decode(errors="replace"), 400)
        raise StartError(f"GET {path}: {answer.status} {text}")
    return bytes(answer.data)


def send(
    pool: urllib3.PoolManager, method: str, url: str, path: str, headers: dict[str, str]
) -> Any:
    """Send a request, with an empty object if it is a POST, and return the response."""
    body = "{}" if method == "POST" else None
    headers = {**headers, "content-type": "application/json"} if body else headers
    try:
        return pool.request(
            method,
            url + path,
            body=body,
            headers=headers,
            timeout=TIMEOUT,
            retries=False,
            redirect=False,
        )
    except urllib3.exceptions.HTTPError as error:
        raise StartError(f"{method} {url}{path} failed: {error}") from error
