"""An epoch of training: our loop beside the authors', each in a process of its own, in turns.

Processes of their own, because our loop tells the C library to keep freed memory, which would
speed up the other as well.
"""

import multiprocessing
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

from bench.bundles import Studio
from bench.images import manifest
from bench.report import Figure
from bench.scale import Scale
from bench.timing import clock

RECIPE = Path(__file__).resolve().parents[1] / "conf" / "default.toml"
FASTER = 2.5
AUTHORS, OURS, WHOLE = "authors", "ours", "ours, nothing frozen"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a process trains on."""

    kind: str
    images: int
    batch: int
    size: int


def measure_epoch(scale: Scale, studio: Studio) -> list[Figure]:
    """Seconds of an epoch over the same images on disk, and their ratio."""
    size = studio.size("efficientnet_lite0")
    kinds = (AUTHORS, OURS, WHOLE)
    manifest(scale.epoch_images)  # drawn before anybody is timed
    tasks = [
        Task(kind=kind, images=scale.epoch_images, batch=scale.epoch_batch, size=size)
        for kind in kinds
    ]
    loading, epochs = _in_turns(tasks, scale.epoch_rounds)
    return _figures(loading, epochs, scale)


def _figures(loading: dict[str, float], epochs: dict[str, float], scale: Scale) -> list[Figure]:
    from ladnn.learner import TrainConfig  # torch is not needed to list the figures

    frozen = TrainConfig().frozen_stages
    notes = {
        AUTHORS: "decodes and augments each image when its turn comes; float32, Adam",
        OURS: f"conf/default.toml, whose first {frozen} stages stay frozen",
        WHOLE: "the same with frozen_stages=0",
    }
    figures = [
        Figure(
            bench="epoch",
            name=f"an epoch of {scale.epoch_images} images, {kind}",
            value=seconds,
            unit="s",
            note=notes[kind],
        )
        for kind, seconds in epochs.items()
    ]
    for kind in (OURS, WHOLE):
        once = f"reading all images once took {loading[kind]:.2f} s more"
        figures.append(
            Figure(
                bench="epoch",
                name=f"{kind}: times faster",
                value=epochs[AUTHORS] / epochs[kind],
                unit="x",
                at_least=FASTER if kind == OURS else None,
                note=f"{once}, paid once in a run",
            )
        )
    return figures


def _in_turns(tasks: list[Task], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of loading and median seconds of an epoch, by kind."""
    seconds: dict[str, list[float]] = {task.kind: [] for task in tasks}
    with _workers(tasks) as workers:
        loading = {kind: spent for kind, (_, spent) in workers.items()}
        for _ in range(rounds):
            for kind, (pipe, _) in workers.items():
                pipe.send("epoch")
                seconds[kind].append(_ask(pipe, kind))
    return loading, {kind: statistics.median(values) for kind, values in seconds.items()}


def _ask(pipe: Connection, kind: str) -> float:
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError(f"the process of {kind} ended before its epoch did") from None
    return float(answer)


@contextmanager
def _workers(tasks: list[Task]) -> Iterator[dict[str, tuple[Connection, float]]]:
    """By kind the pipe to a process and its seconds of loading; one starts after the other."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, tuple[Connection, float]] = {}
    processes = []
    try:
        for task in tasks:
            near, far = context.Pipe()
            process = context.Process(target=work, args=(far, task), daemon=True)
            process.start()
            far.close()
            processes.append(process)
            workers[task.kind] = near, _ask(near, task.kind)
        yield workers
    finally:
        for pipe, _ in workers.values():
            pipe.close()  # the process ends when nobody asks any more
        for process in processes:
            process.join()


def work(pipe: Connection, task: Task) -> None:
    """Build the loop, tell the seconds that reading took, then an epoch whenever asked."""
    import torch

    from ladnn.engines import processor_threads

    torch.set_num_threads(processor_threads())
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=task.kind != AUTHORS)  # as `ladnn train` runs
    loading, epoch = build(task)
    epoch()  # the first is slower
    pipe.send(loading)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(clock(epoch))


Built = tuple[float, Callable[[], object]]
"""Seconds that reading the images took ahead, and what trains an epoch."""


def build(task: Task) -> Built:
    """The loop of a task, ready to train."""
    return _authors(task) if task.kind == AUTHORS else _ours(task)


def _authors(task: Task) -> Built:
    from bench.authors import Loop

    records = manifest(task.images).records
    loop = Loop("efficientnet_lite0", records, batch=task.batch, size=task.size)
    return 0.0, loop.run_epoch


def _ours(task: Task) -> Built:
    from ladnn.batches import Sampler, load
    from ladnn.config import read_config
    from ladnn.imaging import read_image
    from ladnn.learner import Learner, TrainConfig

    config = read_config(RECIPE, [], TrainConfig)
    config = replace(
        config,
        weights="random",
        batch_size=task.batch,
        input_size=task.size,
        epochs=1000,
        sampler=Sampler(images=task.images),
        frozen_stages=0 if task.kind == WHOLE else config.frozen_stages,
    )
    start = perf_counter()
    examples = load(manifest(task.images).records, read_image, frame=config.frame)
    loading = perf_counter() - start
    learner = Learner(config, examples, [])
    return loading, learner.run_epoch
