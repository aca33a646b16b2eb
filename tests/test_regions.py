"""Regions of a mask are SciPy's, number by number, for trained networks look through them."""

import numpy as np
import pytest
from scipy import ndimage

from ladnn import regions
from ladnn.lungfield import otsu
from ladnn.phantom import thorax


def masks() -> list[np.ndarray]:
    """Noise of every density, smooth blobs, phantoms, and the shapes that are easily got wrong."""
    rng = np.random.default_rng(0)
    drawn = [rng.random((1 + seed % 40, 1 + seed * 7 % 50)) < rng.random() for seed in range(200)]
    for seed in range(100):
        plane = rng.standard_normal((192, 40 + seed))
        drawn.append(ndimage.gaussian_filter(plane, 0.5 + seed % 5) > 0)
    for seed in range(6):
        phantom = thorax(seed, size=(160, 192))
        drawn += [phantom <= otsu(phantom), phantom > otsu(phantom)]
    stripes, comb = np.zeros((2, 33, 33), dtype=bool)
    stripes[::2] = True
    comb[-1] = comb[:, ::2] = True
    return [*drawn, stripes, comb, np.zeros((5, 7), bool), np.ones((7, 5), bool)]


MASKS = masks()


def test_regions_and_their_numbers_are_those_of_scipy():
    for mask in MASKS:
        ours, theirs = regions.label(mask), ndimage.label(mask)
        assert ours[1] == theirs[1]
        assert np.array_equal(ours[0], theirs[0])


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_an_opening_is_that_of_scipy(iterations):
    for mask in MASKS:
        theirs = ndimage.binary_opening(mask, iterations=iterations)
        assert np.array_equal(regions.opening(mask, iterations), theirs)


def test_holes_are_filled_as_scipy_fills_them():
    for mask in MASKS:
        assert np.array_equal(regions.fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_a_spiral_is_one_region():
    side = 64
    spiral = np.zeros((side, side), dtype=bool)
    for ring in range(0, side // 2, 2):
        spiral[ring, max(ring - 2, 0) : side - ring] = True
        spiral[ring : side - ring, side - 1 - ring] = True
        spiral[side - 1 - ring, ring : side - ring] = True
        spiral[ring + 2 : side - ring, ring] = True
    assert regions.label(spiral)[1] == ndimage.label(spiral)[1] == 1
