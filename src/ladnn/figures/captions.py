"""Figure 1: images beside their report, the words that prove COVID-19 and each lesion coloured."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ladnn.dataset import Manifest, Record
from ladnn.errors import ConfigError, DataError
from ladnn.figures import paper
from ladnn.findings import LESION_NAMES, LESIONS, Lesion
from ladnn.imaging import read_image
from ladnn.reports import Course, Report, label_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COVID = "COVID-19"
COLOURS = {
    COVID: "#D55E00",
    Lesion.GGO: "#0072B2",
    Lesion.CSLD: "#8C5A2B",
    Lesion.CRPA: "#7B4FA3",
    Lesion.AIRBR: "#E69F00",
    Lesion.INSEPTHI: "#CC79A7",
}
"""The paper's hues (red, blue, brown, violet, orange, magenta) as far as they can be told apart;
each word carries the short name, too, so that nothing rests on colour alone."""

MOST, SIDE_BY_SIDE = 4, 2
_LONGEST = 900  # characters of a report that are shown
_SIZE, _LINE = 6.5, 10.5  # of the text, in points: letters, and from line to line
_LEFT, _WIDTH = 172.0, 338.0  # of the text, in points across


@dataclass(frozen=True, kw_only=True)
class Case:
    """The images that share one report."""

    records: tuple[Record, ...]
    report: Report


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One word, or the words that one mention names; `kind` is what they prove."""

    text: str
    kind: str | None
    spaced: bool = True


def cases(manifest: Manifest) -> list[Case]:
    """The reports of a manifest, each with its images.

    Raises:
        DataError: where no image has a caption.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in manifest:
        if record.caption.strip():
            groups.setdefault((record.patient, record.caption), []).append(record)
    if not groups:
        raise DataError(
            "no image of the manifest has a caption: give one of images that came with reports"
        )
    return [
        Case(records=tuple(records), report=label_report(records[0].caption))
        for records in groups.values()
    ]


def choose(found: Sequence[Case], named: Sequence[str]) -> list[Case]:
    """The reports of the images named, else three that together show the most lesions.

    Of equal ones the shorter report is taken.

    Raises:
        ConfigError: for more names than fit. DataError: for a name of no image with a report.
    """
    if len(named) > MOST:
        raise ConfigError(f"{len(named)} reports do not fit on a page: name at most {MOST}")
    if named:
        return [_named(found, name) for name in named]
    chosen: list[Case] = []
    missing = set(LESIONS)
    rest = [case for case in found if len(case.report.text) <= _LONGEST and _shown(case)]
    while rest and len(chosen) < 3:
        best = max(
            rest, key=lambda c: (len(_shown(c) & missing), len(_shown(c)), -len(c.report.text))
        )
        chosen.append(best)
        rest.remove(best)
        missing -= _shown(best)
    return chosen or list(found[:1])


def _shown(case: Case) -> set[Lesion]:
    return {finding.lesion for finding in case.report.findings if finding.present}


def _named(found: Sequence[Case], name: str) -> Case:
    """The case of an image by the last parts of its path, that image first."""
    parts = Path(name).parts
    named = [
        (case, record)
        for case in found
        for record in case.records
        if parts and record.path.parts[-len(parts) :] == parts
    ]
    if len(named) != 1:
        which = "several images with a report" if named else "no image with a report"
        todo = "give more of its path" if named else "give its name, or the end of its path"
        raise DataError(f"{name!r} names {which}: {todo}")
    [(case, first)] = named
    others = [record for record in case.records if record is not first]
    return replace(case, records=(first, *others))


def pieces(report: Report) -> list[Piece]:
    """The report as words in order, those of a mention that is not denied kept together."""
    marks = _marks(report)
    text = report.text[:_LONGEST]
    found: list[Piece] = []
    place = 0
    for start, end, kind in [*marks, (len(text), len(text), "")]:
        if start < place or end > len(text):
            continue
        found += [Piece(text=word, kind=None) for word in text[place:start].split()]
        if kind:
            # A bracket or a hyphen before the words stays with them.
            spaced = start == 0 or text[start - 1].isspace()
            words = " ".join(text[start:end].split())
            found.append(Piece(text=words, kind=kind, spaced=spaced))
        place = end
    cut = [Piece(text="...", kind=None)] if len(report.text) > _LONGEST else []
    return found + cut


def _marks(report: Report) -> list[tuple[int, int, str]]:
    """Start, end and kind of each mention that asserts it, in the order of the text.

    A lesion that is doubted has its label; what is doubted of COVID-19, or denied of another cause,
    states nothing.
    """
    stated = tuple(m for m in report.covid_mentions if m.course is not Course.UNCERTAIN)
    kinds = [(COVID, stated)]
    kinds += [(str(finding.lesion), finding.mentions) for finding in report.findings]
    return sorted(
        (mention.span.start, mention.span.end, kind)
        for kind, mentions in kinds
        for mention in mentions
        if mention.course is not Course.NEGATED
    )


@lru_cache(maxsize=4096)
def _breadth(text: str) -> float:
    """Of a text in points, as it will be set."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=_SIZE)  # of the family in which all figures are drawn
    return float(TextToPath().get_text_width_height_descent(text, font, ismath=False)[0])


def flow(words: Sequence[Piece]) -> list[tuple[float, int, Piece]]:
    """Where each piece goes: points from the left, and its line."""
    space = _breadth("n n") - 2 * _breadth("n")
    placed: list[tuple[float, int, Piece]] = []
    x, line = 0.0, 0
    for piece in words:
        glued = not piece.spaced or re.fullmatch(r"[.,;:)\]]+.*", piece.text) is not None
        start = x if glued or x == 0 else x + space
        breadth = _breadth(_set(piece))
        if start + breadth > _WIDTH and x > 0:
            start, line = 0.0, line + 1
        placed.append((start, line, piece))
        x = start + breadth
    return placed


def _set(piece: Piece) -> str:
    """The words as they are set, with the short name of what they prove."""
    if piece.kind is None:
        return piece.text
    named = piece.text.lower() == piece.kind.lower()
    return f" {piece.text} " if named else f" {piece.text} [{piece.kind}] "


def draw(chosen: Sequence[Case]) -> "Figure":
    """One row for each report: its images on the left, its words on the right.

    Raises:
        ImageError: for an image that cannot be read.
    """
    laid = [flow(pieces(case.report)) for case in chosen]
    heights = [_height(case, placed) for case, placed in zip(chosen, laid, strict=True)]
    figure = paper.sheet(paper.PAGE, sum(heights) / 72 + 0.75)
    figure.set_layout_engine("none")
    top = 1 - 0.32 / figure.get_figheight()
    _key(figure)
    for case, placed, height in zip(chosen, laid, heights, strict=True):
        share = height / 72 / figure.get_figheight()
        _images(figure, case, top, share)
        _words(figure, placed, top, share, height)
        top -= share
    shared = (
        "; two of the images that share a report"
        if any(len(case.records) > SIDE_BY_SIDE for case in chosen)
        else ""
    )
    said = f"Coloured: words that assert COVID-19 or a lesion, found by rule{shared}"
    paper.foot(figure, said)
    figure.set_layout_engine("none")
    return figure


def _height(case: Case, placed: Sequence[tuple[float, int, Piece]]) -> float:
    """Of a row in points: room for its lines, and for its images."""
    pictures = 100.0 if len(case.records) == 1 else 66.0
    return max(pictures, (placed[-1][1] + 1) * _LINE + 14)


def _images(figure: "Figure", case: Case, top: float, share: float) -> None:
    shown = case.records[:SIDE_BY_SIDE]
    room = (_LEFT - 10) / 72 / paper.PAGE
    breadth = room / len(shown)
    for place, record in enumerate(shown):
        corner = (0.005 + place * breadth, top - share * 0.97)
        axes = figure.add_axes((*corner, breadth * 0.97, share * 0.94))
        axes.imshow(read_image(record.path).pixels, cmap="gray", vmin=0, vmax=255)
        axes.set_anchor("N")
        axes.set_axis_off()


def _words(
    figure: "Figure",
    placed: Sequence[tuple[float, int, Piece]],
    top: float,
    share: float,
    height: float,
) -> None:
    left = _LEFT / 72 / paper.PAGE
    axes = figure.add_axes((left, top - share, 1 - left, share))
    axes.set(xlim=(0, paper.PAGE * 72 - _LEFT), ylim=(height, 0))
    axes.set_axis_off()
    for x, line, piece in placed:
        _put(axes, x, line * _LINE + _LINE, piece)


def _put(axes: "Axes", x: float, y: float, piece: Piece) -> None:
    from matplotlib.patches import Rectangle

    if piece.kind is not None:
        ink = COLOURS[piece.kind]
        area = (x, y - 0.78 * _LINE), _breadth(_set(piece)), _LINE * 0.96
        axes.add_patch(Rectangle(*area, facecolor=ink, alpha=0.28, linewidth=0))
        axes.plot([x, x + area[1]], [y + 0.18 * _LINE] * 2, color=ink, linewidth=1.2)
    axes.text(x, y, _set(piece), fontsize=_SIZE, va="baseline")


def _key(figure: "Figure") -> None:
    from matplotlib.patches import Patch

    names = {COVID: COVID} | {str(one): f"{one}: {LESION_NAMES[one].lower()}" for one in LESIONS}
    handles = [Patch(facecolor=COLOURS[kind], label=name) for kind, name in names.items()]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=6,
        fontsize=5.5,
        handlelength=1.2,
        columnspacing=1.0,
        bbox_to_anchor=(0.0, 1.0),
    )
