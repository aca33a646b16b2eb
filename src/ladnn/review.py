"""Where a manifest's labels and its captions disagree, as a table that a person works through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladnn.csvs import write_rows
from ladnn.dataset import Manifest, Record
from ladnn.errors import DataError
from ladnn.findings import LESIONS
from ladnn.labelling import BETWEEN, Labelled, Progress, label_images
from ladnn.reports import Covid, Mention
from ladnn.sources.reviewed import COVID

COLUMNS = (
    "source",
    "file",
    "label",
    "given",
    "extracted",
    "decision",
    "reason",
    "course",
    "words",
    "panel",
    "caption",
)


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """One label of one image on which files and caption differ.

    Attributes:
        label: `covid` or the short name of a lesion.
        given: of the manifest; None for a lesion that nobody labelled.
        extracted: from the caption.
        mentions: the words that the extraction rests on; none where nothing names the lesion.
        course: what they say; empty for COVID-19 and for a lesion that is not named.
        panel: of the figure, where the caption tells which is this image's.
    """

    record: Record
    label: str
    given: bool | None
    extracted: bool
    mentions: tuple[Mention, ...]
    course: str
    panel: str


def disagreements(manifest: Manifest, progress: Progress = iter) -> list[Disagreement]:
    """All of them, in the manifest's order; images without a caption are left out.

    Raises DataError where no image has one, for then there is nothing to compare.
    """
    told = [record for record in manifest if record.caption.strip()]
    if not told:
        raise DataError("no image of the manifest has a caption: there is nothing to review")
    labelled = label_images([(record.path.name, record.caption) for record in told], progress)
    return [
        found
        for record, one in zip(told, labelled, strict=True)
        if one.report.readable
        for found in _of_image(record, one)
    ]


def _of_image(record: Record, one: Labelled) -> Iterator[Disagreement]:
    report = one.report
    if report.covid is not Covid.UNSTATED and (report.covid is Covid.POSITIVE) != record.covid:
        yield Disagreement(
            record=record,
            label=COVID,
            given=record.covid,
            extracted=not record.covid,
            mentions=report.covid_mentions,
            course="",
            panel=one.panel,
        )
    for finding in report.findings:
        given = record.lesions[finding.lesion]
        if finding.present != bool(given):
            yield Disagreement(
                record=record,
                label=str(finding.lesion),
                given=given,
                extracted=finding.present,
                mentions=finding.mentions,
                course=finding.course or "",
                panel=one.panel,
            )


def write_review(found: Iterable[Disagreement], path: Path) -> None:
    """Write COLUMNS, `decision` and `reason` empty; filled in, it is a corrections file."""
    write_rows(path, COLUMNS, map(_cells, found), what="the review")


def _cells(one: Disagreement) -> Sequence[object]:
    return (
        one.record.source,
        one.record.path.name,
        one.label,
        "" if one.given is None else int(one.given),
        int(one.extracted),
        "",
        "",
        one.course,
        BETWEEN.join(mention.span.words for mention in one.mentions),
        one.panel,
        one.record.caption,
    )


def counts(found: Sequence[Disagreement]) -> dict[str, int]:
    """Disagreements by label, in the order of the outputs."""
    return {
        label: sum(one.label == label for one in found) for label in (COVID, *map(str, LESIONS))
    }
