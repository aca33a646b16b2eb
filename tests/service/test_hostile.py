"""Mutations, bombs and names that would leave: no crash, no answer of our own failing, no file."""

import contextlib
import io
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import httpx
import numpy as np
import pytest
from hostile import archive_bombs, bombs, misplaced, mutated, nameless, sources, traversals, zipped
from sites import Replica, Site
from test_collection import give
from test_site_batches import add, begin, drain, states

from bundles import tiny_bundle
from ladnn.errors import DataError, ImageError
from ladnn.service.decoding import DecodingPool
from ladnn.sources.archives import members, unpacked
from synthetic import encode

SOAK = bool(os.environ.get("LADNN_SOAK"))
SOURCES = sources()
BOMBS = bombs()
SECONDS = 10.0  # that a hostile file may take
SLOW = ("JPEG of endless comments", "PNG of 400,000 chunks", "DICOM of 500,000 items")
GROWTH = 512  # MiB that a process may hold above what it holds at rest


def peak(pid: int) -> float:
    """The most memory that a process ever held, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@pytest.fixture(scope="module")
def resting() -> Iterator[float]:
    """What a worker holds that has decoded nothing but one small picture, in MiB."""
    pool = DecodingPool(b"secret", workers=1)
    pool.decode(SOURCES["PNG"])
    yield peak(pool.pids()[0])
    pool.close()


def unpack(data: bytes) -> None:
    with contextlib.suppress(DataError):
        for _ in members(io.BytesIO(data), total=300 << 20):
            pass


TWO = zipped(("a/1.png", SOURCES["PNG"]), ("b/1.png", SOURCES["PNG"]))


def on_disk(data: bytes) -> BinaryIO:
    """The same as a real file, which the system seeks in."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.write(data)
    return file


@pytest.mark.parametrize("offset", [1 << 40, 1 << 62, 1 << 63])
@pytest.mark.parametrize("stream", [io.BytesIO, on_disk])
def test_a_file_of_an_archive_that_lies_beyond_its_end_is_told_and_the_others_go_on(
    offset: int, stream: Callable[[bytes], BinaryIO]
):
    with stream(misplaced(TWO, offset)) as archive:
        first, second = members(archive)
    assert (first.data, first.problem) == (SOURCES["PNG"], "")
    assert (second.data, second.problem) == (b"", "is damaged in the archive: pack it again")


def test_a_file_of_an_archive_without_a_name_is_told_and_the_others_go_on():
    first, second = members(io.BytesIO(nameless(TWO)))
    assert (first.name, first.problem) == ("1.png", "")
    assert (second.name, bool(second.problem)) == ("a file without a name", True)


def test_a_forged_archive_is_imported_or_refused_in_one_sentence(tmp_path: Path):
    path, chance = tmp_path / "x.zip", random.Random(1)
    whole = zipped(*((f"{name}.png", SOURCES["PNG"][:99]) for name in "ab"))
    said = []
    for data in (misplaced(whole), nameless(whole), *(mutated(whole, chance) for _ in range(200))):
        path.write_bytes(data)
        with contextlib.suppress(DataError):
            unpacked(path, tmp_path / "out")
            continue
        said.append(data)
    assert 0 < len(said) < 202
    assert {there.name for there in tmp_path.iterdir()} == {"x.zip", "out"}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    "count", [pytest.param(10_000 // len(SOURCES) + 1, marks=pytest.mark.soak), 12]
)
def test_a_mutated_file_is_decoded_or_refused_in_one_sentence(
    decoder: DecodingPool, kind: str, count: int
):
    chance = random.Random(f"{kind} {count}")
    for _ in range(count):
        data = mutated(SOURCES[kind], chance)
        if kind == "zip":
            unpack(data)
        assert sane(decoder, data)


def sane(pool: DecodingPool, data: bytes) -> bool:
    """Whether a file becomes an image or one sentence."""
    try:
        pixels = pool.decode(data, name="x").image.pixels
    except ImageError as error:
        return str(error).startswith("x ") and "\n" not in str(error)
    return pixels.dtype == np.uint8 and pixels.ndim == 2


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak if name in SLOW else ()) for name in BOMBS]
)
def test_a_bomb_is_defused_within_ten_seconds(decoder: DecodingPool, resting: float, name: str):
    data = BOMBS[name]
    started = time.monotonic()
    with contextlib.suppress(ImageError):
        decoder.decode(data, name="x")
    if data.startswith(b"PK"):
        unpack(data)
    # One that uses its ten seconds up is ended then, and another process takes its place.
    assert time.monotonic() - started < SECONDS + (2 if name in SLOW else 0)
    assert all(peak(pid) < resting + GROWTH for pid in decoder.pids())


@pytest.mark.timeout(300)  # a site that starts, and eight bombs of up to ten seconds
def test_the_process_that_unpacks_an_archive_bomb_stays_small_and_quick(tmp_path: Path):
    where = ("--database-url", f"sqlite:///{tmp_path}/site.db", "--storage", f"{tmp_path}/files")
    site = Replica((*where, "--bundle", str(tiny_bundle(tmp_path / "bundle"))), tmp_path)
    try:
        site.start()
        site.wait()
        assert site.process is not None
        before, took = peak(site.process.pid), dict[str, float]()
        with httpx.Client(base_url=site.address, timeout=60) as client:
            for name, data in archive_bombs().items():
                batch = client.post("/api/v1/batches").json()["id"]
                started = time.monotonic()
                files = {"file": ("all.zip", data)}
                answer = client.post(f"/api/v1/batches/{batch}/items", files=files)
                took[name] = time.monotonic() - started
                assert answer.status_code in (201, 202, 422), name
                client.post(f"/api/v1/batches/{batch}/cancel")  # so that the next is alone
        growth = peak(site.process.pid) - before
    finally:
        site.kill()
    print(f"{growth:.0f} MiB above {before:.0f}; {max(took.values()):.1f} s at most; {took}")
    assert len(took) == 8
    assert growth < GROWTH
    assert max(took.values()) < SECONDS, took


def test_there_are_forty_bombs_and_two_hundred_names():
    assert (len(BOMBS), len(set(traversals()))) == (40, 200)


def test_no_name_of_an_upload_makes_a_file_outside_the_store(page: Site, scan: bytes):
    root = Path(page.services.settings.storage).parent
    before = _outside(root)
    for name in traversals() if SOAK else traversals()[::8]:
        shown = name.encode("utf-8", "replace").decode()[:1000]
        answer = page.client.post("/api/v1/predictions", files={"file": (shown, scan)})
        assert answer.status_code < 500
    assert _outside(root) == before


def _outside(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if "files" not in path.parts and path.is_file()}


def test_no_name_in_an_archive_is_a_path():
    data = zipped(*((name.replace("\0", "0"), b"x") for name in traversals() if name.strip("./ ")))
    for member in members(io.BytesIO(data)):
        assert "/" not in member.name
        assert member.name not in ("..", ".")


def test_an_archive_that_unpacks_to_what_no_images_would_is_refused_on_the_way():
    data, seen = BOMBS["zip of 1,000 members that share 10 MB"], list[int]()
    with pytest.raises(DataError, match="more than 100 times its size"):
        seen.extend(len(member.data) for member in members(io.BytesIO(data)))
    assert 100 * len(data) < sum(seen) <= 128 << 20


QUICK = [name for name in BOMBS if name not in SLOW]
SOME = [name for name in QUICK if SOAK or "zip" in name or QUICK.index(name) % 6 == 0]


@pytest.mark.parametrize("name", SOME)
def test_the_interface_answers_a_bomb_with_a_problem(page: Site, name: str):
    answer = page.client.post("/api/v1/predictions", files={"file": ("x", BOMBS[name])})
    assert answer.status_code in (201, 413, 422)


@pytest.mark.parametrize("name", SOME)
def test_a_batch_takes_or_refuses_a_bomb_and_goes_on(page: Site, scan: bytes, name: str):
    batch = begin(page)
    assert add(page, batch, ("x", BOMBS[name])).status_code in (201, 202, 422)
    assert add(page, batch, ("a.png", scan)).status_code == 201
    drain(page)
    said = states(page, batch)
    assert (said["waiting"], said["done"] + said["failed"]) == (0, said["total"])


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("count", [pytest.param(60, marks=pytest.mark.soak), 4])
def test_every_door_answers_a_mutated_file(page: Site, kind: str, count: int):
    chance, batch = random.Random(f"doors {kind} {count}"), begin(page)
    for number in range(count):
        data = mutated(SOURCES[kind], chance)
        alone = page.client.post("/api/v1/predictions", files={"file": ("x", data)})
        assert alone.status_code in (201, 422), alone.text
        assert give(page, data, patient=f"P-{number}").status_code in (201, 422)
        within = zipped(("a", data), ("b/c", SOURCES["PNG"]))
        for sent in (data, within, mutated(within, chance)):
            assert add(page, batch, ("x", sent)).status_code in (200, 201, 202, 422)
    drain(page)
    said = states(page, batch)
    assert (said["waiting"], said["done"] + said["failed"]) == (0, said["total"])
    assert said["done"] >= 1  # the honest picture beside the others


def test_a_file_that_kills_its_worker_gets_a_sentence_and_the_next_an_answer(scan: bytes):
    pool = DecodingPool(b"secret", workers=1)
    try:
        pool.decode(scan)
        first = pool.pids()
        os.kill(first[0], 9)
        os.waitid(os.P_PID, first[0], os.WEXITED | os.WNOWAIT)
        assert pool.decode(scan).image.format == "PNG"
        assert pool.pids() != first
    finally:
        pool.close()


def test_a_worker_may_not_use_more_memory_than_its_limit():
    pool = DecodingPool(b"secret", workers=1)
    try:
        pool.decode(encode(np.zeros((40, 40), np.uint8), "PNG"))
        limits = Path(f"/proc/{pool.pids()[0]}/limits").read_text().splitlines()
        limited = {line[:26].strip(): line[26:].split() for line in limits[1:]}
        held = int(Path(f"/proc/{pool.pids()[0]}/statm").read_text().split()[0]) * 4096
        assert int(limited["Max address space"][0]) < held + (520 << 20)
        assert limited["Max core file size"][0] == "0"
        assert limited["Max file size"][0] == "0"
        assert int(limited["Max cpu time"][0]) < 20
    finally:
        pool.close()
