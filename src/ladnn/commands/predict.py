"""`ladnn predict`: images in, one line of JSON or of a table for each out, and overlays."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.answers import JsonPrinter, Line, TablePrinter, progress, tell
from ladnn.commands.inputs import Images, given
from ladnn.commands.opening import open_predictor
from ladnn.errors import ConfigError, ImageError, LadnnError
from ladnn.findings import Prediction
from ladnn.paths import is_folder, is_missing

# Everything heavy is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from ladnn.bundle import Card
    from ladnn.imaging import CtImage
    from ladnn.runtime import Assessment
    from ladnn.study import StudyPrediction

app = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file to predict, or the reason why a path given holds none."""

    path: Path
    error: LadnnError | None = None


@app.command()
def predict(
    paths: Images,
    bundle: Annotated[str, typer.Option(help="A bundle's folder or shipped name.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each line.")] = False,
    heatmaps: Annotated[
        Path | None, typer.Option(parser=given, help="Write an overlay of each here.")
    ] = None,
    operating_point: Annotated[str, typer.Option(help="A name in the card.")] = "balanced",
    study: Annotated[
        bool, typer.Option(help="Add one result for each folder or DICOM study.")
    ] = False,
    frame: Annotated[int | None, typer.Option(min=1, help="Of a multi-frame file, from 1.")] = None,
    window: Annotated[str | None, typer.Option(metavar="L/W", help="Of DICOM, in HU.")] = None,
    engine: Annotated[str, typer.Option(help="openvino or onnxruntime.")] = "openvino",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
) -> None:
    """Tell the probability of COVID-19 and of five lesions for chest CT images.

    Folders are searched through, hidden files left out. A file that fails is named with its reason,
    the others go on, and the exit code is then 1.

    Example: ladnn predict scan.png study/ --heatmaps overlays --json
    """
    if heatmaps is not None:
        _refuse_among_images(paths, heatmaps)
    items = list(find_items(paths, skip=heatmaps))
    reader = _reader(window, None if frame is None else frame - 1)
    threading.Thread(target=_warm, args=(heatmaps is not None,), daemon=True).start()
    _, predictor = open_predictor(bundle, operating_point, engine, threads, len(items))
    if heatmaps is not None:
        _make_folder(heatmaps)
    finish = _finisher(predictor.card, heatmaps, frame)
    printer = (
        JsonPrinter()
        if as_json
        else TablePrinter(predictor.card.calibrated, (item.path for item in items))
    )
    failed, slices = 0, _Studies()
    with progress(len(items)) as advance:
        for item, result in predictor.each(items, reader, finish, operating_point):
            advance()
            if isinstance(result, LadnnError):
                failed += 1
                printer.failure(item.path, result)
            else:
                slices.add(result)
                printer.image(result)
                if result.lost is not None:
                    failed += 1
                    tell(result.path, result.lost)
    if study:
        for one in slices.results(predictor.card, operating_point):
            printer.study(one)
    printer.end(heatmaps if failed < len(items) else None)
    if failed:
        raise typer.Exit(1)


def find_items(paths: Iterable[Path], skip: Path | None = None) -> Iterator[Item]:
    """List the files to predict, in the order given; a folder's own are sorted by their paths.

    A folder is searched through. Hidden files and folders in it are left out, and so is `skip`,
    the folder that overlays are written to. What cannot be listed becomes an item with its error,
    and so does a pattern as it was typed.
    """
    for path in paths:
        if not is_folder(path):
            yield Item(path=path, error=_unfilled(path))
            continue
        found = sorted(_walk(path, skip), key=lambda item: item.path.parts)
        yield from found or [Item(path=path, error=_nothing(path))]


def _unfilled(path: Path) -> ImageError | None:
    """What to say of a pattern that no shell has replaced by files; None for any other path."""
    if not set("*?[") & set(str(path)) or not is_missing(path):
        return None
    return ImageError(
        f"{path} does not exist: it is the shell that fills in a pattern, so give it without "
        "quotes, and one that fits a file"
    )


def _nothing(path: Path) -> ImageError:
    return ImageError(
        f"the folder {path} holds no file that is neither hidden nor in a linked folder: give one "
        "with images"
    )


def _walk(folder: Path, skip: Path | None) -> Iterator[Item]:
    skipped = None if skip is None else skip.resolve()
    refused: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=refused.append):
        here = Path(root)
        folders[:] = [f for f in folders if f[0] != "." and (here / f).resolve() != skipped]
        yield from (Item(path=here / name) for name in files if name[0] != ".")
    for error in refused:
        reason = f"the folder cannot be listed ({error.strerror}): ask for permission to read it"
        yield Item(path=Path(str(error.filename)), error=ImageError(reason))


def parse_window(text: str) -> tuple[float, float]:
    """Read `L/W` in HU; raise typer.BadParameter for anything else."""
    level, _, width = text.partition("/")
    try:
        values = float(level), float(width)
    except ValueError:
        values = 0.0, 0.0
    if not 0 < values[1] <= 65536 or not abs(values[0]) <= 65536:
        raise typer.BadParameter(f"{text!r} is not a window: give level/width in HU, as -600/1500")
    return values


def _reader(window: str | None, frame: int | None) -> "Callable[[Item], CtImage]":
    chosen = None if window is None else parse_window(window)
    from ladnn.imaging import LUNG_WINDOW, Window, read_image

    shown = LUNG_WINDOW if chosen is None else Window(level=chosen[0], width=chosen[1])

    def read(item: Item) -> "CtImage":
        if item.error is not None:
            raise item.error
        return read_image(item.path, window=shown, frame=frame)

    return read


def _warm(overlays: bool) -> None:
    """Import what the first image will need, on the core that compiling the graph leaves idle."""
    if overlays:
        import_module("ladnn.overlay").warm()


def _refuse_among_images(paths: Iterable[Path], heatmaps: Path) -> None:
    """Refuse a folder of images for the overlays.

    Beside images that are read, they would be read as images by the next call; and their own
    folder, below one that is read, is left out with all that is in it.
    """
    place = heatmaps.resolve()
    for folder in dict.fromkeys(path if is_folder(path) else path.parent for path in paths):
        if folder.resolve() == place:
            raise typer.BadParameter(
                f"the overlays would lie among the images of the folder {folder} and be read as "
                "images by the next call: give --heatmaps another folder"
            )
    if any(is_folder(path) and place.is_relative_to(path.resolve()) for path in paths):
        _refuse_left_out(heatmaps)


def _refuse_left_out(heatmaps: Path) -> None:
    from ladnn.overlay import is_file_name

    for _, _, files in os.walk(heatmaps):
        for name in files:
            if name[0] != "." and not is_file_name(name):
                raise typer.BadParameter(
                    f"the folder {heatmaps} holds {name}, which would be left out with the "
                    "overlays: give --heatmaps a folder of its own"
                )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} for overlays cannot be made ({error.strerror}): "
            "give --heatmaps another one"
        ) from error


def _finisher(
    card: "Card", heatmaps: Path | None, frame: int | None
) -> "Callable[[Item, CtImage, Assessment], Line]":
    """What is left to do in a worker once an image is assessed: draw it, and keep what is short."""

    def finish(item: Item, image: "CtImage", said: "Assessment") -> Line:
        target = lost = None
        if heatmaps is not None:
            from ladnn import overlay

            target = heatmaps / overlay.file_name(item.path, frame)
            point = card.operating_point(said.prediction.operating_point)
            sheet = overlay.draw(
                image.pixels,
                said.maps,
                said.prediction,
                box=said.field.box,
                calibrated=card.calibrated,
                cuts=(point.low, point.high),
                name=_shown(item, image),
            )
            try:
                overlay.save(sheet, target)
            except ImageError as error:  # the answer is not lost with its picture
                target, lost = None, error
        study = image.study or image.series or str(item.path.parent)
        return Line(
            path=item.path,
            prediction=said.prediction,
            heatmap=target,
            study=study,
            frame=image.frame + 1 if image.frames > 1 else None,
            lost=lost,
        )

    return finish


def _shown(item: Item, image: "CtImage") -> str:
    """What a sheet calls its image: the path, and the frame where the file has several."""
    several = f"   frame {image.frame + 1} of {image.frames}" if image.frames > 1 else ""
    return f"{item.path}{several}"


class _Studies:
    """The predictions of each DICOM study, or of each folder for files that name no study."""

    def __init__(self) -> None:
        self._slices: dict[str, dict[str, Prediction]] = {}
        self._names: dict[str, str] = {}

    def add(self, line: Line) -> None:
        """Take one in; a file that was given twice, or a copy of one, counts once."""
        # a folder is one however it is spelled; resolve() would take linked files out of theirs
        name = self._names.setdefault(os.path.abspath(line.study), line.study)  # noqa: PTH100
        self._slices.setdefault(name, {})[line.prediction.sha256] = line.prediction

    def results(self, card: "Card", operating_point: str) -> "Iterator[StudyPrediction]":
        from ladnn.study import aggregate

        for name, predictions in self._slices.items():
            yield aggregate(name, list(predictions.values()), card, operating_point)
