"""What the commands that predict print: JSON Lines or a table, and a bar while they are at work."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladnn.errors import LadnnError, shown_name
from ladnn.findings import LESIONS, RESEARCH_NOTICE, Prediction
from ladnn.quiet import say

if TYPE_CHECKING:
    from ladnn.study import StudyPrediction

_NAME_WIDTH = 44  # columns for a path beside its numbers; where there are fewer, it goes above them
_LEAST_NAME = 12
_INDENT = "  "  # between a path and its numbers
_SLOW = 2.0  # seconds after which a progress bar is shown


@dataclass(frozen=True, kw_only=True)
class Line:
    """One image that was predicted.

    Attributes:
        heatmap: a file, or an address on a site.
        frame: from 1, of a file of several.
        lost: why there is no overlay, though one was asked for.
        calibrated: for each lesion of `prediction`; None where the table knows it for all lines.
    """

    path: Path
    prediction: Prediction
    heatmap: Path | str | None
    study: str
    calibrated: tuple[bool, ...] | None = None
    frame: int | None = None
    lost: LadnnError | None = None

    def to_json(self) -> dict[str, Any]:
        """The image's line, with the keys of the design in their order, and `frame`."""
        said = self.prediction.to_json()
        head: dict[str, Any] = {"path": str(self.path)}
        if self.frame is not None:
            head["frame"] = self.frame
        heatmap = None if self.heatmap is None else str(self.heatmap)
        order = ("sha256", "covid", "lesions", "in_distribution", "heatmap", "model")
        body = said | {"heatmap": heatmap}
        return head | {key: body[key] for key in (*order, "research_use_only")}


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def tell(path: Path, error: LadnnError | str) -> None:
    """Say on stderr, where errors are read, which file something failed of, and why."""
    said = str(error)
    named = said if said.startswith((str(path), shown_name(str(path)))) else f"{path}: {said}"
    say(f"{plain(named, 1000)}\n")


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
    """A table for people; failures go to stderr, so that each is read where errors are.

    On a terminal too narrow for a path beside its numbers, 80 columns of a pipe too, each path has
    a line of its own above them.
    """

    def __init__(self, calibrated: Sequence[bool], paths: Iterable[Path]) -> None:
        """Print the head.

        Args:
            calibrated: for each lesion; none where the model does not judge lesions. A line that
                says it itself goes before.
            paths: that will be shown, so that their column is wide enough.
        """
        self._known = calibrated
        self._marked = False
        names = "".join(f" {name:>{_lesion_width(name)}}" for name in LESIONS if self._known)
        numbers = f"{'COVID-19':>8}  {'decision':14}{names} {'in-dist.':>8}"
        lengths = [_columns(str(path)) for path in paths]
        widest = len(numbers.removesuffix("in-dist.") + _slices(len(lengths), len(lengths)))
        terminal = shutil.get_terminal_size().columns
        self._width, self._folded = _name_column(max(lengths, default=0), terminal, widest)
        self._put("image", numbers)

    def image(self, line: Line) -> None:
        """One image."""
        said = line.prediction
        known = self._known if line.calibrated is None else line.calibrated
        self._row(str(line.path), said, f"{said.score:8.3f}", known)

    def study(self, study: "StudyPrediction") -> None:
        """One result for several images."""
        last = _slices(study.assessable, study.slices)
        self._row(f"study {study.name}", study, last, self._known)

    def _row(
        self, name: str, said: "Prediction | StudyPrediction", last: str, calibrated: Sequence[bool]
    ) -> None:
        values = said.lesions or (None,) * len(self._known)  # of a baseline behind a site
        known = calibrated or (True,) * len(values)
        lesions = "".join(map(_lesion, LESIONS, values, known))
        self._marked |= "*" in lesions
        self._put(name, f"{said.probability:8.3f}  {said.decision:14}{lesions} {last:>8}")

    def _put(self, name: str, numbers: str) -> None:
        shown = plain(name, self._width)
        if self._folded:
            _print(f"{shown}\n{_INDENT}{numbers}")
        else:
            _print(f"{shown}{' ' * (self._width - _columns(shown))}{_INDENT}{numbers}")

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


def _name_column(longest: int, terminal: int, numbers: int) -> tuple[int, bool]:
    """How many columns names may take, and whether each has a line of its own."""
    needed, room = max(_LEAST_NAME, longest), terminal - len(_INDENT) - numbers
    if room >= min(needed, _NAME_WIDTH):
        return min(needed, room), False
    return max(_LEAST_NAME, terminal), True


def _slices(assessable: int, all_of_them: int) -> str:
    return f"{assessable}/{all_of_them} slices"


def _lesion_width(name: str) -> int:
    """Columns of a lesion's name or of its probability with the star behind it."""
    return max(len(name), 6)


def _lesion(name: str, value: float | None, calibrated: bool) -> str:
    """A probability with its star, ending where the name of the lesion ends."""
    shown = "-" if value is None else f"{value:.3f}"
    return f" {shown + (' ' if calibrated else '*'):>{_lesion_width(name)}}"


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
