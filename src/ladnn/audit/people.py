"""Age and sex of patients, from a table beside the manifest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ladnn.dataset import Record
from ladnn.errors import DataError
from ladnn.sources.tables import Table, clean, read_table, stem_lookup

_NAMES = ("file name", "image", "image name", "imgname")
_AGES = ("age",)
_SEXES = ("gender", "sex")
_WORDS = {"m": "male", "male": "male", "f": "female", "female": "female"}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Age in years and sex of the patient of one image; None where unknown."""

    age: int | None = None
    sex: str | None = None


def read_people(path: Path, records: Iterable[Record]) -> dict[Path, Person]:
    """The persons of those images that the table lists, by the image's path.

    The table is CSV with a column of file names (`File name`, `image`), `Age` and `Gender` or
    `Sex`; names may lack their extension. An age such as `40+` counts as 40, one in
    words as unknown. A file name that two images have, of two sources say, tells of neither.

    Raises:
        DataError: for a table that cannot be read or lacks a column, and one that lists none of the
            images.
    """
    table = read_table(path)
    columns = [_column(table, names) for names in (_NAMES, _AGES, _SEXES)]
    known = [record.path for record in records]
    lookup = stem_lookup([image.name for image in known])
    owners: dict[str, list[Path]] = {}
    for image in known:
        owners.setdefault(clean(image.name), []).append(image)
    found = {}
    for row in table.rows:
        name, age, sex = (row.cells[column] for column in columns)
        listed = lookup.get(clean(name))
        images = [] if listed is None else owners[clean(listed)]
        if len(images) == 1:
            found[images[0]] = Person(age=_age(age), sex=_WORDS.get(sex.lower()))
    if not found:
        raise DataError(
            f"{path} lists none of the manifest's images by a name that no other image has: give a "
            "table of their file names with age and gender"
        )
    return found


def _column(table: Table, names: tuple[str, ...]) -> int:
    for name in names:
        if name in table.heads:
            return table.heads.index(name)
    heads = ", ".join(repr(head) for head in table.heads)
    raise DataError(
        f"{table.path.name} has no column {' or '.join(names)}: its columns are {heads}"
    )


def _age(cell: str) -> int | None:
    match = re.match(r"\d{1,3}", cell)
    return int(match[0]) if match else None
