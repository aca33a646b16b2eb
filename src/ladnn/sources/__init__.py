"""Readers of the folder layouts that images come in: one listing per collection, no decoding.

`read_collection` tells the layout of a folder and lists its images with what the collection's own
files say of each; `entry` holds the record, `tables` the CSV rules, and the other files one layout
each.
"""

from pathlib import Path

from ladnn.errors import DataError
from ladnn.sources import contributed, covid_ct, covid_ct_new, folders
from ladnn.sources.corrections import LABEL_SETS
from ladnn.sources.entry import Collection, Entry

__all__ = ["LABEL_SETS", "Collection", "Entry", "read_collection"]

READERS = (
    (contributed.matches, contributed.read),
    (covid_ct.matches, covid_ct.read),
    (covid_ct_new.matches, covid_ct_new.read),
    (folders.matches, folders.read),
)
"""How to tell each layout and how to read it; the most particular layout first."""

LAYOUTS = (
    "CT_COVID and CT_NonCOVID with split/*_meta.csv, New_*_meta.csv tables with *covidct.zip "
    "archives, or the two folders COVID and NonCOVID"
)


def read_collection(folder: Path, *, labels: str, extract_to: Path) -> Collection:
    """List the images of `folder`, whatever its layout, with the labels of the set `labels`.

    Archives are unpacked below `extract_to`. Raises DataError where the folder is missing, empty,
    forbidden or of no known layout, where a table names a label nobody knows, and for an unknown
    label set.
    """
    if labels not in LABEL_SETS:
        raise DataError(f"label set {labels!r} is unknown: give one of {', '.join(LABEL_SETS)}")
    try:
        if not folder.is_dir():
            raise DataError(f"no folder at {folder}: give the folder of a collection")
        for matches, read in READERS:
            if matches(folder):
                return read(folder, labels=labels, extract_to=extract_to)
        raise DataError(_no_layout(folder))
    except PermissionError as error:
        raise DataError(
            f"{error.filename or folder} may not be opened: ask for permission to read all of the "
            f"collection {folder}"
        ) from error


def _no_layout(folder: Path) -> str:
    if not any(folder.iterdir()):
        return f"the folder {folder} is empty: expected {LAYOUTS}"
    inside = [
        child.name
        for child in sorted(folder.iterdir())
        if child.is_dir() and any(matches(child) for matches, _ in READERS)
    ]
    hint = f"; it holds the collections {', '.join(inside)}: give those" if inside else ""
    return f"the folder {folder} is of no known layout: expected {LAYOUTS}{hint}"
