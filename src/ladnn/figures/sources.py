"""Leave-one-source-out: one metric of each run on each source alone, seen in training or not."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ladnn.figures import paper
from ladnn.figures.runs import Run, said
from ladnn.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LETTERS = 15  # of the legend in an inch, where a longer line would squeeze the axes


def unseen(run: Run, source: str) -> bool:
    """Whether the model is known to have learned without this source."""
    return bool(run.trained_on) and source not in run.trained_on


def draw(runs: Sequence[Run]) -> "Figure":
    """Bars of the AUC with intervals, one group for each source and one bar for each run.

    Raises:
        ConfigError: when there are more runs than can be told apart.
    """
    pens = paper.pens(len(runs))
    names = tuple(dict.fromkeys(name for run in runs for name in run.sources))
    width = paper.PAGE if len(names) * len(runs) > 4 else paper.COLUMN * 1.3
    labels = [paper.fold(_named(run), int(_LETTERS * width)) for run in runs]
    entries = 0.15 * (sum(label.count("\n") + 1 for label in labels) + 1)
    figure = paper.sheet(width, 3.2 + entries)
    axes, keys = figure.subplots(2, 1, height_ratios=(2.8, entries))
    breadth = 0.8 / len(runs)
    for index, (run, pen) in enumerate(zip(runs, pens, strict=True)):
        shift = (index - (len(runs) - 1) / 2) * breadth
        _bars(axes, run, pen, {name: at + shift for at, name in enumerate(names)}, breadth)
    axes.axhline(0.5, color=paper.QUIET, linewidth=0.6, zorder=0)
    axes.set_xticks(range(len(names)), [_tick(runs, name) for name in names])
    axes.set(ylim=(0, 1.12), ylabel="AUC", xlim=(-0.6, len(names) - 0.4))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.annotate("chance", (-0.58, 0.51), color=paper.QUIET, fontsize=6)
    axes.set_title("Each source alone")
    _legend(keys, runs, labels)
    splits = ", ".join(dict.fromkeys(run.split for run in runs))
    paper.foot(figure, f"{splits} split, per image; error bars: {runs[0].interval}")
    return figure


def _tick(runs: Sequence[Run], name: str) -> str:
    """The source and what was judged of it, where all runs agree on that."""
    there = [run.sources[name] for run in runs if name in run.sources]
    sizes = {(one.positives, one.negatives, one.patients) for one in there}
    if len(sizes) > 1:
        return f"{name}\n(runs judged different images)"
    positives, negatives, patients = sizes.pop()
    return f"{name}\n{positives} positive, {negatives} negative,\n{patients} patients"


def _bars(
    axes: "Axes", run: Run, pen: paper.Pen, places: Mapping[str, float], breadth: float
) -> None:
    for name, x in places.items():
        estimate = run.sources[name].auc if name in run.sources else Estimate(value=None)
        if estimate.value is None:
            continue
        out = unseen(run, name)
        axes.bar(
            x,
            estimate.value,
            width=0.92 * breadth,
            facecolor="white" if out else pen.colour,
            edgecolor=pen.colour,
            hatch="////" if out else None,
        )
        low = estimate.value if estimate.low is None else estimate.low
        high = estimate.value if estimate.high is None else estimate.high
        error = np.array([[max(estimate.value - low, 0)], [max(high - estimate.value, 0)]])
        axes.errorbar(x, estimate.value, error, color="black", elinewidth=0.9, capsize=2.5)
        axes.annotate(f"{estimate.value:.2f}", (x, high + 0.015), fontsize=6.5, ha="center")


def _legend(axes: "Axes", runs: Sequence[Run], labels: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=pen.colour, label=label)
        for label, pen in zip(labels, paper.pens(len(runs)), strict=True)
    ]
    if any(unseen(run, name) for run in runs for name in run.sources):
        label = "source that the model never saw"
        handles.append(Patch(facecolor="white", edgecolor=paper.QUIET, hatch="////", label=label))
    axes.set_axis_off()
    axes.legend(handles=handles, loc="upper left", borderaxespad=0)


def _named(run: Run) -> str:
    seen = f", trained on {', '.join(run.trained_on)}" if run.trained_on else ""
    return f"{run.label}{seen}; all images together: AUC {said(run.scores.auc)}"
