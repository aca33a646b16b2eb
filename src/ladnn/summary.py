"""What is in a manifest: the paper's Table 1 and Figure 3 in numbers, per source and in all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ladnn.dataset import Manifest, Record
from ladnn.findings import LESIONS
from ladnn.splitting import PARTS

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Count:
    """Images and patients (or clusters that stand for them)."""

    images: int
    patients: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One source, or all of them.

    Attributes:
        source: its name, or `all`.
        table: Table 1: flag (`positive`, `negative`) -> part (`all`, `train`, `val`, `test`, and
            `none` for records without one) -> count.
        lesions_per_image: Figure 3a: number of lesions -> positive images; images whose lesions
            are unknown count under `unknown`.
        concordance: Figure 3b: int[5][5], in how many positive images two lesions appear together,
            in the order of LESIONS; on the diagonal, in how many one appears at all.
        lesions: lesion -> part -> positive images that show it.
        negatives: Figure 3c: diagnosis -> negative images; `unknown` where there is none.
        corrected: images of which the label set or a review changed something.
    """

    source: str
    table: dict[str, dict[str, Count]]
    lesions_per_image: dict[str, int]
    concordance: tuple[tuple[int, ...], ...]
    lesions: dict[str, dict[str, int]]
    negatives: dict[str, int]
    corrected: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain lists and dictionaries."""
        return asdict(self)


def summarise(manifest: Manifest) -> tuple[Summary, ...]:
    """One summary for each source, then one of all where there is more than one."""
    sources = manifest.sources
    parts = [_summary(source, [r for r in manifest if r.source == source]) for source in sources]
    return (*parts, _summary("all", manifest.records)) if len(sources) > 1 else tuple(parts)


def _summary(source: str, records: Sequence[Record]) -> Summary:
    positives = [record for record in records if record.covid]
    negatives = [record for record in records if not record.covid]
    parts = _parts(records)
    return Summary(
        source=source,
        table={"positive": _row(positives, parts), "negative": _row(negatives, parts)},
        lesions_per_image=_histogram(positives),
        concordance=tuple(
            tuple(sum(bool(r.lesions[a] and r.lesions[b]) for r in positives) for b in LESIONS)
            for a in LESIONS
        ),
        lesions={
            str(lesion): {
                part: sum(r.lesions[lesion] is True for r in _of(positives, part)) for part in parts
            }
            for lesion in LESIONS
        },
        negatives=dict(Counter(r.diagnosis or UNKNOWN for r in negatives).most_common()),
        corrected=sum(bool(record.correction) for record in records),
    )


def _row(records: Sequence[Record], parts: Sequence[str]) -> dict[str, Count]:
    return {
        part: Count(images=len(mine), patients=len({(r.source, r.patient) for r in mine}))
        for part in parts
        for mine in [_of(records, part)]
    }


def _parts(records: Sequence[Record]) -> tuple[str, ...]:
    unsplit = any(not record.split for record in records)
    return ("all", *PARTS, "none") if unsplit else ("all", *PARTS)


def _of(records: Sequence[Record], part: str) -> Sequence[Record]:
    if part == "all":
        return records
    return [record for record in records if record.split == part.replace("none", "")]


def _histogram(positives: Sequence[Record]) -> dict[str, int]:
    counts = Counter(r.lesions.count if r.lesions.known else -1 for r in positives)
    return {UNKNOWN if n < 0 else str(n): counts[n] for n in sorted(counts)}
