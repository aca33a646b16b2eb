"""Figure 4: ROC and precision-recall of one or several runs, with bands and operating points."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ladnn.figures import paper
from ladnn.figures.runs import Run, said, same_images
from ladnn.statistics import confusion, curve, precision_at, sensitivity_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLACES = np.linspace(0, 1, 101)
"""Where bands are computed, on the axis across."""

_REMARK = {"color": paper.QUIET, "fontsize": 6}


def draw(runs: Sequence[Run]) -> "Figure":
    """ROC on the left and precision-recall on the right.

    Raises:
        DataError: when the runs are not of the same images.
        ConfigError: when there are more than can be told apart.
    """
    same_images(runs)
    pens = paper.pens(len(runs))
    marked = paper.marks(run.points for run in runs)
    half = paper.PAGE / 2
    entries = max(
        paper.entries(map(_roc_name, runs), half) + paper.ENTRY * len(marked),
        paper.entries(map(_recall_name, runs), half),
    )
    figure = paper.sheet(paper.PAGE, 4.3 + entries)
    (roc, recall), keys = figure.subplots(2, 2, height_ratios=(3.6, entries))
    for run, pen in zip(runs, pens, strict=True):
        _roc(roc, run, pen, marked)
        _precision_recall(recall, run, pen, marked)
    paper.panel(roc, "a", "Receiver operating characteristic")
    paper.rate_axis(roc, x="1 \N{MINUS SIGN} specificity", y="Sensitivity")
    roc.plot([0, 1], [0, 1], color=paper.QUIET, linewidth=0.6, zorder=0)
    roc.annotate("chance", (0.85, 0.78), **_REMARK)
    paper.panel(recall, "b", "Precision and recall")
    paper.rate_axis(recall, x="Recall (sensitivity)", y="Precision")
    prevalence = float(runs[0].cases.labels.mean())
    recall.axhline(prevalence, color=paper.QUIET, linewidth=0.6, zorder=0)
    recall.annotate(f"prevalence {prevalence:.2f}", (0.02, prevalence + 0.015), **_REMARK)
    paper.name_points(roc, marked)
    paper.key(keys[0], roc, half)
    paper.key(keys[1], recall, half)
    paper.foot(
        figure,
        runs[0].sample,
        runs[0].how("Brackets and pointwise bands"),
    )
    return figure


def _roc_name(run: Run) -> str:
    return f"{run.label}: AUC {said(run.scores.auc)}"


def _recall_name(run: Run) -> str:
    return f"{run.label}: average precision {said(run.scores.average_precision)}"


def _roc(axes: "Axes", run: Run, pen: paper.Pen, marked: Mapping[str, str]) -> None:
    labels, chances = run.cases.labels, run.cases.probabilities
    found = curve(labels, chances)
    low, high = run.bands(partial(sensitivity_at, false_positive_rates=PLACES))
    axes.fill_between(PLACES, low, high, color=pen.colour, alpha=0.16, linewidth=0)
    axes.plot(
        found.false_positive_rate,
        found.sensitivity,
        color=pen.colour,
        linestyle=pen.dashes,
        label=_roc_name(run),
    )
    for name, marker in _present(run, marked):
        counts = confusion(labels, chances, run.points[name])
        axes.plot(
            1 - counts.specificity, counts.sensitivity, marker, clip_on=False, **paper.hollow(pen)
        )


def _precision_recall(axes: "Axes", run: Run, pen: paper.Pen, marked: Mapping[str, str]) -> None:
    labels, chances = run.cases.labels, run.cases.probabilities
    found = curve(labels, chances)
    low, high = run.bands(partial(precision_at, sensitivities=PLACES[1:]))
    axes.fill_between(PLACES[1:], low, high, color=pen.colour, alpha=0.16, linewidth=0)
    axes.plot(
        found.sensitivity,
        found.precision,
        color=pen.colour,
        linestyle=pen.dashes,
        label=_recall_name(run),
    )
    for name, marker in _present(run, marked):
        counts = confusion(labels, chances, run.points[name])
        axes.plot(counts.sensitivity, counts.precision, marker, clip_on=False, **paper.hollow(pen))


def _present(run: Run, marked: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, marker) for name, marker in marked.items() if name in run.points]
