"""Calibration: what happened against what was predicted, with intervals, for each run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ladnn.calibration import observed_rates, reliability
from ladnn.errors import ConfigError
from ladnn.figures import paper
from ladnn.figures.pairs import CLASSES
from ladnn.figures.runs import Run, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 3
_LETTERS = 12  # of a name above its part, to an inch of the part


def draw(runs: Sequence[Run]) -> "Figure":
    """One reliability diagram for each run, over the distribution of its probabilities.

    Raises:
        ConfigError: for more than three runs.
    """
    if len(runs) > MOST:
        raise ConfigError(f"{len(runs)} results do not fit side by side: give at most {MOST}")
    width = paper.COLUMN if len(runs) == 1 else paper.PAGE * len(runs) / MOST
    width = max(width, paper.COLUMN)
    figure = paper.sheet(width, 5.0)
    grid = figure.subplots(3, len(runs), height_ratios=(3, 1, 0.3), squeeze=False)
    for column, run in enumerate(runs):
        name = paper.fold(run.label, int(_LETTERS * width / len(runs)))
        _reliability(grid[0, column], run, "abc"[column], name)
        _probabilities(grid[1, column], run)
        grid[2, column].set_axis_off()
    paper.key(grid[2, 0], grid[1, 0], width)
    paper.foot(figure, *_how(runs))
    return figure


def _how(runs: Sequence[Run]) -> list[str]:
    bars = f"{runs[0].how('Error bars and brackets')}; no bar where a bin is too rarely drawn"
    alike = " or of one class alone, which is wider in truth"
    return [
        *dict.fromkeys(run.sample for run in runs),
        f"{bars}{alike}. Numbers: images in the bin",
    ]


def _reliability(axes: "Axes", run: Run, letter: str, name: str) -> None:
    found = reliability(run.cases.labels, run.cases.probabilities)
    low, high = run.bands(observed_rates)
    there = np.flatnonzero(found.counts)
    below = np.nan_to_num(np.maximum(found.observed - low, 0)[there])
    above = np.nan_to_num(np.maximum(high - found.observed, 0)[there])
    axes.plot([0, 1], [0, 1], color=paper.QUIET, linewidth=0.6, zorder=0)
    axes.errorbar(
        found.predicted[there],
        found.observed[there],
        yerr=(below, above),
        fmt="o-",
        color=paper.OKABE_ITO["blue"],
        markersize=4,
        linewidth=1,
        elinewidth=0.9,
        capsize=2,
        clip_on=False,
        zorder=3,  # over the axes, where a share is 0 or 1
    )
    paper.rate_axis(axes, x="Mean predicted probability", y="Observed share of positives")
    brier, ece = said(run.scores.brier), said(run.scores.ece)
    paper.panel(axes, letter, f"{name}\nBrier score {brier}\nECE {ece}")


def _probabilities(axes: "Axes", run: Run) -> None:
    """Images in each bin, positives on negatives."""
    found = reliability(run.cases.labels, run.cases.probabilities)
    positives = np.nan_to_num(found.observed * found.counts)
    width = np.diff(found.edges) * 0.92
    base = np.zeros(positives.size)
    for label, name, colour, _ in CLASSES:
        heights = positives if label else found.counts - positives
        bars = axes.bar(
            found.edges[:-1], heights, width, base, align="edge", color=colour, label=name
        )
        base = base + heights
    axes.bar_label(bars, [str(count) for count in found.counts], fontsize=6, padding=1)
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.2 * base.max()))
    paper.whole_numbers(axes.yaxis)
    axes.set(xlabel="Predicted probability", ylabel="Images")
