"""JPEG Lossless and 12-bit JPEG against streams written by another, plain implementation."""

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame

import jpeg_streams
from ladnn.errors import ImageError
from ladnn.greyscale import Deadline
from ladnn.jpeg_deep import decode_jpeg
from synthetic import hounsfield

CODES = (hounsfield(2, size=(40, 56)).clip(-1024, 3071) + 1024).astype(np.uint16)


def decoded(stream: bytes) -> np.ndarray:
    return decode_jpeg(stream, Deadline(10))


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [12, 16])
def test_lossless_codes_come_back_exactly(predictor, bits):
    stream = jpeg_streams.lossless(CODES, bits=bits, predictor=predictor)
    assert np.array_equal(decoded(stream)[..., 0], CODES)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_any_16_bit_codes_come_back_exactly(predictor):
    codes = np.random.default_rng(predictor).integers(0, 65536, (17, 23)).astype(np.uint16)
    assert np.array_equal(decoded(jpeg_streams.lossless(codes, predictor=predictor))[..., 0], codes)


@pytest.mark.parametrize("predictor", [1, 7])
def test_three_interleaved_components_come_back_exactly(predictor):
    codes = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)
    back = decoded(jpeg_streams.lossless(codes, bits=8, predictor=predictor))
    assert back.dtype == np.uint8
    assert np.array_equal(back, codes)


@pytest.mark.parametrize("predictor", [1, 2, 6])
def test_restart_markers_start_the_prediction_anew(predictor):
    stream = jpeg_streams.lossless(CODES, bits=12, predictor=predictor, restart=8)
    assert np.array_equal(decoded(stream)[..., 0], CODES)


def test_the_point_transform_drops_the_low_bits():
    stream = jpeg_streams.lossless(CODES, bits=12, shift=2)
    assert np.array_equal(decoded(stream)[..., 0], CODES >> 2 << 2)


def test_a_stream_longer_than_one_chunk_comes_back_exactly():
    codes = np.random.default_rng(1).integers(0, 65536, (220, 220)).astype(np.uint16)
    assert np.array_equal(decoded(jpeg_streams.lossless(codes))[..., 0], codes)


@pytest.mark.parametrize("restart", [0, 5])
def test_12_bit_codes_come_back_within_the_rounding(restart):
    back = decoded(jpeg_streams.extended(CODES, restart=restart))[..., 0]
    assert np.abs(back.astype(int) - CODES).max() <= 3


def test_quantised_12_bit_codes_come_back_within_the_quantum():
    back = decoded(jpeg_streams.extended(CODES, quantum=20))[..., 0]
    assert np.abs(back.astype(int) - CODES).mean() < 10


@pytest.mark.parametrize("quantum", [1, 3, 8, 20, 255])
def test_12_bit_codes_that_gdcm_wrote_as_16_are_read_as_its_12(quantum):
    twelve, sixteen = (
        decoded(jpeg_streams.extended(CODES, bits=bits, quantum=quantum))[..., 0].astype(int)
        for bits in (12, 16)
    )
    assert np.abs(sixteen - CODES).mean() < max(1, quantum / 2)
    assert np.abs(sixteen - twelve).max() <= 2 * quantum  # the two are rounded from other levels


@pytest.mark.parametrize("bits", [10, 14])
def test_a_precision_that_nobody_writes_is_refused_with_what_to_do(bits):
    stream = jpeg_streams.extended(CODES, bits=bits)
    with pytest.raises(ImageError, match="uncompressed, or as JPEG Lossless or JPEG 2000"):
        decoded(stream)


def test_lossless_rgb_of_another_encoder_is_read():
    path = get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False)
    rgb = decoded(get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1))
    assert rgb.shape == (100, 100, 3)
    assert {tuple(colour) for colour in rgb[5::10, 50]} >= {(255, 0, 0), (0, 255, 0), (0, 0, 255)}


def test_12_bit_data_of_another_encoder_are_read():
    path = get_testdata_file("JPGExtended.dcm", download=False)
    codes = decoded(get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1))
    assert (codes.shape, codes.min(), codes.max()) == ((1024, 256, 1), 0, 264)


def test_a_slow_stream_is_given_up():
    with pytest.raises(ImageError, match="takes more than"):
        decode_jpeg(jpeg_streams.lossless(CODES), Deadline(-1))
