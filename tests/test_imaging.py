"""Pictures: every format and mode becomes upright 8-bit grey."""

import hashlib
import os
import struct
import subprocess
import sys
from functools import cache, partial
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from ladnn.errors import ConfigError, ImageError
from ladnn.greyscale import guess_window
from ladnn.imaging import LONGER_SIDE, LUNG_WINDOW, Window, decode, read_image
from ladnn.quiet import quiet_stderr, say
from synthetic import encode, hounsfield, thorax

GREY = thorax(1, size=(64, 80))
HU = hounsfield(1, size=(64, 80))


phantom = cache(partial(hounsfield, size=(64, 80)))


def close(first: np.ndarray, second: np.ndarray, within: float) -> bool:
    return first.shape == second.shape and np.abs(first.astype(int) - second).max() <= within


def test_what_is_said_while_another_thread_decodes_in_silence_is_heard(capfd):
    with quiet_stderr:
        os.write(2, b"of a library\n")
        say("of a file\n")
    say("of another\n")
    assert capfd.readouterr().err == "of a file\nof another\n"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_lossless_pictures_come_out_exactly(kind):
    image = decode(encode(GREY, kind))
    assert image.format == kind
    assert np.array_equal(image.pixels, GREY)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_pictures_come_out_nearly(kind):
    assert np.abs(decode(encode(GREY, kind, quality=95)).pixels - GREY.astype(float)).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_any_png_mode_becomes_grey(mode):
    picture = Image.fromarray(np.where(GREY > 127, 255, 0).astype(np.uint8))
    picture = picture if mode == "L" else picture.convert(mode)
    assert np.array_equal(decode(encode(picture, "PNG")).pixels > 127, GREY > 127)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "F", "I;16", "1"])
@pytest.mark.filterwarnings("ignore")
def test_any_tiff_mode_becomes_grey(mode):
    two = Image.fromarray(np.where(GREY > 127, 255, 0).astype(np.uint8))
    picture = two.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr", "LAB") else two
    picture = Image.fromarray(np.asarray(two, np.float32)) if mode == "F" else picture
    picture = Image.fromarray(np.asarray(two, np.uint16)) if mode == "I;16" else picture
    picture = two.convert(mode) if mode == "1" else picture
    assert np.array_equal(decode(encode(picture, "TIFF")).pixels > 127, GREY > 127)


def test_a_cmyk_jpeg_is_read():
    picture = Image.fromarray(GREY).convert("RGB").convert("CMYK")
    assert (
        np.abs(decode(encode(picture, "JPEG", quality=95)).pixels - GREY.astype(float)).mean() < 3
    )


def test_alpha_is_laid_on_black():
    half = Image.merge("LA", (Image.new("L", (8, 8), 200), Image.new("L", (8, 8), 128)))
    assert close(decode(encode(half, "PNG")).pixels, np.full((8, 8), 100), 1)


def test_a_transparent_colour_is_black():
    picture = Image.fromarray(np.array([[10, 200]], np.uint8).repeat(4, 0))
    assert decode(encode(picture, "PNG", transparency=200)).pixels[0].tolist() == [10, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(kind, orientation):
    corner = np.zeros((16, 32), np.uint8)
    corner[:8, :8] = 255
    undo = {
        1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
        6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
    }[orientation]  # fmt: skip
    stored = Image.fromarray(corner)
    stored = stored.transpose(Image.Transpose[undo]) if undo else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encode(stored, kind, exif=exif))
    assert image.size == (16, 32)
    assert np.array_equal(image.pixels > 127, corner > 127)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("offset", [1024, 32768])
def test_16_bit_hounsfield_exports_go_through_the_lung_window(kind, offset):
    deep = np.maximum(HU.astype(int) + offset, 0).astype(np.uint16)
    image = decode(encode(deep, kind))
    assert image.window == LUNG_WINDOW
    assert close(image.pixels, GREY, 8)  # noise below -1024 is clipped by the export


def test_signed_hounsfield_in_a_tiff_goes_through_the_lung_window():
    image = decode(encode(HU.astype(np.int32), "TIFF"))
    assert image.window == LUNG_WINDOW
    assert close(image.pixels, GREY, 1)


def in_16_bits(values: np.ndarray, kind: int) -> bytes:
    """A PNG of one grey plane, uint16 [H, W], in a colour type of several channels, by hand."""
    channels = {2: 3, 4: 2, 6: 4}[kind]
    planes = np.repeat(values[..., None], channels, axis=-1)
    if kind != 2:
        planes[..., -1] = 65535
    height, width = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in planes)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_colour_of_16_bits_is_read_by_its_upper_half_or_refused_where_that_is_black(kind):
    whole = in_16_bits(GREY.astype(np.uint16) * 257, kind)
    assert np.abs(decode(whole).pixels.astype(int) - GREY).max() <= 1
    with pytest.raises(ImageError, match="nearly black: save it as 16-bit grey"):
        decode(in_16_bits(GREY.astype(np.uint16) * 16, kind))


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_picture_windowed_before_keeps_its_black_and_white(bits):
    deep = np.rint(GREY * ((2**bits - 1) / 255)).astype(np.uint16)
    image = decode(encode(deep, "PNG"))
    assert image.window is None
    assert close(image.pixels, GREY, 1)


def test_other_deep_values_are_stretched_without_their_outliers():
    deep = (GREY.astype(np.uint16) * 37 + 999) // 2
    deep[0, 0] = 60000
    pixels = decode(encode(deep, "PNG")).pixels
    assert np.percentile(pixels, 1) < 10
    assert np.percentile(pixels, 99) > 245


def test_a_tiff_with_white_as_zero_is_not_inverted():
    ramp = np.arange(256, dtype=np.uint16).repeat(4).reshape(16, 64)
    image = decode(encode(65535 - ramp * 257, "TIFF", tiffinfo={262: 0}))
    assert close(image.pixels, ramp, 1)


def test_not_a_number_in_a_float_tiff_is_black():
    values = GREY.astype(np.float32)
    values[0, 0] = np.nan
    assert decode(encode(values, "TIFF")).pixels[0, 0] == 0


def test_no_number_in_a_tiff_of_hounsfield_is_black_and_not_water():
    values = hounsfield(3, size=(64, 80)).astype(np.float32)
    values[:8] = np.nan
    image = decode(encode(values, "TIFF"))
    assert image.window == LUNG_WINDOW
    assert not image.pixels[:8].any()
    assert close(image.pixels[8:], LUNG_WINDOW.grey(values[8:]), 1)


def test_a_large_picture_is_reduced_and_its_size_recorded():
    large = np.asarray(Image.fromarray(GREY).resize((2400, 1200)))
    image = decode(encode(large, "JPEG"))
    assert (image.size, image.pixels.shape) == ((1200, 2400), (LONGER_SIDE // 2, LONGER_SIDE))


def test_a_small_picture_keeps_its_size():
    assert decode(encode(GREY, "PNG")).pixels.shape == GREY.shape


def test_the_hash_is_of_the_file():
    data = encode(GREY, "PNG")
    assert decode(data).sha256 == hashlib.sha256(data).hexdigest()


def test_the_same_bytes_give_the_same_pixels():
    data = encode(GREY, "JPEG")
    assert np.array_equal(decode(data).pixels, decode(data).pixels)


def test_the_content_decides_not_the_name(tmp_path):
    path = tmp_path / "a%b c.png.jpg"
    path.write_bytes(encode(GREY, "PNG"))
    assert read_image(path).format == "PNG"


def test_a_page_of_a_tiff_is_chosen():
    pages = [Image.fromarray(np.full((9, 9), grey, np.uint8)) for grey in (10, 20, 30)]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    image = decode(data, frame=2)
    assert (image.pixels[0, 0], image.frame, image.frames) == (30, 2, 3)


def test_several_pages_need_a_choice():
    page = Image.fromarray(GREY)
    with pytest.raises(ImageError, match="has 2 frames: choose frame 1 to 2"):
        decode(encode(page, "TIFF", save_all=True, append_images=[page]))


def test_a_wrong_frame_is_named():
    with pytest.raises(ImageError, match="one frame only, so no frame 4"):
        decode(encode(GREY, "PNG"), frame=3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind):
    frames = [Image.fromarray(np.full((9, 9), grey, np.uint8)) for grey in (10, 200)]
    with pytest.raises(ImageError, match="is animated: give a still image"):
        decode(encode(frames[0], kind, save_all=True, append_images=frames[1:]))


def test_a_stereo_jpeg_gives_its_first_picture():
    picture = Image.fromarray(GREY)
    data = encode(picture, "MPO", save_all=True, append_images=[picture])
    assert decode(data).format == "JPEG"


def test_text_in_a_png_is_no_obstacle():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 1000)
    assert np.array_equal(decode(encode(GREY, "PNG", pnginfo=info)).pixels, GREY)


@pytest.mark.parametrize(
    ("level", "width"), [(0, 0), (0, -1), (float("nan"), 1), (0, float("inf"))]
)
def test_a_window_that_shows_nothing_is_refused(level, width):
    with pytest.raises(ConfigError, match="give a finite level and a width above 0"):
        Window(level=level, width=width)


@given(st.integers(-3000, 3000), st.integers(1, 5000), st.integers(-3000, 5000))
def test_a_window_maps_into_grey_and_never_falls(level, width, value):
    window = Window(level=level, width=width)
    first, second = window.grey(np.array([value, value + 10], np.float32))
    assert 0 <= first <= second <= 255


@given(st.integers(0, 15), st.sampled_from([0, 1024, 32768]))
def test_hounsfield_are_recognised_in_every_phantom(seed, offset):
    values = phantom(seed).astype(np.int32) + offset
    window, known = guess_window(np.maximum(values, 0 if offset else -5000), LUNG_WINDOW)
    assert known
    assert window.level == LUNG_WINDOW.level + offset


@given(st.integers(0, 15), st.sampled_from([4095, 65535, 30000]))
def test_windowed_pictures_are_not_taken_for_hounsfield(seed, white):
    grey = LUNG_WINDOW.grey(phantom(seed).astype(np.float32))
    values = np.rint(grey * (white / 255)).astype(np.uint16)
    assert not guess_window(values, LUNG_WINDOW)[1]


def test_a_picture_is_read_without_importing_pydicom(tmp_path):
    path = tmp_path / "slice.png"
    path.write_bytes(encode(GREY, "PNG"))
    code = (
        "import sys; from pathlib import Path; from ladnn.imaging import read_image;"
        f"read_image(Path({str(path)!r}));"
        "sys.exit(any(name.split('.')[0] in ('pydicom', 'scipy', 'gdcm') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
