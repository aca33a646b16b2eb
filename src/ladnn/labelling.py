"""Many reports to labels: one row for each image, each with the panel of its figure."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladnn.csvs import write_rows
from ladnn.errors import DataError
from ladnn.findings import LESIONS
from ladnn.reports import Finding, Mention, Report, label_report
from ladnn.sources.tables import Table, clean, read_table

Progress = Callable[[Sequence[str]], Iterable[str]]
"""Passes the texts on, one by one, and may draw a bar while it does."""

_OF_A_LESION = ("course", "words", "spans", "cues", "panels")
COLUMNS = (
    "image",
    "covid",
    *map(str, LESIONS),
    "panel",
    "covid_words",
    "covid_spans",
    *(f"{lesion}_{what}" for lesion in LESIONS for what in _OF_A_LESION),
    "note",
)
# The number of a part of a figure; `figure_1%0` counts inside a panel.
_CUT = re.compile(r"(?<!_\d)%(\d)\.\w+$")

# Rows and columns as one reads them.
_READING = ("TOP", "UPPER", "LEFT", "MIDDLE", "RIGHT", "LOWER", "BOTTOM")
_ROWS = ({"TOP", "BOTTOM"}, {"UPPER", "LOWER"}, {"UPPER", "MIDDLE", "LOWER"})

BETWEEN = " | "
"""Stands between several mentions in one cell."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One image and what its report says of it.

    Attributes:
        image: its name, as given.
        report: of the whole text, or of the image's panel where that is known.
        panel: the panel of the figure that the image is; empty where the text does not tell.
    """

    image: str
    report: Report
    panel: str = ""

    @property
    def note(self) -> str:
        """Why the labels say nothing; empty where they do."""
        return self.report.unread


def label_images(pairs: Sequence[tuple[str, str]], progress: Progress = iter) -> list[Labelled]:
    """Label images by their texts, `pairs` of (image, text), in the same order.

    Images that share a text are the panels of one figure. Where the text names as many panels as
    there are images, each image in the order of their names is one panel; where it names more, and
    the names of the images are numbered as COVID-CT's are, the number tells. Only what the text
    says of that panel, or of none, counts for it: so the authors labelled such figures.
    """
    sharing: dict[str, set[str]] = defaultdict(set)
    for image, text in pairs:
        sharing[text].add(image)
    reports = {text: label_report(text) for text in progress(list(sharing))}
    panels = {
        (image, text): panel
        for text, images in sharing.items()
        for image, panel in _panels(sorted(images, key=_natural), reports[text])
    }
    return [_of_panel(image, reports[text], panels.get((image, text), "")) for image, text in pairs]


def _panels(images: Sequence[str], report: Report) -> Iterator[tuple[str, str]]:
    sides = sorted(report.panels, key=_reading)
    letters = [panel for panel in report.panels if panel.isalpha() and panel not in _READING]
    if all(len(letter) == 1 for letter in letters):
        letters.sort()
    numbers = sorted((panel for panel in report.panels if panel.isdigit()), key=int)
    singles = sorted(letter for letter in letters if len(letter) == 1)  # of rows: `Top row (A, B)`
    for family in (letters, singles, numbers, sides):
        if len(images) > 1 and len(family) == len(images):
            yield from zip(images, family, strict=True)
            return
    if len(images) > len(sides) and set(sides) in _ROWS and len(images) % len(sides) == 0:
        each = len(images) // len(sides)
        yield from zip(images, (row for row in sides for _ in range(each)), strict=True)
        return
    numbered = [_numbered(image) for image in images]
    if len(images) < len(letters) and set(numbered) <= set(letters):
        yield from zip(images, numbered, strict=True)


def _reading(panel: str) -> int:
    """Where a row or a column comes in reading; other names of panels keep their order before."""
    return _READING.index(panel) if panel in _READING else -1


def _numbered(image: str) -> str:
    """`figure%2.png` is cut from panel C of its figure; empty where a name does not tell."""
    match = _CUT.search(image)
    return chr(ord("A") + int(match[1])) if match else ""


def _of_panel(image: str, report: Report, panel: str) -> Labelled:
    kept = report.of_panel(panel) if panel else report
    return Labelled(image=image, report=kept, panel=panel)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `%10` after `%9`."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def label_table(
    path: Path, *, text_column: str, image_column: str, progress: Progress = iter
) -> list[Labelled]:
    """Label every row of a CSV file, in order; a column is named by its head or its number from 1.

    Raises DataError for what `read_table` refuses, a column that is not there or there twice, a
    table without rows, and one of whose texts none is English.
    """
    table = read_table(path, verbatim=True)
    image, text = _column(table, image_column), _column(table, text_column)
    if not table.rows:
        raise DataError(f"the table {path} has no rows under its heads: there is nothing to label")
    labelled = label_images([(row.cells[image], row.cells[text]) for row in table.rows], progress)
    if not any(one.report.readable for one in labelled):
        raise DataError(
            f"none of the {len(labelled)} texts in column {text_column!r} of {path.name} is in "
            "English: give the column of the reports by --text-column"
        )
    return labelled


def _column(table: Table, name: str) -> int:
    head = clean(name).lower()
    if head in table.heads or not head.isdecimal():
        if table.heads.count(head) > 1:
            raise DataError(
                f"{table.path.name} has {table.heads.count(head)} columns {head!r}: "
                "give the number of the one that is meant, counted from 1"
            )
        return table.column(head)
    if not 1 <= int(head) <= len(table.heads):
        raise DataError(
            f"{table.path.name} has no column {head}: its columns go from 1 to {len(table.heads)}"
        )
    return int(head) - 1


def write_labels(labelled: Iterable[Labelled], path: Path) -> None:
    """Write the columns COLUMNS; spans are `start-end` in characters of the text as it was given.

    The words are the text's own characters between these, so that either proves the other.

    Raises DataError where the file cannot be written.
    """
    write_rows(path, COLUMNS, map(_cells, labelled), what="the table of labels")


def _cells(one: Labelled) -> list[object]:
    report = one.report
    return [
        one.image,
        report.covid,
        *(int(finding.present) for finding in report.findings),
        one.panel,
        _words(report.covid_mentions),
        _spans(report.covid_mentions),
        *(cell for finding in report.findings for cell in _finding(finding)),
        one.note,
    ]


def _finding(finding: Finding) -> tuple[str, ...]:
    cues = (mention.cue.words if mention.cue else "" for mention in finding.mentions)
    return (
        finding.course or "",
        _words(finding.mentions),
        _spans(finding.mentions),
        BETWEEN.join(cues) if any(mention.cue for mention in finding.mentions) else "",
        " ".join(finding.panels),
    )


def _words(mentions: Sequence[Mention]) -> str:
    return BETWEEN.join(mention.span.words for mention in mentions)


def _spans(mentions: Sequence[Mention]) -> str:
    return BETWEEN.join(f"{mention.span.start}-{mention.span.end}" for mention in mentions)
