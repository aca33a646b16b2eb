"""The images that are examined: a capped, seeded sample of each source, seen by the model once."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ladnn.audit.answers import Progress
from ladnn.audit.lungs import Mask, Pixels, lung_mask
from ladnn.dataset import Record
from ladnn.errors import DataError, LadnnError
from ladnn.evaluation import case_of, read_listed
from ladnn.imaging import CtImage
from ladnn.lungfield import model_input
from ladnn.runtime import Assessment, Predictor
from ladnn.scoring import Case

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class View:
    """What the network sees of one image.

    Attributes:
        squares: what the network sees, uint8 [1 or 2, S, S]; see `lungfield.planes`.
        lungs: bool [S, S]; None where they were not found.
    """

    record: Record
    squares: Pixels
    lungs: Mask | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One image that is examined, and what the model says of it.

    Attributes:
        format, size: of the file; height and width.
        case: label, probability and decisions.
        assessment: prediction, maps and embedding.
    """

    view: View
    format: str
    size: tuple[int, int]
    case: Case
    assessment: Assessment


def by_source(record: Record) -> str:
    """The group of `capped` by default."""
    return record.source


def by_source_and_label(record: Record) -> str:
    """Groups that keep both classes in a small sample."""
    return f"{record.source}, {record.covid}"


def capped(
    records: Sequence[Record],
    cap: int,
    seed: int,
    group: Callable[[Record], str] = by_source,
) -> tuple[Record, ...]:
    """At most `cap` records of each group, drawn with `seed`, in the order they came in."""
    places = defaultdict(list)
    for place, record in enumerate(records):
        places[group(record)].append(place)
    kept: list[int] = []
    for name in sorted(places):
        rng = np.random.default_rng(seed)
        found = places[name]
        kept += found if len(found) <= cap else rng.choice(found, cap, replace=False).tolist()
    return tuple(records[place] for place in sorted(kept))


def look(
    predictor: Predictor, records: Sequence[Record], progress: Progress
) -> tuple[tuple[Subject, ...], tuple[tuple[Record, str], ...]]:
    """The subjects, and record and sentence of each image that could not be read.

    Raises:
        DataError: when none could be read.
    """
    card = predictor.card

    def finish(record: Record, image: CtImage, said: Assessment) -> Subject:
        return Subject(
            view=_view(predictor, record, image),
            format=image.format,
            size=image.size,
            case=case_of(record, said.prediction, card),
            assessment=said,
        )

    subjects, failures = [], []
    waiting = iter(progress("Judging", records))
    for record, result in predictor.each(waiting, read_listed, finish):
        if isinstance(result, LadnnError):
            failures.append((record, str(result)))
        else:
            subjects.append(result)
    if not subjects:
        raise DataError(f"none of the {len(records)} images could be read: {failures[0][1]}")
    return tuple(subjects), tuple(failures)


def views(predictor: Predictor, records: Sequence[Record], progress: Progress) -> tuple[View, ...]:
    """What the network sees of images to learn from, without those that cannot be read."""
    found = []
    for record in progress("Reading training images", records):
        try:
            found.append(_view(predictor, record, read_listed(record)))
        except LadnnError:
            continue
    return tuple(found)


def _view(predictor: Predictor, record: Record, image: CtImage) -> View:
    card = predictor.card
    side = card.input_size
    seen, _ = model_input(image.pixels, side, card.preprocessing)
    squares = seen.reshape(-1, side, side)
    return View(record=record, squares=squares, lungs=lung_mask(squares[0]))


def run(
    predictor: Predictor, shown: Sequence[Pixels], progress: Progress, doing: str
) -> tuple[Floats, Floats]:
    """COVID-19 logits [N] and embeddings [N, C], as many at a time as the predictor has streams."""
    with ThreadPoolExecutor(predictor.streams) as pool:
        waiting = pool.map(lambda image: predictor.run(image[np.newaxis]), shown)
        rows = [row for row, _ in zip(waiting, progress(doing, shown), strict=True)]
    logits = np.concatenate([row.logits[:, 0] for row in rows])
    return logits, np.concatenate([row.embedding for row in rows])
