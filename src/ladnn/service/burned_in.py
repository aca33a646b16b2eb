"""Are there words in the picture? A simple look at its edges, for the reviewer who decides.

Scanners and screens write names, dates and numbers into the margins. Letters are small, bright,
of one height, and stand in a row; bones and vessels are not. Words in the middle of the picture,
words darker than their ground and handwriting are missed: the flag helps a person, and replaces
none.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ladnn.greyscale import Grey

LONGER_SIDE = 768
"""Larger pictures are reduced to this, in pixels, before they are looked at."""

MARGIN = 0.2
"""The edges: this share of height and width on each side."""

STEP = 50
"""A letter is this much brighter than the darkest around it, in grey levels."""

LETTERS = 4
"""So many in a row make a word."""

MOST = 2000
"""With more spots than this no picture is searched for rows: the reviewer is to look at it."""

_HEIGHTS = (5, 40)
_REACH = 1.6  # to the next letter of a word, in letter heights, from middle to middle


@dataclass(frozen=True, kw_only=True)
class _Letter:
    """One bright spot: its box in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def has_letters(pixels: Grey) -> bool:
    """Whether a row of letters seems to stand near an edge of uint8 [H, W]."""
    letters = _letters(_reduced(pixels))
    if len(letters) > MOST:
        return True
    return any(_row_length(letters, start) >= LETTERS for start in range(len(letters)))


def _reduced(pixels: Grey) -> Grey:
    share = LONGER_SIDE / max(pixels.shape)
    if share >= 1:
        return pixels
    height, width = (max(1, round(side * share)) for side in pixels.shape)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _letters(pixels: Grey) -> list[_Letter]:
    """Bright spots near the edges that have the size and the thin strokes of a letter."""
    ground = _ground(pixels)
    peak = ndimage.maximum_filter(pixels, size=9).astype(np.int16)
    # Half way up to the strokes beside it, so that the soft rims of two letters do not join them.
    bright = pixels - ground >= np.maximum(STEP, (peak - ground) // 2)
    labels, _ = ndimage.label(bright, np.ones((3, 3)))
    height, width = pixels.shape
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        spot = _Letter(top=rows.start, bottom=rows.stop, left=columns.start, right=columns.stop)
        if not _sized(spot) or not _near_edge(spot, height, width):
            continue
        filled = float(np.mean(labels[rows, columns] == number))
        if 0.15 <= filled <= 0.85 or spot.right - spot.left <= 3:
            found.append(spot)
    return sorted(found, key=lambda spot: spot.left)


def _ground(pixels: Grey) -> NDArray[np.int16]:
    """The grey that letters would stand on: the darker fifth of what is around each pixel."""
    size = pixels.shape[::-1]
    coarse = Image.fromarray(pixels).resize(
        (max(1, size[0] // 3), max(1, size[1] // 3)), Image.Resampling.BOX
    )
    dark = ndimage.percentile_filter(np.asarray(coarse), 20, size=(5, 11))
    return np.asarray(Image.fromarray(dark).resize(size, Image.Resampling.NEAREST), np.int16)


def _sized(spot: _Letter) -> bool:
    low, high = _HEIGHTS
    width = spot.right - spot.left
    return low <= spot.height <= high and 1 <= width <= 1.3 * spot.height


def _near_edge(spot: _Letter, height: int, width: int) -> bool:
    inside_rows = MARGIN * height < (spot.top + spot.bottom) / 2 < (1 - MARGIN) * height
    return not (inside_rows and MARGIN * width < spot.middle < (1 - MARGIN) * width)


def _row_length(letters: list[_Letter], start: int) -> int:
    """How many letters stand in a row to the right of that one of `letters`, itself included."""
    last, count = letters[start], 1
    for spot in islice(letters, start + 1, None):
        if spot.left - last.right > _REACH * last.height:
            break  # they come from left to right
        gap = spot.middle - last.middle
        level = abs(spot.bottom - last.bottom) <= max(1, 0.15 * last.height)
        alike = abs(spot.height - last.height) <= max(1, 0.2 * last.height)
        if 0 < gap <= _REACH * last.height and level and alike:
            last, count = spot, count + 1
    return count
