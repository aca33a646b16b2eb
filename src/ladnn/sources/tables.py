"""CSV tables of collections: encodings, ragged rows, heads in long form, misspelt label cells."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladnn.csvs import SEPARATORS, read_rows, separator
from ladnn.errors import DataError
from ladnn.findings import Lesion, LesionLabels
from ladnn.sources.encodings import decode

LARGEST = 256 << 20
"""Bytes of a table; a larger one is a mistake, or has to be read in parts."""

FLAG_HEADS = frozenset({"cvd19", "c0vid19", "covid19"})
"""The flag's column; the authors wrote a zero in one of their tables."""

LESION_HEADS: dict[str, Lesion] = {
    "ggo": Lesion.GGO,
    "csld": Lesion.CSLD,
    "consolidation(csld)": Lesion.CSLD,
    "crpa": Lesion.CRPA,
    "crazy paving appearance(crpa)": Lesion.CRPA,
    "airbr": Lesion.AIRBR,
    "air bronchograms(airbr)": Lesion.AIRBR,
    "insepthi": Lesion.INSEPTHI,
    "interlobular septal thickening(insepthi)": Lesion.INSEPTHI,
}

LESION_CELLS: dict[Lesion, frozenset[str]] = {
    Lesion.GGO: frozenset({"ggo"}),
    Lesion.CSLD: frozenset({"csld"}),
    Lesion.CRPA: frozenset({"crpa"}),
    Lesion.AIRBR: frozenset({"airbr", "aibr"}),
    Lesion.INSEPTHI: frozenset({"insepthi", "insep"}),
}
"""Spellings that stand in the authors' tables; `Aibr` and `InSep` are those of the later one."""

FLAG_CELLS = frozenset({"cvd19"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: the cells by column number, and where it stands for error messages."""

    table: Path
    line: int
    cells: tuple[str, ...]

    @property
    def where(self) -> str:
        """Table and line, for a message."""
        return f"{self.table.name} line {self.line}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV file: normalised heads (lower case, plain spaces) and rows of the same width."""

    path: Path
    heads: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, name: str) -> int:
        """Number of the column headed `name`; raises DataError where there is none, or several."""
        if name not in self.heads:
            heads = ", ".join(repr(head) for head in self.heads)
            raise DataError(f"{self.path.name} has no column {name!r}: its columns are {heads}")
        if self.heads.count(name) > 1:
            raise DataError(f"{self.path.name} has several columns {name!r}: keep one")
        return self.heads.index(name)


def clean(text: str) -> str:
    """`text` in NFKC with every run of blanks (also non-breaking ones) as a single space."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("\u200b", "").split())


def read_table(path: Path, *, verbatim: bool = False) -> Table:
    """Read a CSV file in any encoding that `encodings.decode` tells, the authors' own among them.

    Commas part the cells, or semicolons or tabs where those part the head. The cells are cleaned,
    or left as they are if `verbatim`.

    Raises DataError for a missing, empty, too large or undecodable file, for quotes that do not
    pair, a cell of more than csvs.LONGEST_CELL characters and a ragged row.
    """
    text = _text(path)
    between = separator(text)
    lines = read_rows(text, between, path.name)
    if not lines:
        raise DataError(f"the table {path} is empty: expected a line of column heads")
    heads = tuple(clean(cell).lower() for cell in lines[0][1])
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(heads):
            raise DataError(
                f"{path.name} line {number} has {len(cells)} cells where the head has "
                f"{len(heads)}: quote the cells that hold {SEPARATORS[between]}"
            )
        kept = cells if verbatim else map(clean, cells)
        rows.append(Row(table=path, line=number, cells=tuple(kept)))
    return Table(path=path, heads=heads, rows=tuple(rows))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(
                f"the table {path} is larger than {LARGEST >> 20} MB: split it into smaller files"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the table {path} cannot be read ({error.strerror}): give another"
        ) from error
    return decode(data, str(path))


def unique(rows: Iterable[Row], column: int) -> dict[str, Row]:
    """The rows by the cell in `column`; raises DataError where two rows share it."""
    by_name: dict[str, Row] = {}
    for row in rows:
        name = row.cells[column]
        if name in by_name:
            raise DataError(
                f"{name!r} is listed twice, {by_name[name].where} and {row.where}: keep one row"
            )
        by_name[name] = row
    return by_name


@dataclass(frozen=True, kw_only=True)
class LabelColumns:
    """Which columns of a table carry the flag and each lesion."""

    flag: int
    lesions: tuple[tuple[Lesion, int], ...]

    @classmethod
    def of(cls, table: Table, *, other: Iterable[str]) -> "LabelColumns":
        """Find them in `table`, whose remaining heads must be in `other`.

        Raises DataError for a head that nobody knows and for a label without a column or with
        several: a label that is silently not read is how the authors' code lost two lesions.
        """
        known = {"", *other}
        unknown = [
            h for h in table.heads if h not in FLAG_HEADS | LESION_HEADS.keys() and h not in known
        ]
        if unknown:
            raise DataError(f"{table.path.name} has the unknown column {unknown[0]!r}: {_KNOWN}")
        flags = [i for i, head in enumerate(table.heads) if head in FLAG_HEADS]
        found = [i for i, head in enumerate(table.heads) if head in LESION_HEADS]
        lesions = {LESION_HEADS[table.heads[i]]: i for i in found}
        if set(lesions) != set(Lesion) or len(found) != len(Lesion) or len(flags) != 1:
            raise DataError(f"{table.path.name} needs one column for each label: {_KNOWN}")
        return cls(flag=flags[0], lesions=tuple((lesion, lesions[lesion]) for lesion in Lesion))

    def covid(self, row: Row) -> bool:
        """The flag of a row; raises DataError for a cell that is neither `CVD19` nor empty."""
        return _present(row, self.flag, FLAG_CELLS, "CVD19")

    def lesions_of(self, row: Row) -> LesionLabels:
        """The lesions of a row; all unknown where it names none, for then nobody looked.

        A caption that names one lesion was read for all five by the authors, so the others of that
        row count as absent; a row without any says nothing (negatives were never labelled).
        """
        present = {
            lesion
            for lesion, column in self.lesions
            if _present(row, column, LESION_CELLS[lesion], lesion)
        }
        return LesionLabels.from_present(present) if present else LesionLabels()


_KNOWN = "known are the flag CVD19 and the lesions GGO, Csld, CrPa, AirBr, InSepThi"


def _present(row: Row, column: int, spellings: frozenset[str], name: str) -> bool:
    cell = row.cells[column]
    if cell and cell.lower() not in spellings:
        raise DataError(
            f"{row.where} has the unknown label {cell!r} in the column of {name}: "
            f"expected {name} or an empty cell"
        )
    return bool(cell)


def stem_lookup(names: Sequence[str]) -> dict[str, str]:
    """Each file name under itself and under its name without the extension.

    Tables leave the extension out in a part of their rows; names hold several dots, so only a true
    image extension is cut. A stem shared by two files leads to neither.
    """
    lookup: dict[str, str] = {}
    stems: dict[str, list[str]] = {}
    for name in names:
        lookup[clean(name)] = name
        stems.setdefault(clean(Path(name).stem), []).append(name)
    for stem, owners in stems.items():
        if len(owners) == 1:
            lookup.setdefault(stem, owners[0])
    return lookup
