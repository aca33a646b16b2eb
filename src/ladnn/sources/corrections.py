"""Label sets: which images of a collection carry another flag than their files say, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ladnn.csvs import packaged
from ladnn.errors import DataError
from ladnn.findings import LESIONS, LesionLabels
from ladnn.sources.entry import Entry

LABEL_SETS = ("published", "paper", "audited")


@dataclass(frozen=True, kw_only=True)
class Correction:
    """One image whose flag a label set moves.

    Attributes:
        covid: the flag it gets.
        diagnosis: what its caption or file name says it shows; may be empty.
        lesions_absent: whether the caption calls the lungs normal, which makes all five absent;
            otherwise the lesions stay as the files have them.
        reason: one sentence with the evidence.
    """

    source: str
    file: str
    covid: bool
    diagnosis: str
    lesions_absent: bool
    reason: str


def corrections_for(labels: str) -> dict[tuple[str, str], Correction]:
    """The packaged corrections of the label set `labels`, by source and file name."""
    return {
        (row["source"], row["file"]): Correction(
            source=row["source"],
            file=row["file"],
            covid=row["covid"] == "1",
            diagnosis=row["diagnosis"],
            lesions_absent=row["lesions"] == "absent",
            reason=row["reason"],
        )
        for row in packaged("corrections")
        if labels in row["label_sets"].split()
    }


def corrected(entry: Entry, corrections: Mapping[tuple[str, str], Correction]) -> Entry:
    """`entry` with the correction that the label set has for it, if any.

    Raises DataError where the correction finds the flag it was to set: then the files are not the
    ones that it was written for.
    """
    correction = corrections.get((entry.source, entry.path.name))
    if correction is None:
        return entry
    if correction.covid == entry.covid:
        raise DataError(
            f"{entry.path.name} already has the flag that its correction sets: "
            "use --labels published for a collection that was corrected before"
        )
    absent = LesionLabels(values=(False,) * len(LESIONS))
    return replace(
        entry,
        covid=correction.covid,
        lesions=absent if correction.lesions_absent else entry.lesions,
        diagnosis=correction.diagnosis,
        correction=f"covid {int(entry.covid)} to {int(correction.covid)}",
        correction_reason=correction.reason,
    )
