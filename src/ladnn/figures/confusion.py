"""Confusion matrices of one run: the counts at each threshold, with rates and their intervals."""

from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np

from ladnn.figures import paper
from ladnn.figures.runs import Run, said
from ladnn.scoring import HALF, AtThreshold

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATES = ("sensitivity", "specificity", "precision", "accuracy")


def draw(run: Run) -> "Figure":
    """One matrix for each operating point, and one for a threshold of one half."""
    points = run.scores.at
    figure = paper.sheet(max(paper.COLUMN, paper.PAGE * len(points) / 3), 3.5)
    grid = figure.subplots(2, len(points), squeeze=False, height_ratios=(2, 0.6))
    parts = zip(grid[0], grid[1], ascii_lowercase, points.items(), strict=False)
    for axes, below, letter, (name, at) in parts:
        _matrix(axes, at)
        _rates(below, at)
        title = name if name == HALF else f"{name}, {at.threshold:.3f}"
        paper.panel(axes, letter, f"Threshold {title}")
    paper.foot(
        figure,
        run.sample,
        f"Model: {run.label}. All images judged, those that it would refuse, too. "
        "Shares are of the row",
        run.how("Brackets"),
    )
    return figure


def _matrix(axes: "Axes", at: AtThreshold) -> None:
    counts = np.array(
        [[at.true_positive, at.false_negative], [at.false_positive, at.true_negative]]
    )
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap=paper.COUNTS, vmin=0, vmax=1.15, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.6 else "black"
        share = f"\n{shares[row, column]:.1%}" if totals[row, 0] else ""
        axes.text(column, row, f"{count}{share}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks([0, 1], ["positive", "negative"])
    axes.set_yticks([0, 1], ["positive", "negative"], rotation=90, va="center")
    axes.set(ylabel="Label", xlabel="Called")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _rates(axes: "Axes", at: AtThreshold) -> None:
    lines = [f"{name.capitalize()} {said(getattr(at, name))}" for name in RATES]
    axes.set_axis_off()
    axes.text(0.5, 1, "\n".join(lines), ha="center", va="top", linespacing=1.4)
