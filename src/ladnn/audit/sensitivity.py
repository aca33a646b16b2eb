"""How far a prediction moves when an image is altered in ways that leave the patient the same."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

import numpy as np

from ladnn.audit.alterations import ALTERATIONS, Alteration
from ladnn.audit.answers import (
    Answer,
    Cell,
    Progress,
    Table,
    average,
    clustered_auc,
    count,
    few,
    words,
)
from ladnn.audit.subjects import Subject
from ladnn.bundle import OperatingPoint
from ladnn.errors import LadnnError
from ladnn.findings import Prediction
from ladnn.imaging import CtImage, read_image
from ladnn.intervals import Difference, Estimate, paired_bootstrap
from ladnn.runtime import Predictor
from ladnn.scoring import CAUTION_BELOW, Settings
from ladnn.statistics import roc_auc

_HEADS = (
    "alteration",
    "images",
    "mean shift of the probability, absolute",
    "mean shift, signed",
    "calls that change",
    "refused",
    "AUC",
    "AUC less that of the images as they are",
)


def answer(
    predictor: Predictor,
    subjects: Sequence[Subject],
    settings: Settings,
    progress: Progress,
    *,
    point: str,
    seed: int,
) -> Answer:
    """Each image of a sample altered in each way and judged again."""
    cut = predictor.card.operating_point(point)
    rows = []
    for name, alteration in ALTERATIONS.items():
        waiting = progress(f"Altering: {name}", subjects)
        altered = _judge(predictor, waiting, alteration, seed=seed)
        rows.append((name, *_row(altered, cut, settings)))
    return Answer(
        key="sensitivity",
        title="Sensitivity to what exporters, journals and viewers do",
        method=(
            f"{count(len(subjects), 'image')}, a seeded sample over the sources and both labels, "
            "are altered after decoding and go through everything again: lung field, network, "
            f"guard. A call changes when the probability crosses the {point} threshold."
        ),
        findings=_findings(rows, few([subject.case for subject in subjects])),
        tables=(Table(title="Altered images", heads=_HEADS, rows=tuple(rows)),),
    )


def _judge(
    predictor: Predictor,
    subjects: Iterable[Subject],
    alteration: Alteration,
    *,
    seed: int,
) -> list[tuple[Subject, Prediction]]:
    def altered(subject: Subject) -> CtImage:
        path = subject.view.record.path
        image = read_image(path)
        rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
        return replace(image, pixels=alteration.change(image.pixels, rng))

    found = predictor.each(subjects, altered, lambda _, __, said: said.prediction)
    return [(one, said) for one, said in found if not isinstance(said, LadnnError)]


def _row(
    altered: Sequence[tuple[Subject, Prediction]],
    cut: OperatingPoint,
    settings: Settings,
) -> tuple[Cell, ...]:
    patients = [one.case.patient for one, _ in altered]
    labels = [one.case.label for one, _ in altered]
    before = np.array([one.case.probability for one, _ in altered])
    after = np.array([said.probability for _, said in altered])
    changed = (before >= cut.threshold) != (after >= cut.threshold)
    refused = [float(not said.assessable) for _, said in altered]
    return (
        len(altered),
        average(np.abs(after - before).tolist(), patients, settings),
        average((after - before).tolist(), patients, settings),
        average(changed.astype(float).tolist(), patients, settings),
        average(refused, patients, settings),
        clustered_auc(labels, after.tolist(), patients, settings),
        _difference(labels, after, before, patients, settings),
    )


def _difference(
    labels: Sequence[bool],
    after: np.ndarray[tuple[int], np.dtype[np.float64]],
    before: np.ndarray[tuple[int], np.dtype[np.float64]],
    patients: Sequence[str],
    settings: Settings,
) -> Difference:
    if len(set(labels)) < 2:
        return Difference(value=None, reason="both classes are needed")
    return paired_bootstrap(roc_auc, labels, after, before, patients, **asdict(settings))


def _findings(rows: Sequence[tuple[Cell, ...]], too_few: bool) -> tuple[str, ...]:
    kinds = dict.fromkeys(alteration.kind for alteration in ALTERATIONS.values())
    caution = (f"Fewer than {CAUTION_BELOW} patients of a class: too few to conclude from.",)
    return (*(_sentence(kind, rows) for kind in kinds), *(caution if too_few else ()))


def _sentence(kind: str, rows: Sequence[tuple[Cell, ...]]) -> str:
    """The alteration of this kind that moves probabilities most."""
    mine = [row for row in rows if ALTERATIONS[str(row[0])].kind == kind]
    worst = max(mine, key=lambda row: _value(row[2]))
    name, _, shift, _, changed, refused, auc, difference = worst
    return (
        f"{kind[0].upper()}{kind[1:]}: the probability moves by {words(shift)} on average "
        f"({name}), {words(changed)} of the calls change, {words(refused)} of the images are "
        f"refused, and the AUC becomes {words(auc)}, {_verdict(difference)}."
    )


def _value(cell: Cell) -> float:
    return cell.value or 0.0 if isinstance(cell, Estimate) else 0.0


def _verdict(difference: Cell) -> str:
    if not isinstance(difference, Difference) or difference.low is None or difference.high is None:
        return "with no test of the difference"
    certain = difference.high < 0 or difference.low > 0
    return f"a difference of {words(difference)}{'' if certain else ', not told from none'}"
