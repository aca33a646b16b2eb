"""Writes a CSV file whole or not at all."""

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ladnn.errors import DataError


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
