"""The pool of decoders: whatever a worker answers, it is replaced and its turn comes back."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sites import Site
from structlog.testing import capture_logs

from bundles import tiny_card
from ladnn.errors import ImageError
from ladnn.imaging import LONGER_SIDE
from ladnn.looks import take_look
from ladnn.phantom import thorax
from ladnn.service import decoding_worker
from ladnn.service.decoding import DecodingPool, _Worker
from ladnn.service.decoding_worker import FIELD_NUMBERS
from ladnn.service.deidentify import Key
from ladnn.service.errors import DecoderError
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


def refuses(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch, answer: object, ask: Callable[[], object]
) -> None:
    """What is asked ends in one sentence and another worker where the worker answers so."""
    [before] = pool.pids()
    with monkeypatch.context() as patched:
        patched.setattr(_Worker, "ask", lambda *_: answer)
        with pytest.raises(ImageError, match="to decode"):
            ask()
    assert pool.pids() != [before]


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
    refuses(pool, monkeypatch, answer, lambda: pool.decode(SCAN, name="x"))
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


CARD = tiny_card(b"", preprocessing="lungpair-1")


def test_a_look_is_the_one_that_would_be_taken_here(pool: DecodingPool):
    seen, here = pool.look(SCAN, CARD), take_look(thorax(0, size=(48, 52)), 32, "lungpair-1")
    assert np.array_equal(seen.look.square, here.square)
    assert np.array_equal(seen.look.evidence, here.evidence)
    assert seen.look.field == replace(here.field, mask=None)


def test_with_a_look_comes_what_is_known_and_kept_of_the_file_without_its_pixels(
    pool: DecodingPool,
):
    seen, decoded = pool.look(SCAN, CARD), pool.decode(SCAN)
    assert replace(decoded.image, pixels=seen.image.pixels) == seen.image
    assert (seen.stored, seen.image.pixels.size) == (decoded.stored, 0)


FIELD = {"box": [0, 0, 1, 1], "kind": "full"} | dict.fromkeys(FIELD_NUMBERS, 0.5)
EVIDENCE = take_look(thorax(0, size=(48, 52)), 32, "lungpair-1").evidence


def an_answer(evidence: NDArray[np.float32] = EVIDENCE, **field: object) -> tuple[object, bytes]:
    return HEAD | {"field": FIELD | field}, bytes(2 * 32 * 32) + evidence.tobytes()


def test_an_answer_with_a_look_is_read(pool: DecodingPool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_Worker, "ask", lambda *_: an_answer())
    assert pool.look(SCAN, CARD).look.evidence.tolist() == EVIDENCE.tolist()


@pytest.mark.parametrize(
    "answer",
    [
        an_answer(box=[0, 0, 2, 1]),
        an_answer(box=[float("nan"), 0, 1, 1]),
        an_answer(box=[0.5, 0, 0.5, 1]),
        an_answer(lung_share="x"),
        an_answer(EVIDENCE[1:]),
        an_answer(np.full_like(EVIDENCE, np.nan)),
        (HEAD, bytes(2 * 32 * 32) + EVIDENCE.tobytes()),
        (HEAD | {"field": FIELD}, b"three"),
        ({"fault": "P. Miller, born 1950", "trace": []}, b""),
        ({"fault": "ValueError", "trace": ["born:in 1950"]}, b""),
    ],
    ids=[
        *("outside", "nan", "thin", "text", "short", "no numbers", "no field", "no square"),
        *("no class", "no place"),
    ],
)
def test_a_look_that_cannot_be_is_a_sentence_and_its_worker_is_replaced(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch, answer: tuple[dict[str, object], bytes]
):
    refuses(pool, monkeypatch, answer, lambda: pool.look(SCAN, CARD))


def a_mistake() -> tuple[object, bytes]:
    """What a worker answers where our own code fails on an image that it decoded."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a value of the image")

    task = {"window": None, "frame": None, "name": "miller.png", "look": {}}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decoding_worker, "take_look", fail)
        [head] = decoding_worker._answer(task, SCAN, Key(secret=b"x" * 32))
    return head, b""


def test_a_mistake_of_ours_is_no_refusal_and_is_logged_by_its_class_and_place(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch
):
    [before] = pool.pids()
    monkeypatch.setattr(_Worker, "ask", lambda *_: a_mistake())
    with capture_logs() as lines, pytest.raises(DecoderError):
        pool.look(SCAN, CARD, name="miller.png")
    [line] = lines
    assert (line["event"], line["error"], pool.pids()) == ("decoder", "ZeroDivisionError", [before])
    assert line["trace"][-1].startswith("test_decoding.py:")
    assert "miller" not in str(line)
    assert "value" not in str(line)


def test_a_mistake_of_ours_is_answered_as_every_other_one(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_Worker, "ask", lambda *_: a_mistake())
    answer = page.client.post("/api/v1/predictions", files={"file": ("a.png", SCAN)})
    assert (answer.status_code, "it has been noted" in answer.json()["detail"]) == (500, True)


def test_memory_that_a_look_takes_too_much_of_is_the_doing_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding_worker, "take_look", fail)
    task = {"window": None, "frame": None, "name": "a.png", "look": {}}
    with pytest.raises(MemoryError):
        decoding_worker._answer(task, SCAN, Key(secret=b"x" * 32))
