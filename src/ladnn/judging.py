"""What a proven graph says of many images, for all that export fits on validation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ladnn.bundle import OperatingPoint
from ladnn.calibration import probability
from ladnn.dataset import Record
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
    """Logits float32 [N, K] of N images, and those of a faster engine, if there was one."""

    logits: Floats
    fast_logits: Floats | None = None


def read_all(
    records: Sequence[Record], read: Callable[[Path], CtImage], advance: Callable[[], None]
) -> list[Pixels]:
    """The pixels of each record's file; an image that cannot be read is an error.

    Raises:
        DataError: no record. ImageError: as `read` says.
    """
    if not records:
        raise DataError(
            "a bundle is fitted on training and validation images and one of these splits is "
            "empty: give a manifest that holds both"
        )
    found = []
    for record in records:
        found.append(read(record.path).pixels)
        advance()
    return found


def judge(
    images: Sequence[Pixels], engine: Engine, *, size: int, frame: str, fast: Engine | None = None
) -> Judged:
    """Run decoded images, uint8 [H, W] each, through the canonical frame and the graph."""
    squares = [model_input(pixels, size, frame)[0][np.newaxis] for pixels in images]
    logits = np.concatenate([engine.infer(square)[0] for square in squares])
    if fast is None:
        return Judged(logits=logits)
    quick = np.concatenate([fast.infer(square)[0] for square in squares])
    return Judged(logits=logits, fast_logits=quick)


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


def safe_precision(judged: Judged, fitted: Fitted) -> str:
    """`bfloat16` where on validation it changes nothing that matters; else `float32`."""
    if judged.fast_logits is None:
        return "float32"
    temperatures = [fitted.temperature, *(c.temperature or 1.0 for c in fitted.lesions.values())]
    exact, fast = (
        np.stack([probability(column, t) for column, t in zip(each.T, temperatures, strict=True)])
        for each in (judged.logits, judged.fast_logits)
    )
    moved = float(np.abs(exact - fast).max())
    points = fitted.operating_points.values()
    same = all(_decisions(point, exact[0]) == _decisions(point, fast[0]) for point in points)
    return "bfloat16" if moved < MOST_MOVED and same else "float32"


def _decisions(point: OperatingPoint, chances: NDArray[np.float64]) -> list[str]:
    return [str(point.decide(float(chance))) for chance in chances]
