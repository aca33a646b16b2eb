"""What Prometheus counts: requests by route, predictions by decision; nothing of patients."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_TOGETHER = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "ladnn-metrics-"
_HELD = "held"
"""A file that every process of a site has locked as long as it lives, however it ends."""


class Metrics:
    """The counters of one process; with several, their files are added up when they are read."""

    def __init__(self) -> None:
        self._held = _hold(Path(os.environ[_TOGETHER]) / _HELD) if _TOGETHER in os.environ else None
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "ladnn_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "ladnn_request_seconds",
            "Time to answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.predictions = Counter(
            "ladnn_predictions",
            "Images assessed.",
            ("model", "version", "decision"),
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        if _TOGETHER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


@contextmanager
def counted_together() -> Iterator[None]:
    """Give the processes begun meanwhile a folder to count in together, which is gone at the end.

    Folders of sites that were killed are removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ImportError):  # in use, another's, or nobody can tell
            _remove_if_left(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, ExitStack() as stack:
        new = Path(name, f"{_HELD}.new")
        new.touch()
        held = _hold(new)
        if held:
            stack.enter_context(held)
        new.rename(Path(name, _HELD))  # whoever finds it finds it locked
        os.environ[_TOGETHER] = name
        yield


def _hold(path: Path) -> IO[bytes] | None:
    """Lock a file together with others, until it is closed; None where it cannot be."""
    try:
        import fcntl  # which not every system has

        file = path.open("rb")
        fcntl.flock(file, fcntl.LOCK_SH)
    except (ImportError, OSError):
        return None
    return file


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of this user's; OSError while one of its processes lives."""
    import fcntl

    if folder.lstat().st_uid != os.getuid():
        return
    with (folder / _HELD).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
