"""Connected regions of a mask in pure NumPy, so that a cold start need not import SciPy.

Every function gives what `scipy.ndimage` gives for two dimensions and its default cross-shaped
neighbourhood, label numbers included: trained networks depend on the frame that is cut by them.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Indices = NDArray[np.intp]


def opening(mask: Mask, iterations: int = 1) -> Mask:
    """Erode, then dilate `iterations` times, bool [h, w]; outside the mask nothing is set."""
    for _ in range(iterations):
        mask = ~_spread(~mask, outside=True)
    for _ in range(iterations):
        mask = _spread(mask, outside=False)
    return mask


def label(mask: Mask) -> tuple[Labels, int]:
    """Number the regions of bool [h, w] whose pixels touch by their sides.

    Returns:
        int32 [h, w], 0 outside the mask, regions from 1 in the order of their first pixels; and
        the number of regions.
    """
    starts, ends, stride = _runs(mask)
    above, below = _touching(starts, ends, stride)
    roots = _merge(len(starts), above, below)
    first = roots == np.arange(len(roots))
    number = np.cumsum(first, dtype=np.int32)[roots]
    labels = np.zeros(mask.shape, dtype=np.int32)
    labels[mask] = np.repeat(number, ends - starts)
    return labels, int(first.sum())


def fill_holes(mask: Mask) -> Mask:
    """Bool [h, w] with everything set that cannot reach the border beside the mask."""
    labels, count = label(~mask)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outside = np.zeros(count + 1, dtype=bool)
    outside[border] = True
    outside[0] = False  # the mask itself
    filled: Mask = ~outside[labels]
    return filled


def _spread(mask: Mask, *, outside: bool) -> Mask:
    """Set every pixel that one of its four neighbours sets; beyond the border is `outside`."""
    spread = mask.copy()
    spread[1:] |= mask[:-1]
    spread[:-1] |= mask[1:]
    spread[:, 1:] |= mask[:, :-1]
    spread[:, :-1] |= mask[:, 1:]
    if outside:
        spread[[0, -1]] = True
        spread[:, [0, -1]] = True
    return spread


def _runs(mask: Mask) -> tuple[Indices, Indices, int]:
    """Starts and ends of the horizontal runs, as positions in rows of the length returned last."""
    height, width = mask.shape
    # one empty column between two rows keeps a run from going on in the next
    padded = np.zeros(height * (width + 1) + 1, dtype=np.int8)
    padded[1:].reshape(height, width + 1)[:, :width] = mask
    steps = np.diff(padded)
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), width + 1


def _touching(starts: Indices, ends: Indices, stride: int) -> tuple[Indices, Indices]:
    """Every pair of runs that share a column in rows that follow each other."""
    low = np.searchsorted(ends, starts + stride, side="right")
    high = np.searchsorted(starts, ends + stride, side="left")
    counts = np.maximum(high - low, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return above, low[above] + within


def _merge(count: int, one: Indices, other: Indices) -> Indices:
    """The smallest run that each run is connected to by the pairs."""
    roots = np.arange(count)
    while True:
        left, right = roots[one], roots[other]
        apart = left != right
        if not apart.any():
            return roots
        one, other, left, right = one[apart], other[apart], left[apart], right[apart]
        np.minimum.at(roots, np.maximum(left, right), np.minimum(left, right))
        while True:
            shorter = roots[roots]
            if np.array_equal(shorter, roots):
                break
            roots = shorter
