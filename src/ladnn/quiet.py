"""Silence for library warnings while a file is decoded: callers get an image or one sentence."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Silence:
    """Ignores warnings from the first thread that enters to the last that leaves.

    Warning filters belong to the process: threads that each saved and restored them would
    restore each other's silence, for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved: Any = None

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._saved.__exit__(None, None, None)


_SILENCE = _Silence()  # one, because the filters that it guards are one


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings inside; safe with threads and when nested."""
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()
