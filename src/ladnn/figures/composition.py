"""Figure 3: lesions per image, lesions that appear together, what the negatives are."""

from typing import TYPE_CHECKING

import numpy as np

from ladnn.errors import DataError
from ladnn.figures import paper
from ladnn.findings import LESIONS
from ladnn.summary import UNKNOWN, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 44  # letters of a diagnosis, in two lines

MOST = 12
"""Diagnoses that have a bar of their own; the rarer ones share the last."""


def choose(summaries: tuple[Summary, ...], source: str | None) -> Summary:
    """The summary of one source, or of all without one.

    Raises:
        DataError: for a source that the manifest does not have.
    """
    named = {one.source: one for one in summaries}
    if source is None and summaries:
        return summaries[-1]
    if source not in named:
        raise DataError(f"the manifest has no source {source!r}: choose of {', '.join(named)}")
    return named[source]


def draw(summary: Summary, labels: str) -> "Figure":
    """Draw the three parts from the numbers of `summary`; `labels` names the label set."""
    figure = paper.sheet(paper.PAGE, 2.75)
    lesions, together, negatives = figure.subplots(1, 3, width_ratios=(1, 1.15, 1.1))
    _lesions_per_image(lesions, summary)
    _concordance(together, summary)
    _negatives(negatives, summary)
    counts = {flag: row["all"] for flag, row in summary.table.items()}
    said = ", ".join(
        f"{count.images} {flag} images of {count.patients} patients"
        for flag, count in counts.items()
    )
    labelled = f"; label set {labels}" if labels else ""
    paper.foot(figure, f"Source: {summary.source}; {said}{labelled}", notice=False)
    return figure


def _lesions_per_image(axes: "Axes", summary: Summary) -> None:
    counts = summary.lesions_per_image
    names = [str(number) for number in range(len(LESIONS) + 1)]
    heights = [counts.get(name, 0) for name in names]
    bars = axes.bar(names, heights, color=paper.POSITIVE)
    axes.bar_label(bars, fontsize=6.5, padding=1.5)
    axes.set_ylim(0, 1.12 * max(*heights, 4))
    paper.whole_numbers(axes.yaxis)
    axes.set(xlabel="Lesions in one image", ylabel="COVID-19 positive images")
    said = _known(sum(heights), counts.get(UNKNOWN, 0), "lesions")
    axes.text(0.98, 0.97, said, transform=axes.transAxes, ha="right", va="top", fontsize=6.5)
    paper.panel(axes, "a", "Lesions per image")


def _known(known: int, unknown: int, of: str) -> str:
    """How many images a part shows and leaves out: a bar of these would dwarf all others."""
    return f"n = {known}" + (f"\n{of} of {unknown}\nmore unknown" if unknown else "")


def _concordance(axes: "Axes", summary: Summary) -> None:
    """The lower triangle: the upper one would say the same again."""
    counts = np.array(summary.concordance)
    shown = np.ma.masked_array(counts, np.triu(np.ones_like(counts, dtype=bool), k=1))
    top = max(int(counts.max()), 1)
    axes.imshow(shown, cmap=paper.COUNTS, vmin=0, vmax=top, aspect="auto")
    for row, column in np.argwhere(np.tril(np.ones_like(counts))).tolist():
        ink = "white" if counts[row, column] > 0.55 * top else "black"
        style = "bold" if row == column else "normal"
        axes.text(
            column, row, str(counts[row, column]), ha="center", va="center", color=ink, weight=style
        )
    axes.set_xticks(range(len(LESIONS)), LESIONS, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(LESIONS)), LESIONS)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    note = "images with both lesions;\non the diagonal, all with it"
    axes.text(4.48, -0.4, note, fontsize=6, ha="right", va="top")
    paper.panel(axes, "b", "Lesions together")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"


def _negatives(axes: "Axes", summary: Summary) -> None:
    counts = [item for item in summary.negatives.items() if item[0] != UNKNOWN]
    if len(counts) > MOST:
        rest = counts[MOST - 1 :]
        counts = [*counts[: MOST - 1], (f"{len(rest)} others", sum(n for _, n in rest))]
    names = [paper.fold(_short(name), 22) for name, _ in counts]
    bars = axes.barh(range(len(counts)), [n for _, n in counts], color=paper.NEGATIVE, height=0.72)
    axes.bar_label(bars, fontsize=6.5, padding=2)
    axes.set_yticks(range(len(counts)), names)
    axes.set_ylim(max(len(counts), 4) + 0.6, -0.6)  # room for the words at the foot
    axes.margins(x=0.14)
    paper.whole_numbers(axes.xaxis)
    axes.set(xlabel="COVID-19 negative images")
    said = _known(sum(n for _, n in counts), summary.negatives.get(UNKNOWN, 0), "diagnosis")
    axes.text(0.98, 0.03, said, transform=axes.transAxes, ha="right", fontsize=6.5)
    paper.panel(axes, "c", "Negatives")
