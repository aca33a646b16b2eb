"""The collection that the online system writes: a table of labels beside a folder of images."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ladnn.csvs import csv_text, read_named
from ladnn.errors import DataError
from ladnn.findings import LESIONS, LesionLabels
from ladnn.sources.entry import Collection, Entry

DESCRIPTION, TABLE, IMAGES = "dataset.json", "contributed.csv", "images"
COLUMNS = (
    *("file", "sha256", "pixel_hash", "source", "patient", "covid"),
    *map(str, LESIONS),
    "licence",
)
SPLIT = "train"
"""Contributed images teach; no test, locked or other, is made of them."""

CONTRIBUTED = "contributed "
"""Stands before the name of a source, which so is none of the collections that others made."""

_FLAGS = {"1": True, "0": False}


def table_text(rows: Sequence[Mapping[str, str]]) -> str:
    """The table as CSV; its SHA-256 is the hash of the version, images included."""
    return csv_text([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


def matches(folder: Path) -> bool:
    """Whether `folder` holds the table and the folder of images."""
    return (folder / TABLE).is_file() and (folder / IMAGES).is_dir()


def read(folder: Path, *, labels: str, extract_to: Path) -> Collection:
    """List the images of the table, each checked against its hash.

    `labels` and `extract_to` are unused: reviewers decided, and nothing is packed. The source of an
    image is the folder's name with the contributor's own behind it. Raises DataError for a table
    that is no such table, and for an image that was altered.
    """
    del labels, extract_to
    name = folder.resolve().name
    rows = _rows(folder / TABLE)
    there = {row["file"] for row in rows if (folder / IMAGES / row["file"]).is_file()}
    return Collection(
        source=name,
        entries=tuple(_entry(folder, row) for row in rows if row["file"] in there),
        missing=tuple(row["file"] for row in rows if row["file"] not in there),
        unlisted=tuple(
            sorted(
                path.name
                for path in (folder / IMAGES).iterdir()
                if path.name not in there and not path.name.startswith(".")
            )
        ),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    rows = [row for _, row in read_named(path, COLUMNS, "export the version again")]
    for row in rows:
        if Path(row["file"]).name != row["file"] or row["file"] in ("", ".", ".."):
            raise DataError(
                f"{path} names a file {row['file']!r} outside its folder: export it again"
            )
    return rows


def _entry(folder: Path, row: Mapping[str, str]) -> Entry:
    path = folder / IMAGES / row["file"]
    if hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
        raise DataError(f"{path} is not the image that was reviewed: export the version again")
    try:
        covid = _FLAGS[row["covid"]]
        lesions = tuple(None if row[x] == "" else _FLAGS[row[x]] for x in map(str, LESIONS))
    except KeyError as error:
        raise DataError(f"{path} has the label {error.args[0]!r}: write 1, 0 or nothing") from None
    source = f"{CONTRIBUTED}{row['source']}"
    return Entry(
        path=path,
        source=source,
        patient=f"{source}/{row['patient']}",
        covid=covid,
        lesions=LesionLabels(values=lesions),
        split=SPLIT,
        diagnosis="COVID-19" if covid else "",
    )
