"""Writes a CSV file whole or not at all; tells what a spreadsheet put between the cells of one."""

import csv
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ladnn.errors import DataError

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
    folder = path.resolve().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".part-", suffix=".csv")
    except OSError as error:
        raise DataError(f"{what} {path} cannot be written ({error.strerror})") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(head)
            writer.writerows(rows)
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise DataError(f"{what} {path} cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
