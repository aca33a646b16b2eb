"""Does the model look at the lungs: the share of each map's energy that lies inside them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ladnn.audit.answers import Answer, Cell, Table, average, count, words
from ladnn.audit.lungs import Mask
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card
from ladnn.intervals import Estimate
from ladnn.scoring import CAUTION_BELOW, Settings

_HEADS = ("map", "images", "energy inside the lungs", "area of the lungs", "energy less area")


def answer(card: Card, subjects: Sequence[Subject], settings: Settings, *, point: str) -> Answer:
    """Share of map energy inside the lungs, beside the share that an even map would have."""
    found = [subject for subject in subjects if subject.view.lungs is not None]
    cut = card.operating_point(point).threshold
    called = [subject for subject in found if subject.case.probability >= cut]
    rows = [
        ("COVID-19, called positive", *_row(called, 0, settings)),
        ("COVID-19, all images", *_row(found, 0, settings)),
        *((f"{name}, all images", *_row(found, n, settings)) for n, name in _lesions(card)),
    ]
    sources = dict.fromkeys(subject.case.source for subject in called)
    each = [
        (source, *_row([s for s in called if s.case.source == source], 0, settings))
        for source in sources
    ]
    return Answer(
        key="attention",
        title="Where the maps lie",
        method=(
            "Each Grad-CAM++ map is enlarged to the network's input; its energy is the sum of its "
            "values. The lungs are found by Otsu's threshold and morphology in the same frame "
            f"({count(len(subjects) - len(found), 'image')} of {len(subjects)} without a mask are "
            "left out). The frame is already cropped to the lungs, so an even map has as much "
            "energy inside as the lungs have area: the last column says what the map adds."
        ),
        findings=_findings(rows[0], len({subject.case.patient for subject in called})),
        tables=(
            Table(title="Energy by map", heads=_HEADS, rows=tuple(rows)),
            Table(title="The COVID-19 map, by source", heads=_HEADS, rows=tuple(each)),
        ),
    )


def _lesions(card: Card) -> list[tuple[int, str]]:
    """Number and name of each lesion's map, which says where examples were too few."""
    known = (True, *card.calibrated)
    return [
        (number, name if known[number] else f"{name} (too few examples)")
        for number, name in enumerate(card.classes)
    ][1:]


def _row(subjects: Sequence[Subject], index: int, settings: Settings) -> tuple[Cell, ...]:
    shares, areas, patients = [], [], []
    for subject in subjects:
        lungs = subject.view.lungs
        share = None if lungs is None else energy_inside(subject.assessment.maps[index], lungs)
        if share is not None and lungs is not None:
            shares.append(share)
            areas.append(float(lungs.mean()))
            patients.append(subject.case.patient)
    gains = [share - area for share, area in zip(shares, areas, strict=True)]
    columns = (average(values, patients, settings) for values in (shares, areas, gains))
    return (len(shares), *columns)


def energy_inside(heatmap: NDArray[np.float32], lungs: Mask) -> float | None:
    """Share in [0, 1] of a map's energy, float32 [h, w], on bool [S, S]; None of an empty map."""
    plane = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    large = np.asarray(plane.resize(lungs.shape[::-1], Image.Resampling.BILINEAR), dtype=np.float64)
    total = large.sum()
    return float(large[lungs].sum() / total) if total > 0 else None


def _findings(row: Sequence[Cell], patients: int) -> tuple[str, ...]:
    _, _, share, area, gain = row
    sentence = (
        f"In images called positive {words(share)} of the COVID-19 map's energy lies inside the "
        f"lungs, which are {words(area)} of the frame"
    )
    if patients < CAUTION_BELOW:
        return (f"{sentence}; those of {count(patients, 'patient')} are too few to conclude from.",)
    if not isinstance(gain, Estimate) or gain.low is None or gain.high is None:
        return (f"{sentence}.",)
    verdict = "the maps are not told from even ones"
    if gain.low > 0:
        verdict = "the maps prefer the lungs"
    elif gain.high < 0:
        verdict = "the maps lie outside the lungs more than chance would have it"
    return (f"{sentence}: {verdict} ({words(gain)} beyond an even map).",)
