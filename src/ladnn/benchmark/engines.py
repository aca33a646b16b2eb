"""Where the runs of a grid happen: processes of this machine, or the workers of a Ray cluster."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Thread

from ladnn.benchmark.grid import Run
from ladnn.benchmark.perform import perform
from ladnn.dataset import Manifest
from ladnn.errors import DataError, LadnnError

Outcome = tuple[Run, str | None]
"""A run that is over, and why it failed if it did."""


def attempt(run: Run, manifest: Manifest, output: Path) -> str | None:
    """Perform a run; what went wrong in one sentence, or None: the other runs shall go on."""
    try:
        perform(run, manifest, output)
    except LadnnError as error:
        return str(error)
    except Exception as error:
        if os.environ.get("LADNN_DEBUG"):
            raise
        return f"this should not happen ({type(error).__name__}: {error})"
    return None


def local(runs: Sequence[Run], manifest: Manifest, output: Path, *, jobs: int) -> Iterator[Outcome]:
    """Perform runs in `jobs` processes of this machine, in order; yield each when it is over.

    Raises:
        DataError: when a process was killed from outside, as for want of memory.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent)
    try:
        futures = {pool.submit(attempt, run, manifest, output): run for run in runs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process of the benchmark was ended from outside, perhaps for want of memory: give "
            "the same command again with fewer --jobs; what is done is not done again"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """A killed benchmark leaves no process behind that goes on training."""
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
