"""A light load of reads and writes, and what became of it."""

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
# Each client waits so long between two requests: all of them send at most 20 in a second.
PAUSE = CLIENTS / 20
# A request that has no answer by then is taken to hang.
HANGS = 60
NO_ANSWER = 0


@dataclass(frozen=True)
class Request:
    """A request that was sent, its answer's status, and how long that took."""

    name: str
    status: int
    sent: float
    took: float

    @property
    def is_good(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300


@dataclass
class Load:
    """What was asked, and what was answered."""

    client: httpx.Client
    requests: list[Request] = field(default_factory=list)
    created: dict[str, bool] = field(default_factory=dict)
    stocked: dict[str, bool] = field(default_factory=dict)
    stop: Event = field(default_factory=Event)

    def ask(self, name: str, method: str, path: str, **more: object) -> bool:
        """Send a request and return whether it did what it was asked for."""
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
        """Make a provider, give it an inventory, and look at both, again and again."""
        while not self.stop.is_set():
            provider = str(uuid.uuid4())
            path = f"/resource_providers/{provider}"
            body = {"uuid": provider, "name": provider}
            self.created[provider] = self.ask("write", "POST", "/resource_providers", json=body)
            self.ask("read", "GET", f"/resource_providers?uuid={provider}")
            if self.created[provider]:
                stock = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 1}}}
                self.stocked[provider] = self.ask("write", "PUT", f"{path}/inventories", json=stock)
                self.ask("read", "GET", f"{path}/inventories")

    @property
    def longest(self) -> float:
        """How long the slowest request took."""
        return max(request.took for request in self.requests)

    def failed_after(self, moment: float) -> Counter[int]:
        """Return how many requests sent after this failed, by status; 0 is no answer at all."""
        sent = [request for request in list(self.requests) if request.sent >= moment]
        return Counter(request.status for request in sent if not request.is_good)

    @property
    def failed(self) -> Counter[int]:
        """How many requests failed in all, by status."""
        return self.failed_after(0)

    def good_after(self, moment: float) -> float:
        """Return how long after this the first good answer came, or infinity."""
        came = [it.sent + it.took - moment for it in list(self.requests) if it.is_good]
        return min((after for after in came if after >= 0), default=float("inf"))

    def wait_until_good_after(self, moment: float, seconds: float) -> None:
        """Wait for the first good answer after this, so long at most."""
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
        """Return the figures, of which the last counts from when the server was back."""
        failed = ", ".join(
            f"{n} of {status or 'no answer'}" for status, n in sorted(self.failed.items())
        )
        return (
            f"{len(self.requests)} | {failed or 'none'} | {self.longest:.1f} s"
            f" | {self.good_after(back):.1f} s"
        )

    def check_writes(self) -> None:
        """Fail if a write is lost that was said to be done, or one was done twice."""
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
    """Keep a few clients busy while the block runs."""
    load = Load(client)
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(load.work) for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            load.stop.set()
    for work in working:
        work.result()
