"""Put load on a Placement: `load-pod.py ASK URL CLIENTS SECONDS`; ASK is the text of ask.py.

For the Python of Placement's image. Each second ends with a line of JSON on what was answered in
it; the last line is on all of them.
"""

import itertools
import json
import math
import queue
import subprocess
import sys
import textwrap
import threading
import time

import urllib3

# Reads of several kinds, which keep Placement and its database busy even where they hold no data.
PATHS = (
    "/",
    "/resource_providers",
    "/allocation_candidates?resources=VCPU:1&limit=100",
    "/resource_classes",
    "/traits",
)
# How long to wait for an answer, and after a failure, lest failures alone keep everyone busy.
TIMEOUT = 30
PAUSE = 0.1


def token(ask: str) -> str:
    """Return a token as ask.py gets it, which has said why if there is none."""
    asked = subprocess.run([sys.executable, "-Ic", ask], stdout=subprocess.PIPE, check=False)
    if asked.returncode:
        sys.exit(asked.returncode)
    return asked.stdout.decode().strip()


def failure(pool: urllib3.HTTPConnectionPool, path: str, headers: dict[str, str]) -> str | None:
    """Ask for a path, and return what went wrong."""
    try:
        answer = pool.request("GET", path, headers=headers, timeout=TIMEOUT, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return f"GET {path}: {error}"
    if answer.status != 200:
        text = textwrap.shorten(answer.data.decode(errors="replace"), 400)
        return f"GET {path}: {answer.status} {text}"
    return None


def client(
    pool: urllib3.HTTPConnectionPool, headers: dict[str, str], end: float, done: queue.SimpleQueue
) -> None:
    """Ask again and again, and put down how long each answer took and what was wrong with it."""
    for path in itertools.cycle(PATHS):
        start = time.monotonic()
        if start >= end:
            return
        reason = failure(pool, path, headers)
        done.put((time.monotonic() - start, reason))
        if reason:
            time.sleep(PAUSE)


def latencies(seconds: list[float]) -> dict[str, float | None]:
    """Return within how many milliseconds which share of the answers came."""
    ordered = sorted(seconds)
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1}
    return {
        name: round(1000 * ordered[math.ceil(share * len(ordered)) - 1], 1) if ordered else None
        for name, share in shares.items()
    }


def tell(**what: object) -> None:
    """Print a line that is read at once."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """Do what the arguments say."""
    ask, url, clients, seconds = sys.argv[1:]
    headers = {"x-auth-token": token(ask), "openstack-api-version": "placement latest"}
    pool = urllib3.connection_from_url(url, maxsize=int(clients))
    done: queue.SimpleQueue = queue.SimpleQueue()
    start = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(pool, headers, start + int(seconds), done))
        for _ in range(int(clients))
    ]
    for thread in threads:
        thread.start()
    took_all: list[float] = []
    for second in itertools.count(1):
        time.sleep(max(0, start + second - time.monotonic()))
        over = not any(thread.is_alive() for thread in threads)
        answers = [done.get() for _ in range(done.qsize())]
        reasons = [reason for _, reason in answers if reason]
        took = [seconds for seconds, reason in answers if not reason]
        took_all += took
        tell(
            second=second,
            requests=len(answers),
            failures=len(reasons),
            reason=reasons[0] if reasons else None,
            **latencies(took),
        )
        if over:
            break
    tell(**latencies(took_all))


main()
