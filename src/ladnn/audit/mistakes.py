"""The worst mistakes, each with an overlay to look at."""

from collections.abc import Sequence
from pathlib import Path

from ladnn import overlay
from ladnn.audit.answers import Answer, Table, count, number
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card
from ladnn.imaging import read_image

WORST = 20
FOLDER = "mistakes"


def answer(card: Card, subjects: Sequence[Subject], *, point: str) -> Answer:
    """The images on the wrong side of the threshold, the most certain first."""
    wrong = _wrong(subjects, card, point=point)
    shown = worst(subjects, card, point=point)
    missed = sum(subject.case.label for subject in wrong)
    refused = sum(not subject.assessment.prediction.assessable for subject in shown)
    sources = ", ".join(
        f"{sum(s.case.source == name for s in shown)} of {name}"
        for name in dict.fromkeys(s.case.source for s in shown)
    )
    findings = [
        f"{len(wrong)} of {count(len(subjects), 'image')} are on the wrong side of the {point} "
        f"threshold: {count(missed, 'positive')} missed, "
        f"{count(len(wrong) - missed, 'false alarm')}."
    ]
    if shown:
        patients = len({subject.case.patient for subject in shown})
        false_alarms = sum(not subject.case.label for subject in shown)
        findings.append(
            f"Of the {len(shown)} worst, {false_alarms} are false alarms, {refused} had been "
            f"refused, and they are of {count(patients, 'patient')} ({sources})."
        )
    return Answer(
        key="mistakes",
        title=f"The {WORST} worst mistakes",
        method="The farther a probability is from the label, the worse. Look at each overlay.",
        findings=tuple(findings),
        tables=(_table(shown),),
        sheets=tuple(sheet_name(place, subject) for place, subject in enumerate(shown, start=1)),
    )


def worst(subjects: Sequence[Subject], card: Card, *, point: str) -> tuple[Subject, ...]:
    """At most `WORST` subjects on the wrong side of the threshold, the worst first."""
    wrong = _wrong(subjects, card, point=point)
    return tuple(sorted(wrong, key=_distance, reverse=True)[:WORST])


def _wrong(subjects: Sequence[Subject], card: Card, *, point: str) -> list[Subject]:
    cut = card.operating_point(point).threshold
    return [s for s in subjects if (s.case.probability >= cut) != s.case.label]


def _distance(subject: Subject) -> float:
    return abs(float(subject.case.label) - subject.case.probability)


def _table(shown: Sequence[Subject]) -> Table:
    rows = tuple(
        (
            place,
            subject.view.record.path.name,
            subject.case.source,
            "positive" if subject.case.label else "negative",
            number(subject.case.probability),
            "yes" if subject.assessment.prediction.assessable else "no",
        )
        for place, subject in enumerate(shown, start=1)
    )
    heads = ("", "image", "source", "label", "probability", "assessable")
    return Table(title="The worst", heads=heads, rows=rows, of_images=True)


def sheet_name(place: int, subject: Subject) -> str:
    """The file of an overlay below the audit's folder."""
    return f"{FOLDER}/{place:02d}-{overlay.file_name(subject.view.record.path)}"


def draw_sheets(card: Card, shown: Sequence[Subject], folder: Path) -> None:
    """Write the overlay of each, below `folder`; raises ImageError where one cannot be."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for place, subject in enumerate(shown, start=1):
        path = subject.view.record.path
        point = card.operating_point(subject.assessment.prediction.operating_point)
        sheet = overlay.draw(
            read_image(path).pixels,
            subject.assessment.maps,
            subject.assessment.prediction,
            box=subject.assessment.field.box,
            calibrated=card.calibrated,
            cuts=(point.low, point.high),
            name=f"{'positive' if subject.case.label else 'negative'} by its label: {path.name}",
        )
        overlay.save(sheet, folder / sheet_name(place, subject))
