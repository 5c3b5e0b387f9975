"""A light load of reads and writes, and its results."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import httpx

CLIENTS = 4
# The pause of a client between two requests: together they send at most 20 requests a second.
PAUSE = CLIENTS / 20
# The timeout of a request, in seconds.
HANGS = 60
NO_ANSWER = 0


@dataclass(frozen=True)
class Request:
    """A request that was sent, the status of its answer, and the seconds until the answer."""

    name: str
    status: int
    sent: float
    took: float

    @property
    def is_good(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300


@dataclass
class Load:
    """The requests of all clients, and the providers that they created."""

    client: httpx.Client
    requests: list[Request] = field(default_factory=list)
    created: dict[str, bool] = field(default_factory=dict)
    stocked: dict[str, bool] = field(default_factory=dict)
    stop: Event = field(default_factory=Event)

    def send(self, name: str, method: str, path: str, **more: object) -> bool:
        """Send a request, and return whether it succeeded."""
        sent = time.monotonic()
        try:
            response = self.client.request(method, path, timeout=HANGS, **more)  # type: ignore[arg-type]
            status = response.status_code
        except httpx.TransportError:
            status = NO_ANSWER
        request = Request(name, status, sent, time.monotonic() - sent)
        self.requests.append(request)
        self.stop.wait(PAUSE)
        return request.is_good

    def work(self) -> None:
        """Create providers with an inventory, and read them, until the load stops."""
        while not self.stop.is_set():
            provider = str(uuid.uuid4())
            path = f"/resource_providers/{provider}"
            body = {"uuid": provider, "name": provider}
            self.created[provider] = self.send("write", "POST", "/resource_providers", json=body)
            self.send("read", "GET", f"/resource_providers?uuid={provider}")
            if self.created[provider]:
                stock = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 1}}}
                self.stocked[provider] = self.send(
                    "write", "PUT", f"{path}/inventories", json=stock
                )
                self.send("read", "GET", f"{path}/inventories")

    @property
    def longest(self) -> float:
        """Return the seconds of the slowest request."""
        return max(request.took for request in self.requests)

    def failed_after(self, moment: float) -> Counter[int]:
        """Count the failures of requests sent after a moment, by status; 0 means no answer."""
        sent = [request for request in list(self.requests) if request.sent >= moment]
        return Counter(request.status for request in sent if not request.is_good)

    @property
    def failed(self) -> Counter[int]:
        """Count all failed requests, by status."""
        return self.failed_after(0)

    def good_after(self, moment: float) -> float:
        """Return the seconds from a moment to the next good answer, or infinity."""
        came = [r.sent + r.took - moment for r in list(self.requests) if r.is_good]
        return min((after for after in came if after >= 0), default=float("inf"))

    def wait_until_good_after(self, moment: float, seconds: float) -> None:
        """Wait for the first good answer after a moment, at most this many seconds."""
        while self.good_after(moment) == float("inf"):
            assert time.monotonic() < moment + seconds, f"no good answer in {seconds} s"
            time.sleep(0.05)

    def wait_for_good_requests(self, count: int, moment: float, seconds: float) -> None:
        """Wait until this many requests that were sent after this moment have succeeded."""
        end = time.monotonic() + seconds
        while sum(r.is_good for r in list(self.requests) if r.sent >= moment) < count:
            assert time.monotonic() < end, f"fewer than {count} good answers in {seconds} s"
            time.sleep(0.05)

    def row(self, back: float) -> str:
        """Return the figures; the last one counts from when the server is back."""
        failed = ", ".join(
            f"{n} of {status or 'no answer'}" for status, n in sorted(self.failed.items())
        )
        return (
            f"{len(self.requests)} | {failed or 'none'} | {self.longest:.1f} s"
            f" | {self.good_after(back):.1f} s"
        )

    def check_writes(self) -> None:
        """Check that every write that succeeded is there, and that none was done twice."""
        listed = self.client.get("/resource_providers").json()["resource_providers"]
        generations = {provider["uuid"]: provider["generation"] for provider in listed}
        assert len(listed) == len(generations)
        stocked = self.client.get(
            "/resource_providers?resources=VCPU:1",
            headers={"openstack-api-version": "placement 1.4"},
        )
        with_inventory = {provider["uuid"] for provider in stocked.json()["resource_providers"]}
        assert {name for name, done in self.created.items() if done} <= generations.keys()
        for name, done in self.stocked.items():
            assert generations[name] == (name in with_inventory), name
            assert name in with_inventory or not done, name


@contextmanager
def light_load(client: httpx.Client) -> Iterator[Load]:
    """Run a few clients while the block runs."""
    load = Load(client)
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(load.work) for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            load.stop.set()
    for work in working:
        work.result()
