"""The drawings that the guard is fitted on."""

import numpy as np
import pytest

from ladnn.decoys import KINDS, detail, draw, scramble
from ladnn.decoys.exports import restyle
from ladnn.errors import ConfigError
from ladnn.phantom import thorax

SEEDS = range(12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_drawn_as_grey_of_moderate_size(kind):
    pictures = [draw(kind, seed) for seed in range(4)]
    assert all(p.dtype == np.uint8 and p.ndim == 2 for p in pictures)
    assert all(60 <= side <= 600 for p in pictures for side in p.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same(kind):
    assert np.array_equal(draw(kind, 3), draw(kind, 3))


def test_another_seed_draws_another():
    assert not np.array_equal(draw("ct_head", 1), draw("ct_head", 2))


def test_an_unknown_kind_is_an_error_that_lists_the_known():
    with pytest.raises(ConfigError, match="xray_chest"):
        draw("unicorn", 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("change", [restyle, scramble, detail])
def test_a_changed_chest_is_grey_and_seeded(change, seed):
    chest = thorax(seed, size=(96, 120))
    first, second = change(chest, seed), change(chest, seed)
    assert first.dtype == np.uint8
    assert first.ndim == 2
    assert np.array_equal(first, second)


@pytest.mark.parametrize("change", [restyle, scramble, detail])
def test_the_smallest_images_can_be_changed(change):
    for seed in SEEDS:
        assert change(np.full((61, 64), 90, np.uint8), seed).size > 0
