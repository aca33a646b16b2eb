"""What the commands that predict print: JSON Lines or a table, and a bar while they are at work."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladnn.errors import LadnnError
from ladnn.findings import LESIONS, RESEARCH_NOTICE, Prediction

if TYPE_CHECKING:
    from ladnn.study import StudyPrediction

_NAME_WIDTH = 44
_SLOW = 2.0  # seconds after which a progress bar is shown


@dataclass(frozen=True, kw_only=True)
class Line:
    """One image that was predicted.

    Attributes:
        heatmap: a file, or an address on a site.
        lost: why there is no overlay, though one was asked for.
        calibrated: for each lesion of `prediction`; None where the table knows it for all lines.
    """

    path: Path
    prediction: Prediction
    heatmap: Path | str | None
    study: str
    calibrated: tuple[bool, ...] | None = None
    lost: LadnnError | None = None

    def to_json(self) -> dict[str, Any]:
        """The image's line, with the keys of the design in their order."""
        said = self.prediction.to_json()
        head = {"path": str(self.path)}
        heatmap = None if self.heatmap is None else str(self.heatmap)
        order = ("sha256", "covid", "lesions", "in_distribution", "heatmap", "model")
        body = said | {"heatmap": heatmap}
        return head | {key: body[key] for key in (*order, "research_use_only")}


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def tell(path: Path, error: LadnnError) -> None:
    """Say on stderr, where errors are read, which file something failed of, and why."""
    said = str(error)
    named = said if said.startswith(str(path)) else f"{path}: {said}"
    sys.stderr.write(f"{plain(named, 1000)}\n")


class JsonPrinter:
    """JSON Lines, in ASCII so that any file name survives any terminal or pipe."""

    def image(self, line: Line) -> None:
        """One image."""
        _print(json.dumps(line.to_json()))

    def failure(self, path: Path, error: LadnnError) -> None:
        """One file that failed, and why."""
        _print(json.dumps({"path": str(path), "error": str(error)}))

    def study(self, study: "StudyPrediction") -> None:
        """One result for several images."""
        _print(json.dumps(study.to_json()))

    def end(self, heatmaps: Path | None) -> None:
        """Nothing more: every line is a result."""


class TablePrinter:
    """A table for people; failures go to stderr, so that each is read where errors are."""

    def __init__(self, calibrated: Sequence[bool], paths: Iterable[Path]) -> None:
        """Print the head.

        Args:
            calibrated: for each lesion; none where the model does not judge lesions. A line that
                says it itself goes before.
            paths: that will be shown, so that their column is wide enough.
        """
        self._known = calibrated
        self._marked = False
        longest = max((_columns(str(path)) for path in paths), default=0)
        self._width = max(12, min(_NAME_WIDTH, longest))
        lesions = LESIONS if self._known else ()
        names = "".join(f"  {lesion:>9}" for lesion in lesions)
        _print(f"{'image':{self._width}}  {'COVID-19':>8}  {'decision':14}{names}  {'in-dist.':>8}")

    def image(self, line: Line) -> None:
        """One image."""
        said = line.prediction
        known = self._known if line.calibrated is None else line.calibrated
        self._row(str(line.path), said, f"{said.score:8.3f}", known)

    def study(self, study: "StudyPrediction") -> None:
        """One result for several images."""
        last = f"{study.assessable}/{study.slices} slices"
        self._row(f"study {study.name}", study, last, self._known)

    def _row(
        self, name: str, said: "Prediction | StudyPrediction", last: str, calibrated: Sequence[bool]
    ) -> None:
        lesions = f"  {'-':>8} " * len(self._known)  # of a baseline behind a site
        if said.lesions is not None:
            values = zip(said.lesions, calibrated, strict=True)
            lesions = "".join(f"  {value:8.3f}{' ' if known else '*'}" for value, known in values)
        self._marked |= "*" in lesions
        shown = plain(name, self._width)
        covid = f"{said.probability:8.3f}  {said.decision:14}"
        padding = " " * (self._width - _columns(shown))
        _print(f"{shown}{padding}  {covid}{lesions}  {last:>8}")

    def failure(self, path: Path, error: LadnnError) -> None:
        """One file that failed, and why."""
        tell(path, error)

    def end(self, heatmaps: Path | None) -> None:
        """What the marks mean, where the overlays are, and the notice."""
        if self._marked:
            _print("* too few examples: this lesion's probability is not calibrated")
        if heatmaps is not None:
            _print(f"Overlays: {plain(str(heatmaps), 500)}")
        _print(RESEARCH_NOTICE)


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes; a Chinese character takes two."""
    from rich.cells import cell_len  # here, for `ladnn --help` needs none of rich

    return cell_len(text)


def plain(text: str, width: int) -> str:
    """The text in printable characters, its beginning cut: the end tells files apart.

    Args:
        text: any.
        width: columns of a terminal that it may take.
    """
    shown = "".join(c if c.isprintable() else "?" for c in text)
    if _columns(shown) <= width:
        return shown
    shown = shown[3 - width :]
    while _columns(shown) > width - 3:
        shown = shown[1:]
    return "..." + shown


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
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
