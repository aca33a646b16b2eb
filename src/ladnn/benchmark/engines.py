"""Where the runs of a grid happen: processes of this machine, or the workers of a Ray cluster."""

import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Thread
from typing import Any

from ladnn.benchmark.grid import Run
from ladnn.benchmark.perform import perform
from ladnn.dataset import Manifest
from ladnn.errors import ConfigError, DataError, LadnnError

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
    others = set(multiprocessing.active_children())
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
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()  # or an interrupted benchmark would wait for its runs


def on_ray(
    runs: Sequence[Run], manifest: Manifest, output: Path, *, jobs: int, address: str | None
) -> Iterator[Outcome]:
    """Perform runs as tasks of a Ray cluster, one processor each; yield each when it is over.

    All nodes see the images and `output` under the same paths, and have this version installed. A
    task whose node is lost begins again on another, where the run goes on from its last epoch.

    Args:
        runs: to perform.
        manifest: of all their images.
        output: the grid's folder.
        jobs: workers of the Ray that is started here; a running cluster has its own.
        address: of a running cluster, as `auto` or `10.0.0.5:6379`; None starts Ray here.

    Raises:
        ConfigError: when Ray is not installed or does not start, or no cluster answers.
        DataError: when the cluster is lost.
    """
    ray = _ray(jobs, address)
    try:
        held = ray.put(manifest)
        task = ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")(attempt)
        tasks = {task.remote(run, held, output.resolve()): run for run in runs}
        while tasks:
            (over, *_), _ = ray.wait(list(tasks), num_returns=1)
            yield tasks.pop(over), _result(ray, over)
    except ray.exceptions.RayError as error:
        raise DataError(
            f"the Ray cluster was lost ({type(error).__name__}): give the same command again; what "
            "is done is not done again"
        ) from error
    finally:
        ray.shutdown()


def _result(ray: Any, task: Any) -> str | None:  # noqa: ANN401  # an optional extra
    try:
        reason: str | None = ray.get(task)
    except ray.exceptions.RayError as error:
        return f"its worker was lost again and again ({type(error).__name__}), perhaps for memory"
    return reason


def _ray(jobs: int, address: str | None) -> Any:  # noqa: ANN401  # an optional extra
    """Ray, connected; it neither reports home nor opens a dashboard."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError("--engine ray needs Ray: pip install 'ladnn[cluster]'") from error
    # "local": without it, Ray would look for traces of a cluster that others started here
    here: dict[str, Any] = {"address": "local", "num_cpus": jobs, "include_dashboard": False}
    options = {"address": address} if address else here
    try:
        _knock(address or "")
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if address is None:
            raise ConfigError(
                f"Ray did not start on this machine ({type(error).__name__}): give --engine local, "
                "or try again when it is less busy"
            ) from error
        raise ConfigError(
            f"no Ray cluster answers at {address}: start one by `ray start`, or leave --address out"
        ) from error
    return ray


def _knock(address: str) -> None:
    """See within seconds whether anything listens there, for Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def _end_with_parent() -> None:
    """A killed benchmark leaves no process behind; an interrupted one ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
