"""Figure 5: images with their boxes, and where two models looked, ten rows of five."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ladnn.csvs import read_named
from ladnn.errors import ConfigError, DataError
from ladnn.figures import paper
from ladnn.figures.runs import Run, same_images
from ladnn.heatmaps import Heatmaps, read_heatmaps
from ladnn.imaging import read_image
from ladnn.overlay import alone, blend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the image as it is

ROWS = 10
_SIDE = 600  # pixels of a picture at most: a column is 400 dots wide
_HEIGHT, _BAR = 0.95, 0.06  # inches of a row, and of the colours under the last
_LETTERS = 24  # of a head to a line
_COLUMNS = ("path", "x0", "y0", "x1", "y1")


@dataclass(frozen=True, kw_only=True)
class Looking:
    """One model's result with its maps."""

    run: Run
    maps: Heatmaps


def read_looking(runs: Sequence[Run]) -> list[Looking]:
    """The maps beside each result, all in the order of the first, so that a row is one image.

    Raises:
        DataError: when a result has none, or when the results are not of the same images.
    """
    same_images(runs)
    read = [Looking(run=run, maps=read_heatmaps(run.folder, run.cases.paths)) for run in runs]
    return [_in_order(one, runs[0].cases.paths) for one in read]


def _in_order(one: Looking, paths: Sequence[str]) -> Looking:
    """The same images, listed as `paths` lists them: two manifests may list them differently."""
    place = {path: row for row, path in enumerate(one.run.cases.paths)}
    rows = np.array([place[path] for path in paths], dtype=np.intp)
    run = replace(one.run, cases=one.run.cases.of(rows))
    values, boxes = one.maps.values[rows], one.maps.boxes[rows]
    return Looking(run=run, maps=Heatmaps(paths=run.cases.paths, values=values, boxes=boxes))


def read_boxes(path: Path, run: Run) -> dict[str, list[Box]]:
    """Boxes by the path of their image: CSV with path, x0, y0, x1, y1 in pixels of the image.

    Raises:
        DataError: for a file that cannot be read, a corner that is no number or lies on the wrong
            side, and an image that was not judged.
    """
    otherwise = "give columns path, x0, y0, x1, y1, in pixels"
    boxes: dict[str, list[Box]] = {}
    for line, row in read_named(path, _COLUMNS, otherwise):
        image = find(run, row["path"])
        try:
            x0, y0, x1, y1 = (float(row[name]) for name in _COLUMNS[1:])
        except ValueError as error:
            raise DataError(
                f"{path} line {line} has a corner that is no number: give pixels"
            ) from error
        if not (0 <= x0 < x1 < np.inf and 0 <= y0 < y1 < np.inf):
            raise DataError(f"{path} line {line} is no box: give x0 < x1 and y0 < y1, from 0 on")
        boxes.setdefault(run.cases.paths[image], []).append((x0, y0, x1, y1))
    return boxes


def find(run: Run, name: str) -> int:
    """The row of an image, by its path or the end of it.

    Raises:
        DataError: for a name of none or of several.
    """
    parts = Path(name).parts
    rows = [
        row
        for row, path in enumerate(run.cases.paths)
        if parts and Path(path).parts[-len(parts) :] == parts
    ]
    if len(rows) != 1:
        which = "several images" if rows else "no image"
        todo = "give more of its path" if rows else "give the path of one that was judged"
        raise DataError(f"{name} names {which} in {run.folder}: {todo}")
    return rows[0]


def choose(run: Run, named: Sequence[str], boxes: Mapping[str, Sequence[Box]]) -> list[int]:
    """Rows to show: those named, else those with boxes, else ten that nobody picked.

    These are positive, each of another patient, at even steps from the most to the least certain.

    Raises:
        ConfigError: for more than ten names. DataError: for a name as `find`, and without
            positives.
    """
    if len(named) > ROWS:
        raise ConfigError(f"{len(named)} images do not fit on a page: name at most {ROWS}")
    if named:
        return [find(run, name) for name in named]
    if boxes:
        return [run.cases.paths.index(path) for path in boxes][:ROWS]
    first: dict[str, int] = {}
    for row in np.argsort(-run.cases.probabilities, kind="stable").tolist():
        if run.cases.labels[row]:
            first.setdefault(run.cases.patients[row], row)
    if not first:
        raise DataError(f"{run.folder} judged no positive image: name the images to show")
    steps = np.linspace(0, len(first) - 1, min(ROWS, len(first))).round().astype(int)
    return [list(first.values())[step] for step in steps]


def draw(
    first: Looking,
    second: Looking,
    rows: Sequence[int],
    boxes: Mapping[str, Sequence[Box]],
    *,
    picked: bool = False,
) -> "Figure":
    """One row for each image: the image, then map and overlay of the first and of the second.

    `picked` is whether a person named the images.

    Raises:
        ImageError: for an image that cannot be read.
        DataError: for a box beyond its image.
    """
    figure = paper.sheet(paper.PAGE, _HEIGHT * len(rows) + 0.75)
    places = figure.add_gridspec(len(rows) + 1, 5, height_ratios=[_HEIGHT] * len(rows) + [_BAR])
    grid = np.array(
        [[figure.add_subplot(places[row, n]) for n in range(5)] for row in range(len(rows))]
    )
    for line, row in zip(grid, rows, strict=True):
        _row(line, row, (first, second), boxes)
    heads = ["CT image", *(f"{one.run.label}, {what}" for one in (first, second) for what in _WHAT)]
    for axes, letter, head in zip(grid[0], "abcde", heads, strict=True):
        paper.panel(axes, letter, paper.fold(head, _LETTERS))
        axes.title.set_fontsize(6.5)
    _scale(figure.add_subplot(places[-1, 3:]))
    paper.foot(figure, *_how(first.run, second.run, boxed=len(boxes), picked=picked), pad=0.02)
    return figure


_WHAT = ("map", "overlay")


def _how(first: Run, second: Run, *, boxed: int, picked: bool) -> list[str]:
    boxes = "; green boxes: given with the images" if boxed else ""
    modes = ", ".join(f"{run.label}: {run.mode}" for run in (first, second))
    return [
        f"Grad-CAM++ for COVID-19; the peak of a map is the probability, which stands in its corner"
        f"{boxes}. Grey: not seen by the network",
        f"{second.split} split; {modes}. {_which(second, boxed=boxed, picked=picked)}",
    ]


def _which(run: Run, *, boxed: int, picked: bool) -> str:
    """Which images are shown, as `choose` chose them."""
    if picked:
        return "Images named by hand"
    if boxed > ROWS:
        return f"The first {ROWS} of {boxed} images with boxes"
    if boxed:
        return "Images with boxes"
    return (
        "COVID-19 positive images, one a patient, at even steps from the most to the least "
        f"certain of {run.label}"
    )


def _row(
    line: Sequence["Axes"],
    row: int,
    pair: tuple[Looking, Looking],
    boxes: Mapping[str, Sequence[Box]],
) -> None:
    path = pair[0].run.cases.paths[row]
    image = read_image(Path(path))
    picture = Image.fromarray(image.pixels).convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    _show(line[0], picture)
    for given in boxes.get(path, ()):
        x0, y0, x1, y1 = _scaled(given, image.size, picture.size, path)
        line[0].add_patch(_rectangle(x0, y0, x1 - x0, y1 - y0))
    for place, one in zip((1, 3), pair, strict=True):
        heatmap: NDArray[np.float32] = one.maps.values[row, 0].astype(np.float32)
        x0, y0, x1, y1 = one.maps.boxes[row].tolist()
        _show(line[place], alone(picture.size, heatmap, (x0, y0, x1, y1)))
        _show(line[place + 1], blend(picture, heatmap, (x0, y0, x1, y1)))
        chance = f"{one.run.cases.probabilities[row]:.2f}"
        box = {"facecolor": "black", "edgecolor": "none", "pad": 1}
        line[place + 1].text(
            0.02, 0.03, chance, transform=line[place + 1].transAxes, color="white", bbox=box
        )


def _scaled(box: Box, whole: tuple[int, int], shown: tuple[int, int], path: str) -> Box:
    """A box in pixels of the image as it is, in those of the picture that is shown of it.

    Args:
        box: as it was given.
        whole: height and width of the image, before anything was reduced.
        shown: width and height of the picture.
        path: of the image.

    Raises:
        DataError: for a box beyond its image.
    """
    height, width = whole
    if box[2] > width or box[3] > height:
        raise DataError(
            f"a box of {path} reaches beyond its {width} x {height} pixels: give boxes in pixels "
            "of the image as it is"
        )
    across, down = shown[0] / width, shown[1] / height
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def _rectangle(x: float, y: float, width: float, height: float) -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, fill=False, edgecolor="#00E676", linewidth=1)


def _show(axes: "Axes", picture: Image.Image) -> None:
    axes.imshow(np.asarray(picture))
    axes.set_axis_off()


def _scale(axes: "Axes") -> None:
    """The colours of the maps, once, in a row of their own, so that panels stay in line."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(0, 1), paper.MAP)
    bar = axes.figure.colorbar(colours, cax=axes, orientation="horizontal")
    bar.set_ticks([0, 0.5, 1])
    bar.set_label("map, as a probability", fontsize=6)
