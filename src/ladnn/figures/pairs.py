"""Figure 6: the five lesion outputs in pairs, by class, and how well each tells the classes."""

from typing import TYPE_CHECKING

import numpy as np

from ladnn.errors import DataError
from ladnn.figures import paper
from ladnn.figures.runs import Run, said
from ladnn.findings import LESION_NAMES, LESIONS
from ladnn.intervals import Estimate, bootstrap
from ladnn.statistics import FloatArray, roc_auc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASSES = (
    (False, "COVID-19 negative", paper.NEGATIVE, "o"),
    (True, "COVID-19 positive", paper.POSITIVE, "^"),
)
BINS = 20
_ROOM = 0.005  # in probability, at least, about outputs that are all alike


def draw(run: Run) -> "Figure":
    """Scatter below the diagonal; on it, how the outputs of each class are distributed.

    Raises:
        DataError: when the model is a baseline, which has no lesion outputs.
    """
    lesions = run.cases.lesions
    if lesions is None:
        raise DataError(
            f"{run.folder} is of a model without lesion outputs: give a result of an LA-DNN"
        )
    figure = paper.sheet(paper.PAGE, 7.1)
    grid = figure.subplots(len(LESIONS), len(LESIONS))
    for row, column in np.ndindex(grid.shape):
        axes = grid[row, column]
        if row < column:
            axes.set_axis_off()
        elif row == column:
            _distribution(axes, run, lesions[:, row], row)
        else:
            _scatter(axes, run, lesions[:, column], lesions[:, row])
        _label(axes, run, row, column)
    _legend(grid[1, 3], run)
    paper.foot(
        figure,
        run.sample,
        f"Model: {run.label}. Outputs are probabilities. AUC of each output alone for COVID-19, "
        f"with {run.interval}{_caution(run)}",
    )
    return figure


def _name(run: Run, index: int) -> str:
    """A lesion, with a star where its probability is not calibrated."""
    return f"{LESIONS[index]}{'*' if LESIONS[index] in run.uncalibrated else ''}"


def _caution(run: Run) -> str:
    """What the star means."""
    return "; * too few examples: this output is not calibrated" if run.uncalibrated else ""


def _label(axes: "Axes", run: Run, row: int, column: int) -> None:
    """Names at the left and at the bottom; numbers there alone."""
    if row == len(LESIONS) - 1:
        axes.set_xlabel(_name(run, column))
    else:
        axes.set_xticklabels([])
    if column == 0:
        axes.set_ylabel("Density" if row == 0 else _name(run, row))
    elif row != column:
        axes.set_yticklabels([])


def _limits(values: FloatArray) -> tuple[float, float]:
    """The range of one output, with room; not 0 to 1, where most outputs are a single heap."""
    low, high = float(values.min()), float(values.max())
    room = max(0.05 * (high - low), _ROOM)
    return low - room, high + room


def _distribution(axes: "Axes", run: Run, values: FloatArray, index: int) -> None:
    bins = np.linspace(values.min(), max(values.max(), values.min() + _ROOM), BINS + 1).tolist()
    for label, _, colour, _ in CLASSES:
        mine = values[run.cases.labels == label]
        if mine.size:
            axes.hist(mine, bins, density=True, color=colour, alpha=0.3)
            axes.hist(mine, bins, density=True, color=colour, histtype="step", linewidth=1)
    axes.set_xlim(*_limits(values))
    axes.locator_params(axis="x", nbins=3)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    auc = said(discrimination(run, index))
    axes.set_title(f"{_name(run, index)}: AUC\n{auc}", fontsize=6.5)


def discrimination(run: Run, index: int) -> Estimate:
    """AUC of one lesion's output for COVID-19, with its interval."""
    cases, settings = run.cases, run.settings
    values = np.zeros(len(cases)) if cases.lesions is None else cases.lesions[:, index]
    found = bootstrap(
        {"auc": roc_auc},
        cases.labels,
        values,
        cases.patients,
        replicates=settings.replicates,
        level=settings.level,
        seed=settings.seed,
    )
    return found["auc"]


def _scatter(axes: "Axes", run: Run, across: FloatArray, up: FloatArray) -> None:
    for label, _, colour, marker in CLASSES:
        mine = run.cases.labels == label
        axes.scatter(
            across[mine], up[mine], s=5, marker=marker, color=colour, alpha=0.35, linewidths=0
        )
    axes.set(xlim=_limits(across), ylim=_limits(up))
    axes.locator_params(nbins=3)


def _legend(axes: "Axes", run: Run) -> None:
    for label, name, colour, marker in CLASSES:
        count = int((run.cases.labels == label).sum())
        axes.plot([], [], marker, color=colour, label=f"{name} (n = {count})", markersize=5)
    names = "\n".join(f"{lesion}: {LESION_NAMES[lesion].lower()}" for lesion in LESIONS)
    key = axes.legend(loc="center", fontsize=8, title=names, alignment="left", labelspacing=0.8)
    key.set_in_layout(False)  # it is wider than its place, and its neighbours are empty
