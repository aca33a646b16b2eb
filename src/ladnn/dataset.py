"""A manifest: which images there are, whose, what they show, and on which side they lie."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ladnn.csvs import SEPARATORS, read_rows, separator, write_rows
from ladnn.errors import DataError
from ladnn.findings import LESIONS, LesionLabels
from ladnn.splitting import PARTS

COLUMNS = (
    "path",
    "sha256",
    "pixel_hash",
    "source",
    "patient",
    "covid",
    *map(str, LESIONS),
    "split",
    "diagnosis",
    "caption",
    "correction",
    "correction_reason",
    "labels",
)
REQUIRED = ("path", "source", "patient", "covid")
"""Without these a manifest is useless; the other columns may be left out by hand-made ones."""

_FLAGS = {"1": True, "0": False}
_TEXTS = (
    "sha256",
    "pixel_hash",
    "split",
    "diagnosis",
    "caption",
    "correction",
    "correction_reason",
)
TOTAL = "all"
"""What tables and files of results call all sources together."""

_NAMED = 5  # rows in an error, beyond which only their number is told


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image of a manifest.

    Attributes:
        path: of the image's file.
        sha256: of the file's bytes, 64 hexadecimal digits; empty in a hand-made manifest.
        pixel_hash: of the decoded pixels (`similarity.pixel_hash`).
        source: the collection it comes from.
        patient: or the cluster of near-duplicates that stands for one; unique over all sources.
        covid: positive is True.
        lesions: unknown (None) is not absent.
        split: one of `PARTS`, or empty.
        diagnosis, caption: empty where unknown.
        correction, correction_reason: what a label set moved, and why; empty where it did not.
    """

    path: Path
    sha256: str = ""
    pixel_hash: str = ""
    source: str
    patient: str
    covid: bool
    lesions: LesionLabels = field(default_factory=LesionLabels)
    split: str = ""
    diagnosis: str = ""
    caption: str = ""
    correction: str = ""
    correction_reason: str = ""

    def __post_init__(self) -> None:
        if self.split not in ("", *PARTS):
            raise DataError(f"split {self.split!r} is unknown: give train, val, test or nothing")
        if not self.source or not self.patient:
            raise DataError(f"{self.path} has no source or no patient: give both")
        if self.source == TOTAL:
            raise DataError(
                f"a source cannot be called {TOTAL}, as all sources together are: rename it"
            )


def require_listed(record: Record, sha256: str) -> None:
    """Raise DataError where the file of a record, of this hash, is not the one that was imported.

    What a run learned from and what a card vouches for would else be another picture.
    """
    if record.sha256 and sha256 != record.sha256:
        raise DataError(
            f"{record.path} is not the file that the manifest was made from (the sha256 differs): "
            "import the data again"
        )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Images in a fixed order and the name of the label set that they carry."""

    records: tuple[Record, ...]
    labels: str = ""

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources by first appearance."""
        return tuple(dict.fromkeys(record.source for record in self.records))

    def part(self, split: str, *, source: str | None = None) -> "Manifest":
        """The records of one part of the split, of one source or of all.

        Raises DataError for a part that is none.
        """
        if split not in PARTS:
            raise DataError(f"split {split!r} is unknown: give train, val or test")
        kept = (
            record
            for record in self.records
            if record.split == split and source in (None, record.source)
        )
        return Manifest(records=tuple(kept), labels=self.labels)


def hash_records(records: Iterable[Record]) -> str:
    """sha256 over what a run learns from: pixels, labels, patients and splits, in order.

    It is the same whichever other sources the manifest holds, whose patients may have these names.
    """
    digest = hashlib.sha256()
    for item in records:
        patient = _name_for(item.source, item.patient)
        row = item.pixel_hash or item.sha256 or str(item.path), patient, item.source
        digest.update(repr((*row, item.covid, item.lesions.values, item.split)).encode())
    return digest.hexdigest()


def leaks(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Of each picture that lies in two parts of the split two records, told by its pixels' hash."""
    parts: dict[str, dict[str, Record]] = {}
    for record in records:
        if record.pixel_hash and record.split:
            parts.setdefault(record.pixel_hash, {}).setdefault(record.split, record)
    twice = (list(found.values()) for found in parts.values() if len(found) > 1)
    return [(one, other) for one, other, *_ in twice]


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write `manifest` as UTF-8 CSV, all of it or nothing.

    Paths of images below the manifest's folder are written relative to it, so that the two can be
    moved together; others are absolute. Raises DataError where the file cannot be written.
    """
    base = path.parent.resolve()  # a link of that name is replaced, and not what it points to
    rows = (_cells(record, manifest.labels, base) for record in manifest)
    write_rows(path, COLUMNS, rows, what="the manifest")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; relative image paths are taken from its own folder.

    The columns may stand in any order and those outside `REQUIRED` may be absent. A spreadsheet may
    have put semicolons or tabs between the cells, and empty rows and columns behind them. A patient
    of the same name in another source is another one, and both get the source into their name.

    Raises DataError for a missing file, one without images, an unknown column, a ragged row, a
    repeated image, and a cell that is no flag, lesion or split.
    """
    head, lines = _read_lines(path)
    unknown = [column for column in head if column not in COLUMNS]
    absent = [column for column in REQUIRED if column not in head]
    if unknown or absent or len(set(head)) != len(head):
        what = f"the unknown column {unknown[0]!r}" if unknown else "repeated columns"
        what = f"no column {absent[0]!r}" if absent else what
        raise DataError(f"the manifest {path} has {what}: known are {', '.join(COLUMNS)}")
    base = path.resolve().parent
    if not lines:
        raise DataError(f"the manifest {path} lists no image: make one by ladnn data import")
    rows = [(number, dict(zip(head, cells, strict=True))) for number, cells in lines]
    records = _records(rows, base, path)
    _refuse_repeats(records, path)
    labels = {row.get("labels", "") for _, row in rows}
    if len(labels) > 1:
        raise DataError(
            f"the manifest {path} mixes the label sets {', '.join(sorted(labels))}: "
            "import all with the same --labels"
        )
    return Manifest(records=_told_apart(records), labels=labels.pop())


def _told_apart(records: Sequence[Record]) -> tuple[Record, ...]:
    """The same with patients that are unique over all sources: hospitals count from 1 each."""
    sources = defaultdict(set)
    for record in records:
        sources[record.patient].add(record.source)
    shared = {patient for patient, found in sources.items() if len(found) > 1}
    return tuple(
        replace(one, patient=_name_for(one.source, one.patient)) if one.patient in shared else one
        for one in records
    )


def _name_for(source: str, patient: str) -> str:
    """A patient's name with the source in front, once."""
    return patient if patient.startswith(f"{source}/") else f"{source}/{patient}"


def _cells(record: Record, labels: str, base: Path) -> Iterable[str]:
    path = record.path.absolute()
    if ".." in path.parts:
        path = path.parent.resolve() / path.name
    inside = path.is_relative_to(base)
    lesions = ("" if value is None else str(int(value)) for value in record.lesions.values)
    return (
        (path.relative_to(base) if inside else path).as_posix(),
        record.sha256,
        record.pixel_hash,
        record.source,
        record.patient,
        str(int(record.covid)),
        *lesions,
        record.split,
        record.diagnosis,
        record.caption,
        record.correction,
        record.correction_reason,
        labels,
    )


def _read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    text = _read_text(path)
    between = separator(text)
    rows = read_rows(text, between, f"the manifest {path}")
    lines = [(number, cells) for number, cells in rows if any(cells)]
    if not lines:
        raise DataError(f"the manifest {path} is empty: make one by ladnn data import")
    head = lines[0][1]
    for number, cells in lines[1:]:
        if len(cells) != len(head):
            raise DataError(
                f"{path} line {number} has {len(cells)} cells where the head has {len(head)}: "
                f"quote the cells that hold {SEPARATORS[between]}"
            )
    width = max(number for _, cells in lines for number, cell in enumerate(cells, start=1) if cell)
    return head[:width], [(number, cells[:width]) for number, cells in lines[1:]]


def _read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the manifest {path} cannot be read ({error.strerror}): make one by ladnn data import"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the manifest {path} is not UTF-8: save it as CSV in UTF-8") from error
    if "\0" in text:
        raise DataError(f"the manifest {path} holds zero bytes: save it as CSV in UTF-8")
    return text


def _records(
    rows: Iterable[tuple[int, dict[str, str]]], base: Path, path: Path
) -> tuple[Record, ...]:
    """Read all rows; one error names the first rows that do not hold, and how many there are."""
    records, wrong = [], []
    for number, row in rows:
        try:
            records.append(_record(row, base))
        except DataError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise DataError(f"the manifest {path} does not hold: {'; '.join(wrong[:_NAMED])}{more}")
    return tuple(records)


def _record(row: dict[str, str], base: Path) -> Record:
    if not row["path"]:
        raise DataError("it has no path: name the image")
    if row["covid"] not in _FLAGS:
        raise DataError(f"covid is {row['covid']!r}: write 1 or 0")
    try:
        return Record(
            path=base / row["path"],
            source=row["source"],
            patient=row["patient"],
            covid=_FLAGS[row["covid"]],
            lesions=LesionLabels(values=tuple(_lesion(row.get(str(x), "")) for x in LESIONS)),
            **{name: row[name] for name in _TEXTS if name in row},
        )
    except KeyError as error:
        raise DataError(f"{error.args[0]!r} is no label: write 1, 0 or nothing") from None


def _lesion(cell: str) -> bool | None:
    return None if cell == "" else _FLAGS[cell]


def _refuse_repeats(records: Iterable[Record], path: Path) -> None:
    seen: set[Path] = set()
    for record in records:
        if record.path in seen:
            raise DataError(f"the manifest {path} lists {record.path} twice: keep one row")
        seen.add(record.path)
