"""Mutations, bombs and names that would leave: no crash, no answer of our own failing, no file."""

import contextlib
import io
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hostile import bombs, mutated, sources, traversals, zipped
from sites import Site

from ladnn.errors import DataError, ImageError
from ladnn.service.decoding import DecodingPool
from ladnn.sources.archives import members
from synthetic import encode

SOAK = bool(os.environ.get("LADNN_SOAK"))
SOURCES = sources()
BOMBS = bombs()
SLOW = ("JPEG of endless comments", "PNG of 400,000 chunks", "DICOM of 500,000 items")
RESTING = 512  # MiB that a worker may hold above what it holds at rest


def worker_peaks(pool: DecodingPool) -> list[float]:
    """The most memory that each of the pool's workers ever held, in MiB."""
    peaks = []
    for pid in pool.pids():
        status = Path(f"/proc/{pid}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    return peaks


def unpack(data: bytes) -> None:
    with contextlib.suppress(DataError):
        for _ in members(io.BytesIO(data), total=300 << 20):
            pass


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
def test_a_bomb_is_defused_within_ten_seconds(decoder: DecodingPool, name: str):
    data = BOMBS[name]
    started = time.monotonic()
    with contextlib.suppress(ImageError):
        decoder.decode(data, name="x")
    if data.startswith(b"PK"):
        unpack(data)
    assert time.monotonic() - started < 12  # the limit, and a busy machine
    assert all(peak < RESTING + 120 for peak in worker_peaks(decoder))


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


@pytest.mark.parametrize("name", [name for name in BOMBS if name not in SLOW][:: 1 if SOAK else 6])
def test_the_interface_answers_a_bomb_with_a_problem(page: Site, name: str):
    answer = page.client.post("/api/v1/predictions", files={"file": ("x", BOMBS[name])})
    assert answer.status_code in (201, 413, 422)


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
