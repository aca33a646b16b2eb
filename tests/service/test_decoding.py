"""The pool of decoders: whatever a worker answers, it is replaced and its turn comes back."""

import subprocess
from collections.abc import Iterator

import pytest

from ladnn.errors import ImageError
from ladnn.imaging import LONGER_SIDE
from ladnn.phantom import thorax
from ladnn.service.decoding import DecodingPool, _Worker
from synthetic import encode

SCAN = encode(thorax(0, size=(48, 52)), "PNG")
HEAD = {"shape": [4, 4], "window": None, "size": [4, 4], "burned_in": False} | dict.fromkeys(
    ("sha256", "format", "series", "study", "instance", "frame", "frames")
)


@pytest.fixture
def pool() -> Iterator[DecodingPool]:
    found = DecodingPool(b"x" * 32, workers=1)
    yield found
    found.close()


@pytest.mark.parametrize(
    "answer",
    [
        (HEAD | {"shape": [float("inf"), 1]}, b""),
        (HEAD | {"shape": [-1, 4]}, bytes(16)),
        (HEAD | {"shape": [LONGER_SIDE + 1, 1]}, bytes(LONGER_SIDE + 1)),
        (HEAD, b"three"),
        ({}, b""),
    ],
    ids=["infinite", "negative", "too large", "too little", "empty"],
)
def test_an_answer_that_cannot_be_is_a_sentence_and_its_worker_is_replaced(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch, answer: tuple[dict[str, object], bytes]
):
    [before] = pool.pids()
    with monkeypatch.context() as patched:
        patched.setattr(_Worker, "ask", lambda *_: answer)
        with pytest.raises(ImageError, match="to decode"):
            pool.decode(SCAN, name="x")
    assert pool.pids() != [before]
    assert pool.decode(SCAN).image.pixels.shape == (48, 52)


def kill(pool: DecodingPool) -> None:
    [worker] = pool._workers
    worker._process.kill()
    worker._process.wait()


def test_a_worker_that_died_is_replaced(pool: DecodingPool):
    pool.decode(SCAN)
    kill(pool)
    assert pool.decode(SCAN).image.pixels.shape == (48, 52)


def test_the_turn_of_a_worker_that_cannot_be_started_comes_back(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch
):
    pool.decode(SCAN)
    kill(pool)

    def full(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", full)
        for _ in range(2):
            with pytest.raises(OSError, match="Too many open files"):
                pool.decode(SCAN)
    assert pool.decode(SCAN).image.pixels.shape == (48, 52)
