"""A look at one image: all that the network and the guard see of it, taken before either runs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ladnn import guard
from ladnn.lungfield import LungField, cut, model_input

Pixels = NDArray[np.uint8]


class Look(NamedTuple):
    """What of an image an assessment rests on.

    Attributes:
        square: uint8 [R, S], what the network takes (`lungfield.model_input`).
        field: the part of the image that it was cut from.
        evidence: float32 [F], what the guard weighs (`guard.features`).
    """

    square: Pixels
    field: LungField
    evidence: NDArray[np.float32]


def take_look(pixels: Pixels, size: int, frame: str) -> Look:
    """Look at a decoded image, uint8 [H, W], through one of `lungfield.FRAMES` of side `size`."""
    square, field = model_input(pixels, size, frame)
    return Look(square, field, guard.features(pixels, cut(pixels, field, guard.SIDE), field))
