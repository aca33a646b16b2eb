"""What all figures share: sizes, type, one palette, the foot, and how a figure is written."""

import io
import logging
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ladnn.errors import ConfigError, DataError
from ladnn.findings import RESEARCH_NOTICE
from ladnn.paths import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.5, 7.2
"""Widths in inches of one column and of two, as journals set them (89 and 183 mm)."""

DPI = 300
FORMATS = ("png", "pdf")

OKABE_ITO = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
}
"""The palette of every figure: told apart with any colour vision (Okabe and Ito 2008)."""

POSITIVE, NEGATIVE = OKABE_ITO["vermillion"], OKABE_ITO["blue"]
QUIET = "#595959"
MAP = "plasma"
"""The colours of overlays, too: even steps of lightness, never grey."""

COUNTS = "Blues"
ENTRY = 0.15
"""Inches that a line of a key takes."""

_KEY_LETTERS, _KEY_MARGIN = 19, 0.9  # of a key: letters to an inch, inches of handle and axis
_LETTERS, _LINE = 23, 0.112  # of the foot: letters to an inch, inches to a line


class Pen(NamedTuple):
    """How one of several runs is drawn; no two differ in colour alone."""

    colour: str
    dashes: Any


_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)), (0, (8, 2)))
PENS = tuple(
    Pen(colour, _DASHES[index % len(_DASHES)]) for index, colour in enumerate(OKABE_ITO.values())
)
MARKERS = ("o", "^", "s", "D", "v", "P")
"""Of the operating points, in the order of their names."""

_PLAIN = "DejaVu Sans"
"""Comes with matplotlib, so a figure looks alike everywhere."""

_CHINESE = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Microsoft YaHei", "SimHei"),
)
"""Fonts for what the other lacks, such as a source's name in Chinese, where one is installed."""

_PARTS = re.compile(r"[^\s/]*(?:/|\s+|$)")  # between which a line may break
_FIRST_CHINESE = "\u2e80"  # mathematical text has none of what comes from here on
_SETTINGS: Any = {
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "hatch.linewidth": 0.5,
    "text.hinting": "none",  # letters keep the breadth that they are measured at
    "text.parse_math": False,  # a name may hold dollars
    "pdf.fonttype": 42,  # TrueType, embedded; journals refuse type 3
}


@contextmanager
def publication() -> Iterator[None]:
    """Draw and save inside this, and it looks as all figures do."""
    from matplotlib import rc_context

    # A font without a bold face is drawn in its own, which is no news to who draws.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with rc_context(_SETTINGS | {"font.family": _families()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)  # `undrawn` tells of them
        yield


def _families() -> list[str]:
    """The fonts to draw with, each for what those before it lack."""
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [_PLAIN, *(name for name in _CHINESE if name in installed)]


def undrawn(figure: "Figure") -> str:
    """The characters of a figure that was saved for which there is no font: boxes stand there."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.text import Text

    fonts = [get_font(findfont(FontProperties(family=name))) for name in _families()]
    known = {chr(code) for font in fonts for code in font.get_charmap()}
    texts = figure.findobj(Text)
    shown = {character for one in texts for character in one.get_text()}
    return "".join(sorted(one for one in shown - known if one.isprintable()))


def sheet(width: float, height: float) -> "Figure":
    """An empty figure of so many inches; no window, no state shared with another."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panel(axes: "Axes", letter: str, title: str) -> None:
    """Give one part of a figure its letter and title."""
    if max(title) >= _FIRST_CHINESE:
        axes.set_title(f"{letter}  {title}")
        return
    plain = title.replace("$", r"\$")
    axes.set_title(f"$\\bf{{{letter}}}$  {plain}", parse_math=True)


def marks(points: Iterable[Iterable[str]]) -> dict[str, str]:
    """A marker for each operating point that any of several models has, the same in all of them.

    Raises:
        ConfigError: for more points than can be told apart.
    """
    names = dict.fromkeys(name for of_one in points for name in of_one)
    if len(names) > len(MARKERS):
        raise ConfigError(
            f"{len(names)} operating points are more than can be told apart in one figure: give "
            f"results of at most {len(MARKERS)}"
        )
    return dict(zip(names, MARKERS, strict=False))


def name_points(axes: "Axes", marked: Mapping[str, str]) -> None:
    """Name the markers of `marks` once in the key, in ink that belongs to no model."""
    for name, marker in marked.items():
        axes.plot([], [], marker, label=f"operating point: {name}", **hollow(Pen(QUIET, "-")))


def foot(figure: "Figure", *lines: str, notice: bool = True, pad: float = 0.042) -> None:
    """Write how a figure was made at its foot, and that models are for research use only.

    `pad` is the room around each part of the figure, in inches.
    """
    width, height = figure.get_size_inches()
    said = [line for line in lines if line] + ([RESEARCH_NOTICE] if notice else [])
    letters = int(width * _LETTERS)
    wrapped = [
        part for line in said for part in textwrap.wrap(line, letters, subsequent_indent="  ")
    ]
    share = (len(wrapped) * _LINE + 0.1) / height
    figure.set_layout_engine(
        "constrained", rect=(0, share, 1, 1 - share), w_pad=pad, h_pad=pad, wspace=0, hspace=0
    )
    text = "\n".join(wrapped)
    figure.text(0.01, 0.03 / height, text, fontsize=6, color=QUIET, va="bottom", in_layout=False)


def rate_axis(axes: "Axes", *, x: str, y: str) -> None:
    """Both axes from 0 to 1."""
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])


def whole_numbers(axis: "Axis") -> None:
    """No tick between two counts."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def pens(count: int) -> tuple[Pen, ...]:
    """One pen for each run.

    Raises:
        ConfigError: for more runs than can be told apart.
    """
    if count > len(PENS):
        raise ConfigError(
            f"{count} results are more than can be told apart in one figure: give at most "
            f"{len(PENS)}"
        )
    return PENS[:count]


def fold(text: str, letters: int) -> str:
    """Break a text into lines of at most so many letters; a Chinese one is as broad as two."""
    broad = sum(letter >= _FIRST_CHINESE for letter in text)
    most = max(1, letters * len(text) // max(1, len(text) + broad))
    lines = [""]
    for part in _PARTS.findall(text):
        if len(lines[-1] + part.rstrip()) <= most:
            lines[-1] += part
        else:
            lines += [part[at : at + most] for at in range(0, len(part), most)]
    return "\n".join(line.rstrip() for line in lines if line)


def entries(labels: Iterable[str], width: float) -> float:
    """How many inches a `key` of these labels is high, in a part of the figure so many wide."""
    return ENTRY * sum(fold(label, _key_letters(width)).count("\n") + 1 for label in labels)


def _key_letters(width: float) -> int:
    return int(_KEY_LETTERS * (width - _KEY_MARGIN))


def key(axes: "Axes", of: "Axes", width: float) -> None:
    """The legend of one part in a part of its own, `width` inches wide, where it covers nothing."""
    axes.set_axis_off()
    handles, found = of.get_legend_handles_labels()
    labels = [fold(label, _key_letters(width)) for label in found]
    axes.legend(handles, labels, loc="upper left", handlelength=3.2, borderaxespad=0)


def hollow(pen: Pen) -> dict[str, Any]:
    """How an operating point is marked on the curve that this pen draws."""
    edge = {"markeredgecolor": pen.colour, "markeredgewidth": 1.2}
    return {"markerfacecolor": "white", "markersize": 5, "zorder": 5, **edge}


# ------------------------------------------------------------------ files


def claim(folder: Path, stem: str, *, overwrite: bool) -> None:
    """Make the folder of a figure, before any work is done.

    Raises:
        DataError: when the figure is there and may not be replaced, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the output folder {folder} cannot be used ({error.strerror}): give another"
        ) from error
    there = [path for path in _paths(folder, stem) if path.exists()]
    if there and not overwrite:
        raise DataError(f"{there[0]} is already there: give --overwrite, or another --output")


def _paths(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}.{kind}" for kind in FORMATS]


def save(figure: "Figure", folder: Path, stem: str) -> list[Path]:
    """Write the figure as PNG and PDF; the same figure gives the same bytes.

    Raises:
        DataError: when a file cannot be written.
    """
    # Neither the date nor the version of a library, so that two runs can be compared.
    dateless: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    written = {}
    for path, kind in zip(_paths(folder, stem), FORMATS, strict=True):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=dateless[kind])
        written[path] = buffer.getvalue()
    for path, data in written.items():
        write_whole(path, data)
    return list(written)
