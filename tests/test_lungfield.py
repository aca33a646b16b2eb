"""The canonical frame: what it finds, and what it takes away."""

import numpy as np
import pytest
from PIL import Image

from ladnn.lungfield import (
    LUNG_LEVEL,
    TISSUE_LEVEL,
    locate,
    lungs_alone,
    model_input,
    otsu,
)
from ladnn.phantom import thorax


@pytest.fixture(scope="module")
def phantom():
    return thorax(seed=3)


def test_the_lungs_of_a_phantom_are_found(phantom):
    assert locate(phantom).kind == "lung"


def test_the_input_is_a_square_of_the_size_asked_for(phantom):
    square, _ = model_input(phantom, 96)
    assert (square.shape, square.dtype) == ((96, 96), np.uint8)


def test_aerated_lung_and_soft_tissue_get_fixed_grey_values(phantom):
    square, _ = model_input(phantom, 128)
    threshold = otsu(square)
    dark, bright = np.median(square[square <= threshold]), np.median(square[square > threshold])
    assert abs(dark - LUNG_LEVEL) < 30
    assert abs(bright - TISSUE_LEVEL) < 30


@pytest.mark.parametrize(("gain", "offset"), [(0.4, 20), (0.25, 60), (0.8, 0)])
def test_another_window_gives_nearly_the_same_input(phantom, gain, offset):
    other = (phantom * gain + offset).round().astype(np.uint8)
    one, two = (model_input(pixels, 96)[0].astype(float) for pixels in (phantom, other))
    assert np.abs(one - two).mean() < 6


def test_a_wider_field_of_view_gives_nearly_the_same_input(phantom):
    height, width = phantom.shape
    wide = np.zeros((height * 2, width * 2), dtype=np.uint8)
    wide[height // 2 : height // 2 + height, width // 2 : width // 2 + width] = phantom
    one, two = (model_input(pixels, 96)[0].astype(float) for pixels in (phantom, wide))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.8


def test_another_aspect_ratio_gives_nearly_the_same_input(phantom):
    tall = np.asarray(Image.fromarray(phantom).resize((200, 400)))
    one, two = (model_input(pixels, 96)[0].astype(float) for pixels in (phantom, tall))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_a_blank_image_is_taken_whole(grey):
    pixels = np.full((60, 80), grey, dtype=np.uint8)
    square, field = model_input(pixels, 32)
    assert field.kind == "full"
    assert (square == grey).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 2), (9, 9)])
def test_any_shape_gives_a_square(shape):
    rng = np.random.default_rng(0)
    square, _ = model_input(rng.integers(0, 256, shape, dtype=np.uint8), 32)
    assert square.shape == (32, 32)


def test_the_box_lies_inside_the_image():
    for seed in range(8):
        x0, y0, x1, y1 = locate(thorax(seed=seed)).box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1


def test_the_whole_frame_changes_no_grey_value(phantom):
    square, field = model_input(phantom, 64, "whole-1")
    plain = Image.fromarray(phantom).resize((64, 64), Image.Resampling.BICUBIC)
    assert field.box == (0.0, 0.0, 1.0, 1.0)
    assert np.array_equal(square, np.asarray(plain))


def test_an_image_of_specks_is_taken_whole():
    pixels = np.zeros((192, 192), dtype=np.uint8)
    pixels[::16, ::16] = 255
    assert locate(pixels).kind == "full"


def full_range(pixels):
    """Export a scan over all HU: grey and pale within the scanner's round field, black around."""
    rows, columns = np.ogrid[:512, :512]
    inside = np.asarray(Image.fromarray(pixels).resize((360, 360)))
    wide = np.full((512, 512), 95, dtype=np.uint8)
    wide[76:436, 76:436] = 95 + inside // 4
    wide[(rows - 255.5) ** 2 + (columns - 255.5) ** 2 > 255**2] = 0
    return wide


def test_the_lungs_are_found_in_an_export_over_the_full_range(phantom):
    field = locate(full_range(phantom))
    assert field.kind == "lung"
    assert 0.3 < field.box[2] - field.box[0] < 0.7


def test_an_export_over_the_full_range_gives_nearly_the_same_input(phantom):
    one, two = (
        model_input(pixels, 96)[0].astype(float) for pixels in (phantom, full_range(phantom))
    )
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.85


def test_what_surrounds_the_lungs_is_not_seen(phantom):
    lettered = phantom.copy()
    lettered[:14, 40:90] = 255
    lettered[-6:, :] = 140
    one, two = (model_input(pixels, 96)[0].astype(int) for pixels in (phantom, lettered))
    assert np.abs(one - two).mean() < 1


def test_solid_lung_is_seen_though_it_is_not_dark(phantom):
    rows, columns = np.nonzero(locate(phantom).mask)
    scale = phantom.shape[0] / locate(phantom).mask.shape[0]
    y, x = (int(np.median(axis[columns < np.median(columns)]) * scale) for axis in (rows, columns))
    solid = phantom.copy()
    solid[y - 8 : y + 8, x - 8 : x + 8] = 190
    assert (lungs_alone(solid, locate(solid))[y - 8 : y + 8, x - 8 : x + 8] == 190).all()


def test_of_lungs_cropped_too_tightly_the_whole_image_is_seen():
    pixels = np.full((200, 260), 40, dtype=np.uint8)
    pixels[:, 90:170] = 200
    assert locate(pixels).box == (0.0, 0.0, 1.0, 1.0)


def test_a_lung_that_a_tight_crop_cuts_through_is_seen_beside_the_other():
    cropped = thorax(3)[77:161, 67:285]  # through the left of the image and above and below
    field = locate(cropped)
    assert field.kind == "lung"
    assert (field.box[0] < 0.15, field.box[2] > 0.95) == (True, True)


def test_a_pair_is_the_box_above_the_lungs_alone(phantom):
    pair, field = model_input(phantom, 64, "lungpair-1")
    above, below = model_input(phantom, 64, "lungbox-1")[0], model_input(phantom, 64, "lungs-2")[0]
    assert (pair == np.concatenate([above, below])).all()
    assert field.mask is not None


def test_the_box_frame_crops_and_changes_no_grey_value(phantom):
    square, field = model_input(phantom, 64, "lungbox-1")
    x0, y0, x1, y1 = (
        round(edge * side) for edge, side in zip(field.box, (320, 256) * 2, strict=True)
    )
    assert 0 < x0 < x1 < 320
    assert 0 < y0 < y1 < 256
    assert set(np.unique(square)) <= set(range(int(phantom.min()) - 30, int(phantom.max()) + 30))
    assert abs(square.mean() - phantom[y0:y1, x0:x1].mean()) < 4
