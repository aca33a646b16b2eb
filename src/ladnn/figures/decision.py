"""Decision curve: what acting on the model would be worth, against acting on all or on none."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ladnn.figures import paper
from ladnn.figures.runs import Run, same_images
from ladnn.statistics import net_benefit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THRESHOLDS = np.linspace(0.01, 0.99, 99)


def draw(runs: Sequence[Run]) -> "Figure":
    """Net benefit over the threshold probability, of each run and of the two that need no model.

    Raises:
        DataError: when the runs are not of the same images.
        ConfigError: when there are more than can be told apart.
    """
    same_images(runs)
    marked = paper.marks(run.points for run in runs)
    width = paper.COLUMN * 1.3
    others = len(marked) + 2  # the marks and the two ways without a model
    entries = paper.entries([run.label for run in runs], width) + others * paper.ENTRY
    figure = paper.sheet(width, 3.7 + entries)
    axes, keys = figure.subplots(2, 1, height_ratios=(3.2, entries))
    lowest = [0.0]
    for run, pen in zip(runs, paper.pens(len(runs)), strict=True):
        lowest.append(_one(axes, run, pen, marked))
    labels = runs[0].cases.labels
    everyone = net_benefit(labels, np.ones(labels.size), thresholds=THRESHOLDS)
    axes.plot(THRESHOLDS, everyone, color=paper.QUIET, linewidth=0.9, label="call all positive")
    axes.axhline(0, color="black", linewidth=0.9, label="call none positive")
    paper.name_points(axes, marked)
    prevalence = float(labels.mean())
    axes.set(
        xlim=(0, 1),
        ylim=(max(min(lowest), -0.25) - 0.02, prevalence * 1.12 + 0.01),
        xlabel="Threshold probability of COVID-19",
        ylabel="Net benefit (true positives per image)",
    )
    axes.set_title("Decision curve")
    paper.key(keys, axes, width)
    paper.foot(figure, *_how(runs[0], prevalence))
    return figure


def _how(run: Run, prevalence: float) -> list[str]:
    return [
        run.sample,
        run.how("Pointwise bands"),
        f"The share of positives, {prevalence:.2f}, is this sample's and no hospital's",
    ]


def _one(axes: "Axes", run: Run, pen: paper.Pen, marked: Mapping[str, str]) -> float:
    """Draw one run; its lowest point."""
    cases = run.cases
    heights = net_benefit(cases.labels, cases.probabilities, thresholds=THRESHOLDS)
    low, high = run.bands(partial(net_benefit, thresholds=THRESHOLDS))
    axes.fill_between(THRESHOLDS, low, high, color=pen.colour, alpha=0.16, linewidth=0)
    axes.plot(THRESHOLDS, heights, color=pen.colour, linestyle=pen.dashes, label=run.label)
    for name, marker in marked.items():
        if 0 < (cut := run.points.get(name, 0)) < 1:
            height = net_benefit(cases.labels, cases.probabilities, thresholds=[cut])
            axes.plot(cut, height, marker, **paper.hollow(pen))
    return float(heights.min())
