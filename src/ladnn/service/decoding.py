"""Decodes what came in, in processes of their own: hostile bytes never meet a decoder here.

Each worker is a fresh Python (`decoding_worker`) with limits on memory, processor time and wall
time. One that dies, overruns or answers nonsense is replaced, and its file gets one sentence.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ladnn.bundle import Card
from ladnn.errors import ImageError
from ladnn.imaging import LIMITS, LONGER_SIDE, CtImage, Window, one_sentence
from ladnn.looks import Look, take_look
from ladnn.lungfield import FRAMES, LungField, input_shape
from ladnn.service.context import Decoded, Seen
from ladnn.service.decoding_worker import FIELD_NUMBERS, receive, send
from ladnn.service.errors import DecoderError
from ladnn.service.logs import log
from ladnn.turns import Turns

SECONDS = 10
"""What one file may take, of the clock and of the processor."""

MEMORY = 512 << 20
"""Bytes that decoding may take, beside what a worker holds when it has nothing to do."""

_KEPT = 16 << 20
"""Bytes of freed memory that a worker keeps for the next file; larger pieces go back at once."""

START_SECONDS = 60.0
TASKS = 2000
"""After so many files a worker is replaced, so that what a library leaks does not add up."""

_FAILED = (
    f"takes more than {SECONDS} s or {MEMORY >> 20} MiB to decode: save it again as PNG or JPEG"
)
_MOST = 2 * LIMITS.bytes + 256 * (1 << 20)

_PLACE = r"[\w.-]{1,80}:\d{1,6} [\w<>]{1,80}"
"""One of `errors.places`; what a worker that was taken over writes else does not reach the log."""

Answer = TypeVar("Answer")
_Reader: TypeAlias = Callable[[dict[str, Any], bytes], Answer]


class _Fault(NamedTuple):
    """A mistake of ours in a worker: the class of the exception and where it passed."""

    error: str
    trace: list[str]


class DecodingPool:
    """Worker processes that decode; safe to call from any thread.

    Args:
        secret: of the site; the keys of de-identification derive from it.
        workers: processes; None takes one for each processor, at most four.
    """

    def __init__(self, secret: bytes, *, workers: int | None = None) -> None:
        self._workers = [_Worker(secret) for _ in range(workers or min(4, os.cpu_count() or 1))]
        self._idle = Turns[_Worker | None](*self._workers)

    def decode(
        self,
        data: bytes,
        *,
        name: str = "",
        window: Window | None = None,
        frame: int | None = None,
        whose: str = "",
    ) -> Decoded:
        """Decode one file; waits for a worker. `window` None means the lung window.

        Those of different people take turns, whoever `whose` says that they are.

        Raises ImageError: one sentence.
        """
        task = {"window": _numbers(window), "frame": frame}
        return self._ask(task, data, name, whose, _decoded)

    def look(
        self,
        data: bytes,
        card: Card,
        *,
        name: str = "",
        frame: int | None = None,
        whose: str = "",
    ) -> Seen:
        """Decode one file in the lung window and look at it as the card says; waits for a worker.

        The look is taken there because threads of one Python that do much arithmetic hinder each
        other: under load it costs a quarter more here.

        Raises ImageError, one sentence, and DecoderError for a mistake of the program's own.
        """
        wanted = {"size": card.input_size, "frame": card.preprocessing}
        shape = input_shape(card.input_size, card.preprocessing)
        task = {"window": None, "frame": frame, "look": wanted}
        return self._ask(task, data, name, whose, partial(_seen, shape=shape))

    def _ask(
        self, task: dict[str, Any], data: bytes, name: str, whose: str, read: _Reader[Answer]
    ) -> Answer:
        """Give a file to the worker whose turn it is and read its answer."""
        name = name.encode("utf-8", "replace").decode()  # half a surrogate could not be answered
        with self._idle.held(whose) as worker:
            if worker is None:
                raise RuntimeError("the decoder was closed")
            if not worker.alive:
                worker.restart()
            try:
                head, body = worker.ask(task | {"name": name}, data[: LIMITS.bytes + 1])
                fault = _fault(head) if "fault" in head else None
                answer = None if fault or "error" in head else read(head, body)
            except Exception:  # hostile bytes may have chosen the answer, and so the error
                worker.renew()
                with one_sentence(name):
                    raise ImageError(_FAILED) from None
            if worker.tasks >= TASKS:
                worker.renew()
        if fault is not None:
            log().error("decoder", error=fault.error, trace=fault.trace)
            raise DecoderError(fault.error)
        if answer is None:
            raise ImageError(str(head["error"]))
        return answer

    def pids(self) -> list[int]:
        """The processes, for whoever watches them."""
        return [worker.pid for worker in self._workers]

    def close(self) -> None:
        """End the workers; those at work end with their file."""
        for _ in self._workers:
            worker = self._idle.get()
            if worker is None:  # closed before
                break
            worker.end()
        self._idle.put(None)


class _Worker:
    """One process and the socket to it; one thread at a time."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._start()

    def _start(self) -> None:
        self._link, other = socket.socketpair()
        numbers = (other.fileno(), MEMORY, SECONDS - 1)
        with other:
            self._process = subprocess.Popen(  # noqa: S603 - our own file, nothing of a caller's
                [sys.executable, "-m", "ladnn.service.decoding_worker", *map(str, numbers)],
                pass_fds=(other.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        send(self._link, {}, self._secret)
        self._ready = False
        self.tasks = 0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def ask(self, task: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Give it a file and wait; whatever it raises, the process is not to be asked again."""
        if not self._ready:
            receive(self._link, 0, START_SECONDS)
            self._ready = True
        self.tasks += 1
        self._link.settimeout(SECONDS)
        send(self._link, task, data)
        return receive(self._link, _MOST, SECONDS)

    def restart(self) -> None:
        """End the process and start another in its place."""
        self.end()
        self._start()

    def renew(self) -> None:
        """Restart after a file; where the system has no room for a process, before the next one."""
        with suppress(OSError):
            self.restart()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._link.close()
        self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    """What a worker may know: where Python finds its packages, to keep to one thread, to give back.

    glibc else gives back to the system what every image needs again, a few hundred pages each time.
    """
    known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    memory = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
    return {
        **known,
        **dict.fromkeys(threads, "1"),
        **dict.fromkeys(memory, str(_KEPT)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _fault(head: dict[str, Any]) -> _Fault:
    fault = _Fault(head["fault"], head["trace"])
    if not fault.error.isidentifier() or not all(re.fullmatch(_PLACE, one) for one in fault.trace):
        raise ValueError("a fault that is none")
    return fault


def _numbers(window: Window | None) -> dict[str, float] | None:
    return {"level": window.level, "width": window.width} if window else None


def _decoded(head: dict[str, Any], body: bytes) -> Decoded:
    """Read a worker's answer; it is checked, because hostile bytes may have written it."""
    height, width = (int(side) for side in head["shape"])
    count = height * width
    if min(height, width) < 1 or max(height, width) > LONGER_SIDE:
        raise ValueError(f"an image of {height} x {width} pixels")
    pixels = np.frombuffer(body[:count], np.uint8).reshape(height, width)
    image = _image(head, pixels)
    return Decoded(image=image, stored=body[count:], burned_in=bool(head["burned_in"]))


def _seen(head: dict[str, Any], body: bytes, *, shape: tuple[int, int]) -> Seen:
    """The same of a look whose square is to have that shape."""
    count, evidence = shape[0] * shape[1], np.dtype("<f4").itemsize * _evidence_size()
    look = Look(
        square=np.frombuffer(body[:count], np.uint8).reshape(shape),
        field=_field(head["field"]),
        evidence=np.frombuffer(body[count : count + evidence], "<f4").astype(np.float32),
    )
    if look.evidence.size != _evidence_size() or not np.isfinite(look.evidence).all():
        raise ValueError("evidence that is none")
    return Seen(image=_image(head, _NO_PIXELS), stored=body[count + evidence :], look=look)


def _image(head: dict[str, Any], pixels: NDArray[np.uint8]) -> CtImage:
    return CtImage(
        pixels=pixels,
        window=Window(level=head["window"][0], width=head["window"][1]) if head["window"] else None,
        size=(int(head["size"][0]), int(head["size"][1])),
        **{name: head[name] for name in _PLAIN},
    )


def _field(numbers: dict[str, Any]) -> LungField:
    x0, y0, x1, y1 = (float(edge) for edge in numbers["box"])
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise ValueError("a box that is none")
    rest: dict[str, Any] = {name: float(numbers[name]) for name in FIELD_NUMBERS}
    return LungField(box=(x0, y0, x1, y1), kind=str(numbers["kind"]), **rest)


_PLAIN = ("sha256", "format", "series", "study", "instance", "frame", "frames")
_NO_PIXELS = np.zeros((0, 0), np.uint8)


@cache
def _evidence_size() -> int:
    return take_look(np.zeros((8, 8), np.uint8), 8, FRAMES[0]).evidence.size
