"""Silence while a file is decoded: callers get an image or one sentence, and nothing printed."""

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


class _Shared:
    """A context of the whole process, open from the first thread that enters to the last to leave.

    Warning filters and the standard error belong to the process: threads that each saved and
    restored them would restore each other's silence, for good.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        self.lock = threading.Lock()
        self._inside = 0
        self._open: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        with self.lock:
            if not self._inside:
                self._open = self._make()
                self._open.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self._inside -= 1
            if not self._inside and self._open:
                self._open.__exit__(None, None, None)


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Aside:
    """The standard error while it is silent: where it led before, or None."""

    descriptor: int | None = None


@contextmanager
def _no_stderr() -> Iterator[None]:
    if sys.stderr:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # a service may have closed it
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - os.devnull may be no path
            os.dup2(nowhere.fileno(), 2)
        _Aside.descriptor = saved
        yield
    finally:
        _Aside.descriptor = None
        os.dup2(saved, 2)
        os.close(saved)


quiet = _Shared(_no_warnings)
"""`with quiet:` ignores warnings; safe with threads and when nested."""

quiet_stderr = _Shared(_no_stderr)
"""`with quiet_stderr:` drops what native code prints (libtiff does); safe as `quiet` is.

Other threads' errors are lost meanwhile but for those of `say`, so it is for single calls to a
library that needs it.
"""


def say(text: str) -> None:
    """Write to the standard error, though another thread may just be decoding in silence."""
    with quiet_stderr.lock:
        if _Aside.descriptor is None:
            sys.stderr.write(text)
            sys.stderr.flush()
        else:
            encoding = sys.stderr.encoding or "utf-8"
            os.write(_Aside.descriptor, text.encode(encoding, "backslashreplace"))
