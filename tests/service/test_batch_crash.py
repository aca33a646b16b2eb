"""Replicas killed and databases restarted in the middle of a batch: nothing lost, nothing twice."""

import hashlib
import math
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from sites import PostgreSql, Replica
from sqlalchemy import select
from test_site_batches import packed

from bundles import tiny_bundle
from ladnn.phantom import thorax
from ladnn.service.database import Database
from ladnn.service.tables import CaseImage
from synthetic import encode

AFTER_RESTART = 30.0  # seconds from the last restart until all is sent and done


class Sender:
    """Sends what is released, again and again until acknowledged, to whichever replica answers."""

    def __init__(self, replicas: list[Replica], requests: list[tuple[str, bytes]]) -> None:
        self._replicas, self._requests = replicas, requests
        self.acknowledged: set[str] = set()
        self.done = threading.Event()
        self._allowed = self._answered = 0
        self._released = threading.Semaphore(0)
        made = httpx.post(f"{replicas[0].address}/api/v1/batches", timeout=60)
        self.batch = made.json()["id"]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def release(self, share: float) -> None:
        """Let a share of all requests be sent, so that there is work at every kill."""
        count = min(math.ceil(share * len(self._requests)), len(self._requests) - self._allowed)
        self._allowed += count
        for _ in range(count):
            self._released.release()

    def catch_up(self) -> None:
        """Wait until all that was released is acknowledged."""
        deadline = time.monotonic() + 240
        while self._answered < self._allowed:
            assert time.monotonic() < deadline, "what was released could not be sent"
            time.sleep(0.05)

    def _run(self) -> None:
        for number, (name, data) in enumerate(self._requests):
            self._released.acquire()
            for attempt in range(10_000):
                replica = self._replicas[(number + attempt) % len(self._replicas)]
                if self._sent(replica, name, data):
                    break
                time.sleep(0.1)
            self._answered += 1
        self.done.set()

    def _sent(self, replica: Replica, name: str, data: bytes) -> bool:
        address = f"{replica.address}/api/v1/batches/{self.batch}/items"
        try:
            answer = httpx.post(address, files={"file": (name, data)}, timeout=60)
        except httpx.TransportError:
            return False
        if answer.status_code not in (200, 201, 202):
            assert answer.status_code == 503, answer.text
            return False
        self.acknowledged.update(sha for item in answer.json()["items"] for sha in item["sha256"])
        return True


class Settled(NamedTuple):
    """Seconds from the last restart until what was acknowledged before it, and all, was done."""

    acknowledged: float
    all: float


def settled(replica: Replica, sender: Sender) -> Settled:
    """Wait until everything is sent and done; to be called when the last restart is over."""
    start, before = time.monotonic(), frozenset(sender.acknowledged)
    first = math.inf
    while (passed := time.monotonic() - start) < AFTER_RESTART:
        everything = sender.done.is_set()
        items = worked_through(replica, sender.batch)
        waiting = {sha for item in items if item["state"] != "done" for sha in item["sha256"]}  # type: ignore[attr-defined]
        if before.isdisjoint(waiting):
            first = min(first, passed)
            if everything and not waiting:
                return Settled(first, passed)
        time.sleep(0.2)
    pytest.fail(f"{len(waiting)} of {len(items)} wait, all {'is' if everything else 'is not'} sent")


def worked_through(replica: Replica, batch: str) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    path: str | None = f"/api/v1/batches/{batch}/items?limit=1000"
    while path:
        page = httpx.get(f"{replica.address}{path}", timeout=60).json()
        items += page["items"]
        path = page["next"]
    return items


def survive(
    replicas: list[Replica], url: str, images: int, kills: int, server: PostgreSql | None
) -> Settled:
    """Send, kill and restart; check what is left; the seconds that the rest took at the end."""
    chance = random.Random(20)
    files = [(f"{n}.png", encode(thorax(n, size=(48, 52)), "PNG")) for n in range(images)]
    half = images // 2
    archives = [packed(files[start : start + 25]) for start in range(half, images, 25)]
    requests = [("some.zip", archive) for archive in archives] + files[:half]
    chance.shuffle(requests)
    for replica in replicas:
        replica.start()
        replica.wait()
    sender = Sender(replicas, requests)
    for kill in range(kills):
        last = kill == kills - 1
        if last:  # so that the clock is for the last share and no more
            sender.catch_up()
        sender.release(1 / kills)
        time.sleep(chance.uniform(0.1, 1.0))
        victims = replicas if last else [replicas[kill % len(replicas)]]  # none goes on at the last
        for victim in victims:
            victim.kill()
        if server is not None and kill % 2:
            server.stop()
            time.sleep(chance.uniform(0, 0.5))
            server.start()
        for victim in victims:
            victim.start()
        for victim in victims:
            victim.wait()
    took = settled(replicas[0], sender)
    check(replicas[0], url, sender, files)
    return took


def check(replica: Replica, url: str, sender: Sender, files: list[tuple[str, bytes]]) -> None:
    items = worked_through(replica, sender.batch)
    hashes = sorted(hashlib.sha256(data).hexdigest() for _, data in files)
    assert {item["state"] for item in items} == {"done"}
    answered = sorted(sha for item in items for sha in item["sha256"])  # type: ignore[attr-defined]
    assert answered == hashes, "something that was acknowledged is lost"
    assert sender.acknowledged <= set(answered)
    database = Database(url)
    query = select(CaseImage.source_sha256)
    counted = Counter(database.read(lambda session: list(session.scalars(query))))
    database.dispose()
    assert set(counted.values()) == {1}, "something was answered twice"


@pytest.mark.parametrize(
    ("images", "kills"),
    [(30, 2), pytest.param(1000, 20, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_batch_survives_kills_at_random_moments(
    kind: str, images: int, kills: int, request: pytest.FixtureRequest, tmp_path: Path
):
    server = request.getfixturevalue("postgresql") if kind == "postgresql" else None
    url = server.fresh("prepared") if server else f"sqlite:///{tmp_path}/site.db"
    bundle = tiny_bundle(tmp_path / "bundle")
    storage = str(tmp_path / "files")
    options = ("--database-url", url, "--storage", storage, "--bundle", str(bundle))
    replicas = [Replica(options, tmp_path) for _ in range(2 if server else 1)]
    try:
        took = survive(replicas, url, images, kills, server)
        print(
            f"{kind}: all {images} sent and done {took.all:.1f} s after the last restart, what was "
            f"acknowledged before it {took.acknowledged:.1f} s after"
        )
    finally:
        for replica in replicas:
            replica.kill()
