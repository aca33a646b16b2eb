"""Training curves: loss and validation AUC by epoch, and the epoch that validation chose."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladnn.errors import DataError
from ladnn.figures import paper
from ladnn.figures.runs import read_table

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
    if len({log.label for log in logs}) < len(logs):
        return [
            replace(log, label=f"{log.label}, {folder.name}")
            for log, folder in zip(logs, folders, strict=True)
        ]
    return logs


def _read(folder: Path) -> Log:
    path = folder / LOG_FILE
    again = "give a folder that ladnn train wrote"
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: {again}")
    rows = [row for _, row in read_table(path, COLUMNS, again)]
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
    entries = 0.15 * max(2, len(logs))
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
        paper.key(key, axes)
    paper.foot(figure, "Marks: the epoch whose weights were kept. Single runs, without intervals")
    return figure


def _loss(axes: "Axes", log: Log, pen: paper.Pen) -> None:
    ink: dict[str, Any] = {"color": pen.colour, "linestyle": pen.dashes, "marker": ".", "ms": 2}
    axes.plot(log.epochs, log.losses, linewidth=0.8, **ink)
    axes.plot(log.epochs, log.validation, linewidth=1.6, **ink)
    kept = log.validation[log.best]
    if math.isfinite(kept):
        axes.plot(log.epochs[log.best], kept, "o", **paper.hollow(pen))


def _auc(axes: "Axes", log: Log, pen: paper.Pen) -> None:
    kept, epoch = log.aucs[log.best], log.epochs[log.best]
    value = f": {kept:.3f} at epoch {epoch}" if math.isfinite(kept) else ""
    label = f"{log.label}{value}"
    axes.plot(log.epochs, log.aucs, color=pen.colour, linestyle=pen.dashes, label=label)
    axes.plot(epoch, kept, "o", **paper.hollow(pen))
