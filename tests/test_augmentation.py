"""What augmentation may change, and what it must not."""

from dataclasses import replace

import numpy as np
import pytest

from ladnn.augmentation import Augmentation, augment
from ladnn.findings import Lesion
from ladnn.lungfield import locate, lungs_alone, model_input
from synthetic import clear_chest

NOTHING = Augmentation(
    jitter=0, unframed=0, rotation=0, shear=0, flip=0, levels=0, gamma=0, saturate=0,
    resample=0, jpeg=0, kernel=0, noise=0, marks=0, erase=0, paint=0, nodule=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def phantom():
    return clear_chest()


def view(pixels, how, seed=0, *, healthy=False):
    rng = np.random.default_rng(seed)
    field = locate(pixels)
    return augment(lungs_alone(pixels, field), field, 96, how, rng, healthy=healthy)


def test_with_everything_off_training_sees_what_serving_sees(phantom):
    seen, _ = view(phantom, NOTHING)
    served, _ = model_input(phantom, 96)
    assert np.abs(seen.astype(int) - served).mean() < 3


def test_the_same_generator_gives_the_same_view(phantom):
    one, two = (view(phantom, Augmentation(), seed=5)[0] for _ in range(2))
    assert np.array_equal(one, two)


def test_other_generators_give_other_views(phantom):
    one, two = (view(phantom, Augmentation(), seed=seed)[0] for seed in (5, 6))
    assert not np.array_equal(one, two)


def test_zoom_scales_both_sides_alike_about_the_middle_by_up_to_its_share():
    disc = np.hypot(*np.mgrid[-60:60, -60:60]) < 30
    pixels = np.where(disc, 200, 0).astype(np.uint8)
    field = replace(locate(pixels), box=(0.0, 0.0, 1.0, 1.0))
    how = replace(NOTHING, zoom=0.2)
    scales = []
    for seed in range(40):
        seen = augment(pixels, field, 120, how, np.random.default_rng(seed))[0]
        rows, columns = np.nonzero(seen > seen.max() // 2)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert abs(height - width) <= 2
        assert abs(rows.mean() - 59.5) < 1.5
        assert abs(columns.mean() - 59.5) < 1.5
        scales.append(height / 60)
    assert 0.78 < min(scales) < 0.85
    assert 1.15 < max(scales) < 1.22


def test_no_zoom_draws_no_random_number(phantom):
    """So recipes that were made before it see the same images."""
    states = []
    for zoom in (0.0, 1e-9):
        rng = np.random.default_rng(3)
        augment(phantom, locate(phantom), 96, replace(NOTHING, zoom=zoom), rng)
        states.append(rng)
    behind = states[0]
    behind.random()
    assert behind.random() == states[1].random()


def test_only_a_healthy_image_is_painted(phantom):
    always = Augmentation(paint=1.0)
    assert view(phantom, always, healthy=False)[1] is None
    assert view(phantom, always, healthy=True)[1] in (Lesion.GGO, Lesion.CSLD)


def test_a_painted_opacity_brightens_the_lungs_and_nothing_else(phantom):
    plain, _ = view(phantom, NOTHING)
    painted, _ = view(phantom, replace(NOTHING, paint=1.0), healthy=True)
    changed = painted.astype(int) - plain
    assert changed.min() >= -1
    assert (changed > 10).mean() > 0.005
    assert np.median(plain[changed > 10]) < 100


def test_an_image_without_lungs_is_not_painted():
    blank = np.full((80, 80), 90, dtype=np.uint8)
    assert view(blank, replace(NOTHING, paint=1.0), healthy=True)[1] is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_any_shape_survives(shape):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    for seed in range(10):
        assert view(pixels, Augmentation(), seed=seed, healthy=True)[0].shape == (96, 96)
