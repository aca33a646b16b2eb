"""Figure 2: the architecture of a bundle, drawn to the sizes that its graph has."""

from collections.abc import Sequence
from math import log2, sqrt
from typing import TYPE_CHECKING

from ladnn.bundle import Bundle
from ladnn.figures import paper
from ladnn.figures.layers import Network, Stage
from ladnn.findings import LESION_NAMES, LESIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TALL, MIDDLE = 1.5, 1.35  # inches: height of the image's block, and the line through all blocks
_START, _END = 0.22, 4.75  # inches across that the blocks take
_BRANCHES = 5.75
_ROW = 2.8  # inches down


def draw(bundle: Bundle, networks: Sequence[Network]) -> "Figure":
    """Draw of each architecture the image, the stages, the pool or the hidden layers, the branches.

    A bundle whose networks differ has one row for each kind.
    """
    figure = paper.sheet(paper.PAGE, _ROW * len(networks) + 0.4)
    rows = figure.subplots(len(networks), squeeze=False)[:, 0]
    for axes, network in zip(rows, networks, strict=True):
        axes.set(xlim=(0, paper.PAGE), ylim=(0, 2.6))
        axes.set_axis_off()
        if len(networks) > 1:
            axes.text(0.05, 2.55, network.backbone, fontsize=7, va="top", weight="bold")
        last = _blocks(axes, network.stages, network.side)
        vector = _vector(axes, network, last)
        _branches(axes, network, vector)
    paper.foot(figure, *_how(bundle, networks), notice=False, pad=0.0)
    return figure


def _how(bundle: Bundle, networks: Sequence[Network]) -> list[str]:
    card = bundle.card
    lines = "Below each block: its name in the network, channels, height x width, convolutions"
    counts = [f"{n.members} networks of {n.backbone}" for n in networks if n.members > 1]
    joined = [f"logits: {card.combination.get('logits', '')}"] if len(card.members) > 1 else []
    return [
        f"{card.name} {card.version}: {card.backbone}, read from its graph. {lines}",
        "; ".join(counts + joined),
    ]


def _blocks(axes: "Axes", stages: Sequence[Stage], side: int) -> float:
    """Draw image and stages from left to right; the right edge of the last."""
    widths = [0.12, *(_width(stage) for stage in stages)]
    gap = (_END - _START - sum(widths)) / len(widths)
    x = _START
    _block(axes, x, widths[0], TALL, "#404040")
    _words(axes, x + widths[0] / 2, ["image", "1", f"{side}x{side}"])
    for number, (stage, width) in enumerate(zip(stages, widths[1:], strict=True)):
        before = x + widths[number]
        x = before + gap
        height = _height(stage, side)
        _arrow(axes, before, x)
        _block(axes, x, width, height, paper.OKABE_ITO["sky"])
        named = stage.name.replace("denseblock", "dense").replace("transition", "trans")
        size = f"{stage.height}x{stage.width}"
        lines = [named, str(stage.channels), size, f"{stage.convolutions} conv."]
        _words(axes, x + width / 2, lines, lower=number % 2 == 0 and len(stages) > _CROWDED)
    return x + widths[-1]


_CROWDED = 6


def _width(stage: Stage) -> float:
    """Breadth by the logarithm of the channels, in inches."""
    return 0.035 * max(log2(stage.channels) - 2, 1)


def _height(stage: Stage, side: int) -> float:
    """Height by the root of the share of the image's side, so that 7 of 224 can still be seen."""
    return TALL * sqrt(max(stage.height, stage.width) / side)


def _block(axes: "Axes", x: float, width: float, height: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    corner = (x, MIDDLE + 0.35 - height / 2)
    axes.add_patch(Rectangle(corner, width, height, facecolor=colour, edgecolor="black", lw=0.6))


def _arrow(axes: "Axes", start: float, end: float, rise: float = 0.0) -> None:
    """From left to right along the middle line, or up or down to a branch."""
    middle = MIDDLE + 0.35
    arrow = {"arrowstyle": "->", "lw": 0.7, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", (end, middle + rise), xytext=(start, middle), arrowprops=arrow)


def _words(axes: "Axes", x: float, lines: Sequence[str], *, lower: bool = False) -> None:
    """Lines under a block; every other block's stand lower where there are many."""
    top = MIDDLE + 0.35 - TALL / 2 - 0.06 - (0.42 if lower else 0.0)
    axes.text(x, top, "\n".join(lines), ha="center", va="top", fontsize=5.5, linespacing=1.15)


def _vector(axes: "Axes", network: Network, x: float) -> float:
    """The pool, or the hidden layers of VGG-16, and the vector that they end in."""
    lengths = network.hidden or (network.embedding,)
    names = [f"hidden {n}" for n in range(1, len(lengths) + 1)] if network.hidden else ["pooled"]
    for length, name in zip(lengths, names, strict=True):
        start = x + 0.38
        _arrow(axes, x, start)
        _block(axes, start, 0.08, 0.9, paper.OKABE_ITO["orange"])
        _words(axes, start + 0.04, [name, str(length)])
        x = start + 0.08
    return x


def _branches(axes: "Axes", network: Network, x: float) -> None:
    """COVID-19 above, the lesions below; a baseline has the first alone."""
    lesions = [LESION_NAMES[lesion] for lesion in LESIONS[: network.outputs - 1]]
    covid = ["COVID-19", "1 output"]
    parts = [(covid, paper.POSITIVE, 0.62 if lesions else 0.0)]
    if lesions:
        parts.append(([f"{len(lesions)} lesions", *lesions], paper.NEGATIVE, -0.42))
    for lines, colour, rise in parts:
        _arrow(axes, x, _BRANCHES, rise)
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "linewidth": 1.2}
        text = "\n".join(lines)
        place = (_BRANCHES + 0.06, MIDDLE + 0.35 + rise)
        axes.text(*place, text, va="center", fontsize=6, bbox=box, linespacing=1.3)
    height, width = network.map_size
    note = f"each output has a map\nof {height} x {width} (Grad-CAM++)"
    axes.text(_BRANCHES, 0.32, note, fontsize=5.5, color=paper.QUIET)
