"""What a proven graph says of many images, for all that export fits on validation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ladnn.bundle import OperatingPoint
from ladnn.calibration import probability
from ladnn.dataset import Record, require_listed
from ladnn.engines import Engine
from ladnn.errors import DataError
from ladnn.fitting import Fitted, Scored
from ladnn.imaging import CtImage
from ladnn.lungfield import model_input

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

MOST_MOVED = 0.01
"""Bar for bfloat16: no probability of validation moves by as much, and no decision changes."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Logits float32 [N, K] of N images, and those of another engine, if there was one."""

    logits: Floats
    other_logits: Floats | None = None


def read_all(
    records: Sequence[Record], read: Callable[[Path], CtImage], advance: Callable[[], None]
) -> list[Pixels]:
    """The pixels of each record's file; an image that cannot be read is an error.

    Raises:
        DataError: no record, and a file that is not the one of its record.
        ImageError: as `read` says.
    """
    if not records:
        raise DataError(
            "a bundle is fitted on training and validation images and one of these splits is "
            "empty: give a manifest that holds both"
        )
    found = []
    for record in records:
        image = read(record.path)
        require_listed(record, image.sha256)
        found.append(image.pixels)
        advance()
    return found


def judge(
    images: Sequence[Pixels], engine: Engine, *, size: int, frame: str, other: Engine | None = None
) -> Judged:
    """Run decoded images, uint8 [H, W] each, through the canonical frame and the graph."""
    squares = [model_input(pixels, size, frame)[0][np.newaxis] for pixels in images]
    logits = np.concatenate([engine.infer(square)[0] for square in squares])
    if other is None:
        return Judged(logits=logits)
    others = np.concatenate([other.infer(square)[0] for square in squares])
    return Judged(logits=logits, other_logits=others)


def scored(records: Sequence[Record], judged: Judged) -> Scored:
    """The labels of the records beside their logits."""
    lesions = [[np.nan if v is None else float(v) for v in r.lesions.values] for r in records]
    return Scored(
        logits=judged.logits.astype(np.float64),
        covid=np.array([record.covid for record in records], dtype=bool),
        lesions=np.array(lesions, dtype=np.float64),
        sources=tuple(record.source for record in records),
        patients=tuple(record.patient for record in records),
    )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What two engines say of the same images apart, in calibrated probabilities.

    Attributes:
        covid: absolute differences in the probability of COVID-19, float64 [N].
        largest: of any output.
        decisions: by operating point, of how many images they decide otherwise.
    """

    covid: NDArray[np.float64]
    largest: float
    decisions: dict[str, int]


def difference(judged: Judged, fitted: Fitted) -> Difference:
    """Compare the two engines that judged; ValueError where there was one alone."""
    if judged.other_logits is None:
        raise ValueError("one engine alone judged, and there is nothing to compare")
    temperatures = [fitted.temperature, *(c.temperature or 1.0 for c in fitted.lesions.values())]
    one, other = (
        np.stack([probability(column, t) for column, t in zip(each.T, temperatures, strict=True)])
        for each in (judged.logits, judged.other_logits)
    )
    moved = np.abs(one - other)
    return Difference(
        covid=moved[0],
        largest=float(moved.max()),
        decisions={
            name: int(np.sum(_decisions(point, one[0]) != _decisions(point, other[0])))
            for name, point in fitted.operating_points.items()
        },
    )


def safe_precision(judged: Judged, fitted: Fitted) -> str:
    """`bfloat16` where the other engine, which is in that, changes nothing that matters."""
    if judged.other_logits is None:
        return "float32"
    found = difference(judged, fitted)
    same = not any(found.decisions.values())
    return "bfloat16" if found.largest < MOST_MOVED and same else "float32"


def _decisions(point: OperatingPoint, chances: NDArray[np.float64]) -> NDArray[np.str_]:
    return np.array([point.decide(float(chance)) for chance in chances])
