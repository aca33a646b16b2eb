"""The site under load for long: every test is answered, and its memory does not grow."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from sites import Replica, needs

from bundles import tiny_bundle
from ladnn.phantom import thorax
from synthetic import encode

CONNECTIONS = 8
PROCESSES = Path("/proc")


def family(pid: int) -> Iterator[int]:
    """A process and all that it started, and they."""
    parents = {int(path.name): parent_of(path) for path in PROCESSES.glob("[0-9]*")}
    young = [pid]
    while young:
        parent = young.pop()
        yield parent
        young += [child for child, its in parents.items() if its == parent]


def parent_of(process: Path) -> int | None:
    """Its parent; None where it ended meanwhile."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def memory(pid: int) -> int:
    """Bytes of a process and all that it started, what they share counted once.

    Of files that are mapped nothing counts: that share falls when any other program on the machine
    maps the same libraries.
    """
    return sum(share_of(one) for one in family(pid))


def share_of(pid: int) -> int:
    """Bytes of one process; none where it ended meanwhile."""
    try:
        rollup = (PROCESSES / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    fields = (rollup.partition(f"\n{kind}:")[2].split()[0] for kind in ("Pss_Anon", "Pss_Shmem"))
    return sum(map(int, fields)) << 10


def test_memory_counts_the_children_too():
    here = threading.current_thread().native_id
    needs((PROCESSES / "self" / "smaps_rollup").exists(), "Linux's account of memory")
    assert here is not None
    assert here in family(here)
    assert memory(here) > 10 << 20


class Load:
    """Tests by eight connections, each of bytes that were never sent, until it is told to stop."""

    def __init__(self, address: str) -> None:
        self._address, self._image = address, encode(thorax(0, size=(512, 512)), "PNG")
        self._count, self._over = count(), threading.Event()
        self.answers: Counter[int | str] = Counter()
        self._threads = [threading.Thread(target=self._send) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with httpx.Client(base_url=self._address, timeout=60) as client:
            while not self._over.is_set():
                data = self._image + str(next(self._count)).encode()
                self.answers[self._ask(client, data)] += 1

    def _ask(self, client: httpx.Client, data: bytes) -> int | str:
        try:
            answer = client.post("/api/v1/predictions", files={"file": ("a.png", data)})
        except httpx.HTTPError as error:
            return type(error).__name__
        return answer.status_code

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize(
    ("bundle", "seconds", "growth"),
    [
        (None, 12.0, 0.10),  # a site that has just started still fills its caches
        pytest.param("default", 600.0, 0.02, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_memory_is_flat_in_the_second_half(
    bundle: str | None, seconds: float, growth: float, tmp_path: Path
):
    needs((PROCESSES / "self" / "smaps_rollup").exists(), "Linux's account of memory")
    shown = bundle or str(tiny_bundle(tmp_path / "bundle"))
    url, files = f"sqlite:///{tmp_path}/site.db", str(tmp_path / "files")
    site = Replica(("--database-url", url, "--storage", files, "--bundle", shown), tmp_path)
    try:
        site.start()
        site.wait()
        assert site.process is not None
        load = Load(site.address)
        time.sleep(seconds / 2)
        half = memory(site.process.pid)
        time.sleep(seconds / 2)
        whole = memory(site.process.pid)
        load.stop()
    finally:
        site.kill()
    print(f"{load.answers}: {half >> 20} MiB after a half, {whole >> 20} MiB at the end")
    assert set(load.answers) == {201}
    assert sum(load.answers.values()) > CONNECTIONS * seconds / 10
    assert whole < half * (1 + growth)
