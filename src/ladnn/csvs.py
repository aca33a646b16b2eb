"""Writes a CSV file whole or not at all; tells what a spreadsheet put between the cells of one."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ladnn.errors import DataError
from ladnn.paths import write_whole

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between cells, and what to call it; the first is what is written here."""


def separator(text: str) -> str:
    """What the head of CSV text has between its cells.

    Spreadsheets write semicolons wherever decimals have commas, and some write tabs.
    """
    head = re.sub('"[^"]*"', "", next(filter(str.strip, text.splitlines()), ""))
    return max(SEPARATORS, key=head.count)


def write_rows(
    path: Path, head: Sequence[str], rows: Iterable[Iterable[object]], *, what: str
) -> None:
    """Write UTF-8 CSV with `head` as its first line; folders that lack are made.

    `what` names the file in the DataError that is raised where it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{what} {path} cannot be written ({error.strerror})") from error
    write_whole(path, text.getvalue(), what=what)
