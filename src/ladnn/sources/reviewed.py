"""Labels that a person reviewed against the report: decisions by image and label, with reasons."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ladnn.errors import DataError
from ladnn.findings import LESIONS, OUTPUTS, LesionLabels
from ladnn.sources.entry import Entry
from ladnn.sources.tables import Row, Table, clean, read_table

COVID = OUTPUTS[0]
NEEDED = ("source", "file", "label", "given", "decision", "reason")
"""Columns of a corrections file; any others, which help the reviewer, are not read."""

UNREVIEWED = "decided by review of its report"

_CELLS = {"1": True, "0": False}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person decided on one label of one image.

    Attributes:
        label: `covid` or the short name of a lesion.
        given: what the files said when it was reviewed; None for a lesion that nobody labelled.
        decided: what it is to be.
        reason: the person's words; may be empty.
        where: table and line, for a message.
    """

    label: str
    given: bool | None
    decided: bool
    reason: str
    where: str


Decisions = Mapping[tuple[str, str], tuple[Decision, ...]]
"""By source and file name, both `clean` as a table has them."""


def read_decisions(path: Path) -> Decisions:
    """The decisions of a reviewed table; rows whose decision is empty are left out.

    Raises DataError for a column that lacks, a cell that is no label or no decision, and a label
    that is decided twice.
    """
    table = read_table(path)
    columns = {name: table.column(name) for name in NEEDED}
    found: dict[tuple[str, str], dict[str, Decision]] = {}
    for row in table.rows:
        cells = {name: row.cells[column] for name, column in columns.items()}
        if not cells["decision"]:
            continue
        decision = _decision(row, cells)
        mine = found.setdefault((cells["source"], cells["file"]), {})
        if decision.label in mine:
            raise DataError(
                f"{row.where} decides {decision.label} of {cells['file']} again: keep one row"
            )
        mine[decision.label] = decision
    _refuse_none(found, table)
    return {key: tuple(mine.values()) for key, mine in found.items()}


def _decision(row: Row, cells: Mapping[str, str]) -> Decision:
    if cells["label"] not in OUTPUTS:
        raise DataError(
            f"{row.where} has the unknown label {cells['label']!r}: give {', '.join(OUTPUTS)}"
        )
    if cells["decision"] not in _CELLS or cells["given"] not in ("", *_CELLS):
        raise DataError(
            f"{row.where} has given {cells['given']!r} and decision {cells['decision']!r}: "
            "write 1 or 0, and leave the decision empty where there is none"
        )
    return Decision(
        label=cells["label"],
        given=_CELLS.get(cells["given"]),
        decided=_CELLS[cells["decision"]],
        reason=cells["reason"],
        where=row.where,
    )


def _refuse_none(found: Mapping[tuple[str, str], object], table: Table) -> None:
    if not found:
        raise DataError(
            f"{table.path.name} holds no decision: write 1 or 0 into its column decision"
        )


def apply_decisions(entries: list[Entry], decisions: Decisions) -> list[Entry]:
    """`entries` with the decisions on them.

    Raises DataError for a decision on an image that is not there, or that comes twice, and where
    the files no longer say what the reviewer was shown.
    """
    seen: set[tuple[str, str]] = set()
    result = []
    for entry in entries:
        key = (clean(entry.source), clean(entry.path.name))
        mine = decisions.get(key, ())
        if mine and key in seen:
            raise DataError(
                f"{mine[0].where} names {key[1]}, of which {key[0]} has several: "
                "rename all but one, or leave the decision empty"
            )
        seen.add(key)
        result.append(_decided(entry, mine) if mine else entry)
    strange = [key for key in decisions if key not in seen]
    if strange:
        where, (source, file) = decisions[strange[0]][0].where, strange[0]
        raise DataError(
            f"{where} decides on {file!r} of {source!r}, which is not imported: "
            "import its collection too, or delete the row"
        )
    return result


def _decided(entry: Entry, decisions: tuple[Decision, ...]) -> Entry:
    now: dict[str, bool | None] = {COVID: entry.covid}
    now |= {str(lesion): entry.lesions[lesion] for lesion in LESIONS}
    for decision in decisions:
        if now[decision.label] is not decision.given:
            raise DataError(
                f"{decision.where} was reviewed when {decision.label} of {entry.path.name} was "
                f"{_cell(decision.given)}, and the files now say {_cell(now[decision.label])}: "
                "review it again, or import with the same --labels"
            )
    moved = [decision for decision in decisions if decision.decided is not decision.given]
    now |= {decision.label: decision.decided for decision in moved}
    return _corrected(entry, now, moved) if moved else entry


def _corrected(entry: Entry, now: Mapping[str, bool | None], moved: list[Decision]) -> Entry:
    lesions = [now[str(lesion)] for lesion in LESIONS]
    if True in lesions:
        # As in the authors' tables: who names one lesion has looked for all five.
        lesions = [bool(value) for value in lesions]
    changes = [f"{d.label} {_cell(d.given)} to {int(d.decided)}" for d in moved]
    reasons = dict.fromkeys(decision.reason or UNREVIEWED for decision in moved)
    before = (entry.correction, entry.correction_reason)
    covid = bool(now[COVID])
    other = "COVID-19" if covid else ""  # what it has instead, nobody said
    return replace(
        entry,
        covid=covid,
        diagnosis=entry.diagnosis if covid == entry.covid else other,
        lesions=LesionLabels(values=tuple(lesions)),
        correction="; ".join(filter(None, (before[0], *changes))),
        correction_reason="; ".join(filter(None, (before[1], *reasons))),
    )


def _cell(value: bool | None) -> str:
    return "unknown" if value is None else str(int(value))
