"""Writes a CSV file whole or not at all; reads the rows of one, as spreadsheets save it too."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from ladnn.errors import DataError
from ladnn.paths import write_whole

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between cells, and what to call it; the first is what is written here."""

LONGEST_CELL = 1 << 20
"""Characters of one cell, more than any report has; a longer one is an open quote."""


def separator(text: str) -> str:
    """What the head of CSV text has between its cells.

    Spreadsheets write semicolons wherever decimals have commas, and some write tabs.
    """
    head = re.sub('"[^"]*"', "", next(filter(str.strip, text.splitlines()), ""))
    return max(SEPARATORS, key=head.count)


def read_rows(text: str, between: str, what: str) -> list[tuple[int, list[str]]]:
    """The rows of CSV text with the numbers of the lines they end in, empty ones left out.

    Strictly read, for an open quote would else take the rows after it into its cell unnoticed.

    Args:
        text: of the whole file.
        between: what stands between its cells.
        what: names the file in the DataError that is raised for quotes that do not pair and a cell
            of more than LONGEST_CELL characters.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=between)
    rows: list[tuple[int, list[str]]] = []
    begin = 1
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        for cells in reader:
            rows += [(reader.line_num, cells)] if cells else []
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{what} line {begin} is not CSV: {_reason(error)}") from error
    finally:
        csv.field_size_limit(before)
    return rows


def read_named(
    path: Path, columns: Sequence[str], otherwise: str
) -> list[tuple[int, dict[str, str]]]:
    """Rows of UTF-8 CSV that a program wrote, by their columns, with the numbers of their lines.

    Raises:
        DataError: when it cannot be read, lacks one of `columns`, or has a ragged row; it ends
            with `otherwise`, what to do instead.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = [line for line in read_rows(text, separator(text), path.name) if any(line[1])]
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise DataError(f"{path} cannot be read ({reason}): {otherwise}") from error
    except (UnicodeDecodeError, DataError) as error:
        raise DataError(f"{path} is not UTF-8 CSV or is cut off: {otherwise}") from error
    head = lines[0][1] if lines else []
    absent = [name for name in columns if name not in head]
    if absent:
        raise DataError(f"{path} has no column {absent[0]!r}: {otherwise}")
    for number, cells in lines[1:]:
        if len(cells) != len(head):
            raise DataError(
                f"{path} line {number} has {len(cells)} cells where the head has {len(head)}: "
                f"{otherwise}"
            )
    return [(number, dict(zip(head, cells, strict=True))) for number, cells in lines[1:]]


def packaged(name: str) -> list[dict[str, str]]:
    """The rows of `name`.csv in the folder data, which comes with the package."""
    text = (files("ladnn") / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def _reason(error: csv.Error) -> str:
    """What is wrong with a row, in words of ours."""
    said = str(error)
    if "field limit" in said:
        return (
            f"a cell of this row is longer than {LONGEST_CELL:,} characters: shorten it, or close "
            "its quote if that is open"
        )
    if "unexpected end" in said:
        return "a quote that opens in this row is never closed: close it"
    if "expected after" in said:
        return (
            "a cell of this row goes on after its closing quote: close the quote that was left "
            "open before it, or double the quotes inside the cell"
        )
    return said


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """The rows as CSV, a newline behind each; `read_rows` is the inverse for text."""
    lines = _Lines()
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return "".join(lines)


class _Lines(list[str]):
    """What `csv.writer` writes, a row at a time, with a newline where it put two characters.

    Python's writer quotes a lone carriage return only where its own rows end in one, and a reader
    takes one that is not quoted for the end of the row.
    """

    def write(self, row: str) -> None:
        self.append(row.removesuffix("\r\n") + "\n")


def write_rows(
    path: Path, head: Sequence[str], rows: Iterable[Iterable[object]], *, what: str
) -> None:
    """Write UTF-8 CSV with `head` as its first line; folders that lack are made.

    `what` names the file in the DataError that is raised where it cannot be written.
    """
    text = csv_text([head, *rows])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{what} {path} cannot be written ({error.strerror}): give another place"
        ) from error
    write_whole(path, text, what=what)
