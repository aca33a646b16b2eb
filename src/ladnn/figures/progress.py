"""Training curves: loss and validation AUC by epoch, and the epoch that validation chose."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladnn.csvs import read_named
from ladnn.errors import DataError
from ladnn.figures import paper
from ladnn.figures.names import told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_FILE, CONFIG_FILE = "log.csv", "config.json"
COLUMNS = ("epoch", "loss", "val_loss", "val_auc", "best")
"""Of `training.LOG_COLUMNS`, which this side cannot import: it needs torch."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """The epochs of one training run, one entry each; NaN where there was no validation.

    Attributes:
        label: what a legend calls it.
        epochs: from 1. losses, validation: per epoch. aucs: of validation, in [0, 1].
        best: index of the epoch whose weights were kept.
    """

    label: str
    epochs: tuple[int, ...]
    losses: tuple[float, ...]
    validation: tuple[float, ...]
    aucs: tuple[float, ...]
    best: int


def read_logs(folders: Sequence[Path]) -> list[Log]:
    """Read the folders of training runs.

    Raises:
        DataError: for a folder without log.csv, or one with no epoch or with something else in it.
    """
    logs = [_read(folder) for folder in folders]
    labels = told_apart([log.label for log in logs], folders)
    return [replace(log, label=label) for log, label in zip(logs, labels, strict=True)]


def _read(folder: Path) -> Log:
    path = folder / LOG_FILE
    again = "give a folder that ladnn train wrote"
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: {again}")
    rows = [row for _, row in read_named(path, COLUMNS, again)]
    if not rows:
        raise DataError(f"{path} has no epoch yet: wait for the first one, or train again")
    try:
        best = [index for index, row in enumerate(rows) if row["best"] == "True"]
        return Log(
            label=_label(folder),
            epochs=tuple(int(row["epoch"]) + 1 for row in rows),
            losses=tuple(float(row["loss"]) for row in rows),
            validation=tuple(float(row["val_loss"]) for row in rows),
            aucs=tuple(float(row["val_auc"]) for row in rows),
            best=best[-1] if best else len(rows) - 1,
        )
    except ValueError as error:
        raise DataError(f"{path} holds a cell that is no number ({error}): {again}") from error


def _label(folder: Path) -> str:
    """Backbone, mode and seed, or the folder's name where the configuration is not there."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["config"]
        return f"{config['backbone']}, {config['mode']}, seed {config['seed']}"
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name


def draw(logs: Sequence[Log]) -> "Figure":
    """Loss on the left, validation AUC on the right.

    Raises:
        ConfigError: when there are more runs than can be told apart.
    """
    labels = [_named(log) for log in logs]
    entries = max(paper.entries(labels, paper.PAGE / 2), 2 * paper.ENTRY)
    figure = paper.sheet(paper.PAGE, 2.7 + entries)
    (loss, auc), keys = figure.subplots(2, 2, height_ratios=(2.2, entries))
    for log, pen in zip(logs, paper.pens(len(logs)), strict=True):
        _loss(loss, log, pen)
        _auc(auc, log, pen)
    last = max(log.epochs[-1] for log in logs)
    loss.plot([], [], color=paper.QUIET, linewidth=0.8, label="training (thin)")
    loss.plot([], [], color=paper.QUIET, linewidth=1.6, label="validation (thick)")
    for axes, letter, title, label, key in (
        (loss, "a", "Loss", "Loss per image", keys[0]),
        (auc, "b", "Validation", "AUC", keys[1]),
    ):
        paper.panel(axes, letter, title)
        axes.set(xlabel="Epoch", ylabel=label, xlim=(0.5, last + 0.5))
        paper.whole_numbers(axes.xaxis)
        paper.key(key, axes, paper.PAGE / 2)
    paper.foot(figure, "Marks: the epoch whose weights were kept. Single runs, without intervals")
    return figure


def _named(log: Log) -> str:
    """The run, and what its weights that were kept reached."""
    kept, epoch = log.aucs[log.best], log.epochs[log.best]
    return f"{log.label}: {kept:.3f} at epoch {epoch}" if math.isfinite(kept) else log.label


def _loss(axes: "Axes", log: Log, pen: paper.Pen) -> None:
    ink: dict[str, Any] = {"color": pen.colour, "linestyle": pen.dashes, "marker": ".", "ms": 2}
    axes.plot(log.epochs, log.losses, linewidth=0.8, **ink)
    axes.plot(log.epochs, log.validation, linewidth=1.6, **ink)
    kept = log.validation[log.best]
    if math.isfinite(kept):
        axes.plot(log.epochs[log.best], kept, "o", **paper.hollow(pen))


def _auc(axes: "Axes", log: Log, pen: paper.Pen) -> None:
    kept, epoch = log.aucs[log.best], log.epochs[log.best]
    axes.plot(log.epochs, log.aucs, color=pen.colour, linestyle=pen.dashes, label=_named(log))
    axes.plot(epoch, kept, "o", **paper.hollow(pen))
