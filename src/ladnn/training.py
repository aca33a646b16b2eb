"""fit(config, manifest) -> checkpoint: a run with its progress, its logs and its way back.

The folder of a run holds the checkpoint of the best epoch, `config.json` as resolved, `log.csv`,
TensorBoard's events, and `resume.pt`, which only the machine that wrote it reads.
"""

import csv
import dataclasses
import json
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ladnn.batches import Example, load
from ladnn.checkpoint import DESCRIPTION_FILE, Checkpoint, write_checkpoint
from ladnn.config import merge
from ladnn.csvs import write_rows
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.engines import processor_threads
from ladnn.errors import ConfigError, DataError
from ladnn.imaging import read_image
from ladnn.learner import EpochResult, Learner, TrainConfig
from ladnn.paths import alone, put

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RESUME_FILE, LOG_FILE, CONFIG_FILE = "resume.pt", "log.csv", "config.json"
_UNREADABLE = (
    OSError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
)
"""What torch raises of a damaged file, and of a state that is another network's."""
LOG_COLUMNS = ("epoch", "loss", "val_loss", "val_auc", "best")


def fit(
    config: TrainConfig, manifest: Manifest, folder: Path, *, quiet: bool = False
) -> EpochResult:
    """Train on the manifest's training split, or go on with the run in `folder`.

    Args:
        config: of the run.
        manifest: its splits train and val are used.
        folder: of the run; made where it is missing.
        quiet: show no progress, as where nobody looks: stderr is no terminal.

    Returns:
        The epoch that validation chose, whose weights are the checkpoint.

    Raises:
        ConfigError: a setting that cannot be, a folder with a run of other settings or data, or a
            loss that is no number any more.
        DataError: no images to train on, a folder in which another process trains, or one that
            cannot be written to. ImageError: an image that cannot be read.
        WeightsError: pretrained weights that are missing or do not fit.
    """
    torch.set_num_threads(config.threads or processor_threads())
    torch.use_deterministic_algorithms(mode=True)
    records = training_records(config, manifest)
    data_hash = hash_records(records)
    _check_counts(config, records)
    _refuse_other(folder, config, data_hash)
    with _progress(quiet=quiet) as progress:
        train, validation = _load(config, records, progress)
        learner = Learner(config, train, validation)
        with alone(folder):  # only now: what fails above leaves nothing behind
            claim(folder, config, data_hash)
            _resume(learner, folder)
            _run(learner, folder, data_hash, progress)
    if learner.best is None:
        raise ConfigError("the run has no epoch: set epochs to at least 1")
    return learner.best


def training_records(config: TrainConfig, manifest: Manifest) -> list[Record]:
    """What a run learns from and chooses its epoch on: train and val of its sources.

    Raises:
        DataError: a source that the manifest does not have.
    """
    known = sorted({item.source for item in manifest.records})
    for source in config.sources:
        if source not in known:
            raise DataError(f"the manifest has no source {source!r}: choose of {', '.join(known)}")
    wanted = config.sources or known
    return [r for r in manifest.records if r.source in wanted and r.split in ("train", "val")]


def claim(folder: Path, config: TrainConfig, data_hash: str) -> None:
    """Write the resolved configuration, or see that the run in the folder is this very run.

    A run that never finished an epoch has nothing to lose, so another takes its place.

    Raises:
        ConfigError: when the folder holds a run of other settings or data.
    """
    _refuse_other(folder, config, data_hash)
    folder.mkdir(parents=True, exist_ok=True)
    # whole, because a half would pass for another run
    put(folder / CONFIG_FILE, _resolved(config, data_hash).encode())


def _resolved(config: TrainConfig, data_hash: str) -> str:
    """The text of `CONFIG_FILE`."""
    return (
        json.dumps({"config": dataclasses.asdict(config), "data_hash": data_hash}, indent=2) + "\n"
    )


def log_rows(path: Path) -> list[dict[str, str]]:
    """The epochs of a log so far; the last may be half written. Raises OSError without a log."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_over(config: TrainConfig, folder: Path) -> bool:
    """Whether the log of a run tells that it ended: after all epochs, or when patience ran out."""
    try:
        rows = log_rows(folder / LOG_FILE)
    except OSError:
        return False
    best = max((epoch for epoch, row in enumerate(rows) if row.get("best") == "True"), default=None)
    waited = 0 if best is None else len(rows) - 1 - best
    return len(rows) >= config.epochs or 0 < config.patience <= waited


def _refuse_other(folder: Path, config: TrainConfig, data_hash: str) -> None:
    """Raise ConfigError for a file, and for a folder with an epoch of other settings or data."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: give the run a folder of its own")
    path = folder / CONFIG_FILE
    if not any((folder / name).exists() for name in (DESCRIPTION_FILE, RESUME_FILE)):
        if path.exists() and not _is_of_a_run(path):
            raise ConfigError(f"{path} is of other results than a run's: give another folder")
        if (folder / LOG_FILE).exists() and not path.exists():
            raise ConfigError(f"{folder / LOG_FILE} is of no run's: give another folder")
        return
    if not path.exists():
        raise ConfigError(
            f"{folder} holds a checkpoint without the {CONFIG_FILE} of its run, which nothing can "
            "be compared with: give another folder"
        )
    if held(path) != json.loads(_resolved(config, data_hash)):
        raise ConfigError(
            f"{folder} holds a run with other settings or other data: give another folder"
        )


def _is_of_a_run(path: Path) -> bool:
    """Whether `claim` wrote the file, which other results have under the same name."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.keys() == {"config", "data_hash"}


def _check_counts(config: TrainConfig, records: list[Record]) -> None:
    """Refuse too few images for these settings, before any is read."""
    train = sum(record.split == "train" for record in records)
    if 0 < train < config.batch_size:
        raise ConfigError(
            f"batch_size is {config.batch_size} and there are {train} training images: "
            "give a smaller batch or more images"
        )
    if config.select != "last" and 0 < train == len(records):
        raise DataError(
            "the manifest has no validation images to choose the epoch on: "
            "split it with `ladnn data split`, or set select=last"
        )


def held(path: Path) -> dict[str, Any]:
    """What a run was made with: `config` and `data_hash`.

    A setting that the version of the run did not know is at its default.

    Raises:
        ConfigError: when the file is missing or damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # as JSON, which has lists where the settings have tuples
        defaults = json.loads(json.dumps(dataclasses.asdict(TrainConfig())))
        return {**found, "config": merge(defaults, found["config"])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} is damaged ({type(error).__name__}): delete {path.parent} to start again"
        ) from error


def _load(
    config: TrainConfig, records: list[Record], progress: Progress
) -> tuple[list[Example], list[Example]]:
    task = progress.add_task("reading images", total=len(records), note="")

    def part(split: str) -> list[Example]:
        mine = [item for item in records if item.split == split]
        if not mine and split == "val":
            return []
        return load(mine, read_image, frame=config.frame, advance=lambda: progress.advance(task))

    train, validation = part("train"), part("val")
    progress.remove_task(task)
    return train, validation


def _resume(learner: Learner, folder: Path) -> None:
    path = folder / RESUME_FILE
    if not path.exists():
        return
    try:
        learner.restore(torch.load(path, weights_only=True))
    except _UNREADABLE as error:
        raise ConfigError(
            f"{path} is damaged ({type(error).__name__}): delete it to start the run again"
        ) from error


def _run(learner: Learner, folder: Path, data_hash: str, progress: Progress) -> None:
    from torch.utils.tensorboard import SummaryWriter

    total = learner.config.epochs * learner.steps_per_epoch
    task = progress.add_task("training", total=total, completed=learner.step, note="")
    # the last epoch is told again: a process that died may have saved it and told nobody
    last = learner.last
    again = learner.epoch if last is None else last.epoch
    _log(folder / LOG_FILE, learner.epoch, last)
    with SummaryWriter(str(folder), purge_step=again) as events:
        if last is not None:
            _tell(events, last)
        while not learner.finished:
            result = learner.run_epoch(_report(progress, task, learner))
            _save(learner, folder, data_hash, result)
            _log(folder / LOG_FILE, learner.epoch, result)
            _tell(events, result)


def _tell(events: "SummaryWriter", result: EpochResult) -> None:
    for name in ("loss", "val_loss", "val_auc"):
        events.add_scalar(name, getattr(result, name), result.epoch)
    events.flush()  # it would wait for two minutes, and a killed run lose them


def _report(progress: Progress, task: TaskID, learner: Learner) -> Callable[[float], None]:
    """What shows the mean loss after each step."""
    best = f"{learner.best.val_auc:.3f}" if learner.best else "-"

    def advance(loss: float) -> None:
        note = f"epoch {learner.epoch + 1}, loss {loss:.3f}, best validation AUC {best}"
        progress.update(task, advance=1, note=note)

    return advance


def _save(learner: Learner, folder: Path, data_hash: str, result: EpochResult) -> None:
    # the checkpoint first: if the process dies between the two, the epoch is done again
    if result.best:
        write_checkpoint(
            folder,
            learner.average,
            Checkpoint(
                backbone=learner.config.backbone,
                mode=learner.config.mode,
                input_size=learner.size,
                frame=learner.config.frame,
                haze=learner.config.haze,
                epoch=result.epoch,
                seed=learner.config.seed,
                data_hash=data_hash,
                config=dataclasses.asdict(learner.config),
                validation=_finite(result),
            ),
        )
    partial = folder / (RESUME_FILE + ".partial")
    try:
        torch.save(learner.state(), partial)
        partial.replace(folder / RESUME_FILE)
    except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError to torch
        partial.unlink(missing_ok=True)
        raise DataError(
            f"the run cannot be saved in {folder}: make room there or see that it may be written "
            "to, and give the same command again; it goes on from its last epoch"
        ) from error


def _finite(result: EpochResult) -> dict[str, Any]:
    values = {"loss": result.loss, "val_loss": result.val_loss, "val_auc": result.val_auc}
    known: dict[str, Any] = {k: v for k, v in values.items() if not math.isnan(v)}
    return {**known, "source_auc": result.source_auc}


def _log(path: Path, epochs: int, last: EpochResult | None) -> None:
    """Write the rows of the first `epochs` epochs, that of the last anew.

    A process that died may have left a row too many, one too few or a half.
    """
    rows = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1 : epochs + 1]
    if last is not None:
        cells = (getattr(last, name) for name in LOG_COLUMNS)
        rows[last.epoch :] = [[f"{v:.6f}" if isinstance(v, float) else f"{v}" for v in cells]]
    write_rows(path, LOG_COLUMNS, rows, what="the log")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    note, console = TextColumn("{task.fields[note]}"), Console(stderr=True)
    hidden = quiet or not console.is_terminal
    with Progress(*columns, note, console=console, disable=hidden) as bar:
        yield bar
