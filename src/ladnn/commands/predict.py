"""`ladnn predict`: images in, one line of JSON or of a table for each out, and overlays."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ladnn.commands.opening import open_predictor
from ladnn.errors import ConfigError, ImageError, LadnnError
from ladnn.findings import LESIONS, RESEARCH_NOTICE, Prediction

# Everything heavy is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from ladnn.bundle import Card
    from ladnn.imaging import CtImage
    from ladnn.runtime import Assessment
    from ladnn.study import StudyPrediction

app = typer.Typer()

_NAME_WIDTH = 44
_SLOW = 2.0  # seconds after which a progress bar is shown


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file to predict, or the reason why a path given holds none."""

    path: Path
    error: LadnnError | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One image that was predicted."""

    path: Path
    prediction: Prediction
    heatmap: Path | None
    study: str

    def to_json(self) -> dict[str, Any]:
        """The image's line, with the keys of the design in their order."""
        said = self.prediction.to_json()
        head = {"path": str(self.path)}
        heatmap = None if self.heatmap is None else str(self.heatmap)
        order = ("sha256", "covid", "lesions", "in_distribution", "heatmap", "model")
        body = said | {"heatmap": heatmap}
        return head | {key: body[key] for key in (*order, "research_use_only")}


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    bundle: Annotated[str, typer.Option(help="A bundle's folder or shipped name.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each line.")] = False,
    heatmaps: Annotated[Path | None, typer.Option(help="Write an overlay of each here.")] = None,
    operating_point: Annotated[str, typer.Option(help="A name in the card.")] = "balanced",
    study: Annotated[
        bool, typer.Option(help="Add one result for each folder or DICOM study.")
    ] = False,
    frame: Annotated[int | None, typer.Option(min=0, help="Of a multi-frame file.")] = None,
    window: Annotated[str | None, typer.Option(metavar="L/W", help="Of DICOM, in HU.")] = None,
    engine: Annotated[str, typer.Option(help="openvino or onnxruntime.")] = "openvino",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
) -> None:
    """Tell the probability of COVID-19 and of five lesions for chest CT images.

    Folders are searched through, hidden files left out. A file that fails is named with its reason,
    the others go on, and the exit code is then 1.

    Example: ladnn predict scan.png study/ --heatmaps overlays --json
    """
    items = list(find_items(paths, skip=heatmaps))
    reader = _reader(window, frame)
    threading.Thread(target=_warm, args=(heatmaps is not None,), daemon=True).start()
    _, predictor = open_predictor(bundle, operating_point, engine, threads, len(items))
    if heatmaps is not None:
        _make_folder(heatmaps)
    finish = _finisher(predictor.card, heatmaps, frame)
    printer = _JsonPrinter() if as_json else _TablePrinter(predictor.card, items)
    failed, slices = 0, _Studies()
    with _progress(len(items)) as advance:
        for item, result in predictor.each(items, reader, finish, operating_point):
            advance()
            if isinstance(result, LadnnError):
                failed += 1
                printer.failure(item.path, result)
            else:
                slices.add(result)
                printer.image(result)
    if study:
        for one in slices.results(predictor.card, operating_point):
            printer.study(one)
    printer.end(heatmaps)
    if failed:
        raise typer.Exit(1)


def find_items(paths: Iterable[Path], skip: Path | None = None) -> Iterator[Item]:
    """List the files to predict, in the order given; a folder's own are sorted by their paths.

    A folder is searched through. Hidden files and folders in it are left out, and so is `skip`,
    the folder that overlays are written to. What cannot be listed becomes an item with its error.
    """
    for path in paths:
        if not path.is_dir():
            yield Item(path=path)
            continue
        found = sorted(_walk(path, skip), key=lambda item: item.path.parts)
        yield from found or [Item(path=path, error=_nothing(path))]


def _nothing(path: Path) -> ImageError:
    return ImageError(f"the folder {path} holds no file that is not hidden: give one with images")


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
        target = None
        if heatmaps is not None:
            from ladnn import overlay

            target = heatmaps / overlay.file_name(item.path, frame)
            sheet = overlay.draw(
                image.pixels,
                said.maps,
                said.prediction,
                box=said.field.box,
                calibrated=card.calibrated,
                name=str(item.path),
            )
            overlay.save(sheet, target)
        study = image.study or image.series or str(item.path.parent)
        return Line(path=item.path, prediction=said.prediction, heatmap=target, study=study)

    return finish


class _Studies:
    """The predictions of each DICOM study, or of each folder for files that name no study."""

    def __init__(self) -> None:
        self._slices: dict[str, list[Prediction]] = {}

    def add(self, line: Line) -> None:
        self._slices.setdefault(line.study, []).append(line.prediction)

    def results(self, card: "Card", operating_point: str) -> "Iterator[StudyPrediction]":
        from ladnn.study import aggregate

        for name, predictions in self._slices.items():
            yield aggregate(name, predictions, card, operating_point)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


class _JsonPrinter:
    """JSON Lines, in ASCII so that any file name survives any terminal or pipe."""

    def image(self, line: Line) -> None:
        _print(json.dumps(line.to_json()))

    def failure(self, path: Path, error: LadnnError) -> None:
        _print(json.dumps({"path": str(path), "error": str(error)}))

    def study(self, study: "StudyPrediction") -> None:
        _print(json.dumps(study.to_json()))

    def end(self, heatmaps: Path | None) -> None:
        """Nothing more: every line is a result."""


class _TablePrinter:
    """A table for people; failures go to stderr, so that each is read where errors are."""

    def __init__(self, card: "Card", items: list[Item]) -> None:
        self._known = card.calibrated
        longest = max((len(str(item.path)) for item in items), default=0)
        self._width = max(12, min(_NAME_WIDTH, longest))
        lesions = LESIONS if self._known else ()
        names = "".join(f"  {lesion:>9}" for lesion in lesions)
        _print(f"{'image':{self._width}}  {'COVID-19':>8}  {'decision':14}{names}  {'in-dist.':>8}")

    def image(self, line: Line) -> None:
        said = line.prediction
        self._row(str(line.path), said, f"{said.score:8.3f}")

    def study(self, study: "StudyPrediction") -> None:
        self._row(f"study {study.name}", study, f"{study.assessable}/{study.slices} slices")

    def _row(self, name: str, said: "Prediction | StudyPrediction", last: str) -> None:
        values = zip(said.lesions or (), self._known, strict=True)
        lesions = "".join(f"  {value:8.3f}{' ' if known else '*'}" for value, known in values)
        shown = plain(name, self._width)
        covid = f"{said.probability:8.3f}  {said.decision:14}"
        _print(f"{shown:{self._width}}  {covid}{lesions}  {last:>8}")

    def failure(self, path: Path, error: LadnnError) -> None:
        sys.stderr.write(f"{plain(str(path), 200)}: {plain(str(error), 1000)}\n")

    def end(self, heatmaps: Path | None) -> None:
        if not all(self._known):
            _print("* too few examples: this lesion's probability is not calibrated")
        if heatmaps is not None:
            _print(f"Overlays: {plain(str(heatmaps), 500)}")
        _print(RESEARCH_NOTICE)


def plain(text: str, width: int) -> str:
    """The text in printable characters, its beginning cut: the end tells files apart."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= width else "..." + shown[3 - width :]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr after two seconds; none where rows are read as they come."""
    if total < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    bar = _Bar(total)
    try:
        yield bar.advance
    finally:
        bar.stop()


class _Bar:
    """A rich progress bar that appears late."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._start = total, 0, time.monotonic()
        self._bar: Any = None

    def advance(self) -> None:
        self._done += 1
        if self._bar is None and time.monotonic() - self._start > _SLOW:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("predict", total=self._total)
            self._bar.start()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
