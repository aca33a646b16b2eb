"""DICOM: transfer syntaxes, the way from stored values to grey, frames and what is refused."""

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import convert_color_space
from pydicom.uid import JPEG2000Lossless, RLELossless, SecondaryCaptureImageStorage

from ladnn.errors import ImageError
from ladnn.greyscale import BoundedStream
from ladnn.imaging import LUNG_WINDOW, Limits, Window, decode
from synthetic import (
    LOSSLESS,
    SERIES,
    STUDY,
    dicom_bytes,
    dicom_dataset,
    hounsfield,
    written,
)

HU = hounsfield(3, size=(64, 80)).clip(-1024, 3071)
EXPECTED = LUNG_WINDOW.grey(HU.astype(np.float32))
EIGHT = np.rint(EXPECTED).astype(np.uint8)


def near(data: bytes, expected: np.ndarray = EXPECTED, within: float = 0.51, **options) -> bool:
    return bool(np.abs(decode(data, **options).pixels - expected).max() <= within)


@pytest.mark.parametrize("intercept", [-1024, 0])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_syntaxes_show_the_exact_hounsfield(syntax, intercept):
    assert near(dicom_bytes(HU, syntax=syntax, intercept=intercept))


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_12_stored_bits_are_read(syntax):
    assert near(dicom_bytes(HU, syntax=syntax, stored=12))


@pytest.mark.parametrize("syntax", ["explicit", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "rle"])
def test_12_stored_bits_with_a_sign_are_read(syntax):
    low = HU.clip(-2048, 2047)
    assert near(dicom_bytes(low, syntax=syntax, stored=12, intercept=0))


def test_12_bit_lossy_jpeg_is_read():
    assert near(dicom_bytes(HU, syntax="jpeg-extended", stored=12), within=2)


def test_white_stays_white_where_a_lossy_jpeg_goes_beyond_it():
    noise = np.random.default_rng(0).choice([-1024, -1], (40, 40)).astype(np.int16)
    data = dicom_bytes(noise, syntax="jpeg-extended", stored=10)
    assert near(data, LUNG_WINDOW.grey(noise.astype(np.float32)), within=2)


def test_8_bit_lossy_jpeg_is_read():
    data = dicom_bytes(EIGHT, syntax="jpeg-baseline", intercept=None)
    assert np.abs(decode(data).pixels - EIGHT.astype(float)).mean() < 3


def test_the_window_used_is_told():
    assert decode(dicom_bytes(HU)).window == LUNG_WINDOW


def test_another_window_is_used_when_asked_for():
    window = Window(level=40, width=400)
    assert near(dicom_bytes(HU), window.grey(HU.astype(np.float32)), window=window)


def test_slope_and_intercept_give_hounsfield():
    data = dicom_bytes(HU // 2 + 1000, intercept=None, RescaleSlope=2, RescaleIntercept=-2000)
    assert near(data, within=1)


def test_bits_above_the_stored_ones_are_ignored():
    dataset = dicom_dataset(HU, stored=12)
    dataset.PixelData = (np.frombuffer(dataset.PixelData, np.uint16) | 0xF000).tobytes()
    assert near(written(dataset))


def test_monochrome1_is_inverted():
    assert near(dicom_bytes(HU, PhotometricInterpretation="MONOCHROME1"), 255 - EXPECTED)


def test_padding_is_black_even_when_inverted():
    data = dicom_bytes(HU, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0)
    assert (decode(data).pixels[HU == -1024] == 0).all()


def padded(intercept: float, kind: str, *values: int) -> Dataset:
    """A slice whose padding is written in signed or unsigned numbers, whatever its pixels are."""
    dataset = dicom_dataset(HU, intercept=intercept, PhotometricInterpretation="MONOCHROME1")
    for name, value in zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), values, strict=False):
        dataset.add_new(name, kind, value)
    return dataset


@pytest.mark.parametrize("values", [(64512,), (64510, 64512)])
def test_padding_in_numbers_of_the_other_sign_is_found(values: tuple[int, ...]):
    image = decode(written(padded(0, "US", *values)))
    assert (image.pixels[HU == -1024] == 0).all()


@pytest.mark.parametrize(("intercept", "values"), [(-1024, (-10, 4095)), (0, (0, 64512))])
def test_padding_that_no_pixel_can_have_blackens_none(intercept: float, values: tuple[int, ...]):
    assert near(written(padded(intercept, "SS" if intercept else "US", *values)), 255 - EXPECTED)


def test_without_rescale_hounsfield_are_recognised():
    image = decode(dicom_bytes((HU + 1024).astype(np.uint16), intercept=None))
    assert image.window == LUNG_WINDOW
    assert np.abs(image.pixels - EXPECTED).max() <= 0.51


def test_an_8_bit_secondary_capture_keeps_its_grey():
    data = dicom_bytes(EIGHT, intercept=None, RescaleSlope=1, RescaleIntercept=0)
    image = decode(data)
    assert image.window is None
    assert np.array_equal(image.pixels, EIGHT)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_levels_that_kept_the_rescale_of_what_they_were_made_of_keep_their_grey(kind: type):
    left = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": -600, "WindowWidth": 1500}
    image = decode(dicom_bytes(EIGHT.astype(kind), intercept=None, **left))
    assert image.window is None
    assert np.array_equal(image.pixels, EIGHT)


@pytest.mark.parametrize(
    "tag", ["PixelRepresentation", "BitsStored", "HighBit", "PhotometricInterpretation"]
)
def test_an_element_that_is_plain_to_see_may_lack(tag: str):
    assert near(dicom_bytes(HU, **{tag: None}), EXPECTED)


def test_of_several_slopes_the_first_is_taken():
    assert near(dicom_bytes(HU, RescaleSlope=[1, 2]), EXPECTED)


def test_the_own_window_shows_values_that_are_not_hounsfield():
    values = np.full((8, 8), 300, np.uint16)
    data = dicom_bytes(values, intercept=None, WindowCenter=300.5, WindowWidth=101)
    assert decode(data).pixels[0, 0] in (127, 128)


def test_the_own_window_is_used_when_no_window_is_asked_for():
    data = dicom_bytes(HU, WindowCenter=40, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")
    assert near(data, Window(level=40, width=400).grey(HU.astype(np.float32)), window=None)


def test_the_first_of_several_own_windows_is_used():
    several = {"WindowCenter": [40, -600], "WindowWidth": [401, 1500]}
    expected = Window(level=39.5, width=400).grey(HU.astype(np.float32))
    assert near(dicom_bytes(HU, **several), expected, window=None)


def test_a_sigmoid_window_is_followed():
    data = dicom_bytes(HU, WindowCenter=-500, WindowWidth=800, VOILUTFunction="SIGMOID")
    assert near(data, 255 / (1 + np.exp(-4 * (HU + 500.0) / 800)), window=None)


def lookup(values: np.ndarray, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = values.astype(np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    item.ModalityLUTType = "US"
    return item


def test_a_voi_lut_is_followed():
    codes = (np.arange(64).reshape(8, 8) * 4).astype(np.uint16)
    table = lookup(np.linspace(4095, 0, 256), 0, 12)
    data = dicom_bytes(codes, intercept=None, VOILUTSequence=[table])
    assert near(data, 255 - codes.astype(float), within=1.5)


def test_a_sequence_is_read_within_the_limits_that_the_caller_gave(monkeypatch):
    given = []

    class Noted(BoundedStream):
        def __init__(self, data, limits, **options):
            given.append(limits)
            super().__init__(data, limits, **options)

    monkeypatch.setattr("ladnn.hounsfield.BoundedStream", Noted)
    data = dicom_bytes(HU, VOILUTSequence=[lookup(np.linspace(4095, 0, 256), 0, 12)])
    decode(data, window=None, limits=Limits(seconds=99))
    assert set(given) == {Limits(seconds=99)}


def test_a_modality_lut_is_followed_and_its_ends_held():
    codes = np.array([[0, 10, 11, 12, 99, 99]] * 6, np.uint16)
    table = lookup(np.array([0, 100, 200]), 10, 16)
    own = {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    data = dicom_bytes(codes, intercept=None, ModalityLUTSequence=[table], **own)
    assert decode(data).pixels[0].tolist() == [0, 0, 128, 255, 255, 255]


def palette(bits: int) -> dict[str, object]:
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        tags[f"{name}Descriptor"] = [256, 0, bits]
        ramp = np.arange(255, -1, -1)
        wide = (ramp << 8).astype("<u2") if bits == 16 else ramp.astype(np.uint8)
        tags[f"{name}Data"] = wide.tobytes()
    return tags


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_becomes_grey(bits):
    data = dicom_bytes(EIGHT, intercept=None, **palette(bits))
    assert near(data, 255 - EIGHT.astype(float), within=1)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_in_big_endian_becomes_the_same_grey(bits):
    tags = palette(bits)
    tags |= {
        name: np.frombuffer(data, "<u2").astype(">u2").tobytes()
        for name, data in tags.items()
        if name.endswith("Data")
    }
    there = [dicom_bytes(EIGHT, syntax=syntax, intercept=None, **own)
             for syntax, own in (("explicit", palette(bits)), ("big-endian", tags))]  # fmt: skip
    one, other = (decode(data).pixels for data in there)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_becomes_grey(planar):
    dataset = dicom_dataset(EIGHT, intercept=None, SamplesPerPixel=3, PlanarConfiguration=planar)
    dataset.PhotometricInterpretation = "RGB"
    stacked = np.stack([EIGHT] * 3, axis=0 if planar else -1)
    dataset.PixelData = stacked.tobytes()
    assert near(written(dataset), EIGHT.astype(float), within=1)


@pytest.mark.parametrize("syntax", ["explicit", "rle"])
def test_colours_as_luma_and_chroma_become_the_same_grey(syntax):
    colours = np.stack([EIGHT, EIGHT // 2, 255 - EIGHT], axis=-1)
    mixed = np.rint(np.asarray(Image.fromarray(colours).convert("L"), float))
    stored = convert_color_space(colours, "RGB", "YBR_FULL")
    dataset = dicom_dataset(EIGHT, intercept=None, SamplesPerPixel=3, PlanarConfiguration=0)
    dataset.PhotometricInterpretation, dataset.PixelData = "YBR_FULL", stored.tobytes()
    if syntax == "rle":
        dataset.compress(RLELossless, generate_instance_uid=False)
    assert near(written(dataset), mixed, within=2)


@pytest.mark.parametrize("high", [10, 15])
def test_bits_that_do_not_end_where_they_should_are_refused(high):
    with pytest.raises(ImageError, match=f"12 bits of which the highest is bit {high}"):
        decode(dicom_bytes(HU, stored=12, HighBit=high))


def frames(count: int = 3) -> np.ndarray:
    return np.stack([np.full((16, 16), 100 * index, np.int16) for index in range(count)])


@pytest.mark.parametrize("syntax", LOSSLESS[:5])
def test_one_frame_of_several_is_decoded(syntax):
    window = Window(level=100, width=510)
    image = decode(dicom_bytes(frames(), syntax=syntax), frame=2, window=window)
    assert (image.frame, image.frames) == (2, 3)
    assert image.pixels[0, 0] == 178  # 200 HU


def test_several_frames_need_a_choice():
    with pytest.raises(ImageError, match="has 3 frames: choose frame 1 to 3"):
        decode(dicom_bytes(frames()))


@pytest.mark.parametrize("frame", [-1, 3])
def test_a_frame_that_is_not_there_is_named(frame):
    with pytest.raises(ImageError, match=f"has no frame {frame + 1}: choose frame 1 to 3"):
        decode(dicom_bytes(frames()), frame=frame)


def test_an_enhanced_ct_has_a_rescale_for_each_frame():
    dataset = dicom_dataset(frames(), intercept=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    groups = []
    for index in range(3):
        rescale, group = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1000 * index
        rescale.RescaleType = "HU"
        group.PixelValueTransformationSequence = [rescale]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    shown = decode(written(dataset), frame=1, window=Window(level=-900, width=510))
    assert shown.pixels[0, 0] in (127, 128)


def test_a_frame_s_own_rescale_and_table_go_before_the_shared_and_the_file_s():
    dataset = dicom_dataset(frames(), intercept=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -5000
    shared, own = Dataset(), Dataset()
    for group, intercept in ((shared, -7000), (own, -1000)):
        rescale = Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, intercept
        group.PixelValueTransformationSequence = [rescale]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [own] * 3
    shown = decode(written(dataset), frame=1, window=Window(level=-900, width=510))
    assert shown.pixels[0, 0] in (127, 128)


def test_series_study_and_instance_are_told():
    image = decode(dicom_bytes(HU))
    assert (image.series, image.study, image.instance) == (SERIES, STUDY, 7)


def test_an_unreadable_instance_number_is_left_out():
    data = dicom_bytes(HU, InstanceNumber=7777).replace(b"7777", b"7.5x")
    assert decode(data).instance is None


def test_a_large_slice_is_reduced_and_its_size_recorded():
    image = decode(dicom_bytes(np.kron(HU, np.ones((20, 20), np.int16))))
    assert (image.size, max(image.pixels.shape)) == ((1280, 1600), 1024)


@pytest.mark.parametrize("cut", [0, 132])
def test_a_file_without_preamble_or_meta_group_is_read(cut):
    data = dicom_bytes(HU)
    start = data.index(b"\x08\0\x16\0UI")
    assert near(data[132:] if cut else data[start:])


@pytest.mark.parametrize("modality", ["MR", "CR", "US", "PT", "OT"])
def test_another_modality_is_refused_by_name(modality):
    with pytest.raises(ImageError, match=f"of modality {modality}, not CT: give a CT slice"):
        decode(dicom_bytes(HU, Modality=modality))


def test_a_missing_modality_is_refused():
    with pytest.raises(ImageError, match="without a modality"):
        decode(dicom_bytes(HU, Modality=None, SOPClassUID=SecondaryCaptureImageStorage))


def test_a_ct_class_makes_up_for_a_missing_modality():
    assert near(dicom_bytes(HU, Modality=None))


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "jpeg-2000", "rle", "jpeg-lossless"])
@pytest.mark.parametrize("kept", [200, 344, 0.1, 0.5, 0.95])
def test_a_truncated_file_is_called_so(syntax, kept):
    data = dicom_bytes(HU, syntax=syntax)
    with pytest.raises(ImageError, match=r"is truncated: .* copy it again"):
        decode(data[: kept if kept > 1 else int(kept * len(data))])


def test_missing_pixel_data_are_named():
    with pytest.raises(ImageError, match="without pixel data"):
        decode(dicom_bytes(HU, PixelData=None))


def test_no_message_tells_about_the_patient():
    for options in ({"Modality": "MR"}, {"PixelData": None}, {"Rows": 9999}, {"BitsAllocated": 12}):
        with pytest.raises(ImageError) as caught:
            decode(dicom_bytes(HU, **options), name="slice.dcm")
        assert not {"Doe", "Jane", "0815"} & set(str(caught.value).replace("^", " ").split())
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("tag", ["Rows", "Columns", "BitsAllocated", "SOPClassUID"])
def test_a_missing_number_gives_a_sentence(tag):
    data = dicom_bytes(HU, **{tag: None}) if tag != "SOPClassUID" else dicom_bytes(HU, Rows=0)
    with pytest.raises(ImageError, match=r"slice\.dcm"):
        decode(data, name="slice.dcm")


@pytest.mark.parametrize("syntax", ["jpeg-2000", "jpeg-ls", "jpeg-lossless", "jpeg-extended"])
def test_a_codestream_of_another_size_is_refused(syntax):
    data = dicom_bytes(HU, syntax=syntax, stored=12)
    rows = b"\x28\0\x10\0US\x02\0"
    forged = data.replace(rows + (64).to_bytes(2, "little"), rows + (63).to_bytes(2, "little"))
    with pytest.raises(ImageError, match="another size than its header says"):
        decode(forged)


def test_a_forged_jpeg_2000_header_is_refused_before_it_is_decoded():
    data = dicom_bytes(HU, syntax="jpeg-2000")
    place = data.index(b"\xff\x4f\xff\x51") + 8
    forged = data[:place] + (60000).to_bytes(4, "big") * 2 + data[place + 8 :]
    with pytest.raises(ImageError, match="another size than its header says"):
        decode(forged)


def test_an_unlisted_transfer_syntax_is_refused():
    dataset = dicom_dataset(HU)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG-2
    with pytest.raises(ImageError, match="compressed in a way that is not for CT"):
        decode(written(dataset))


@pytest.mark.parametrize("bits", [1, 32])
def test_other_bit_depths_are_refused(bits):
    with pytest.raises(ImageError, match=f"has {bits} bits per sample"):
        decode(dicom_bytes(HU, BitsAllocated=bits))


@pytest.mark.parametrize("slope", ["nan", "inf"])
def test_a_rescale_that_is_no_number_is_refused(slope):
    data = dicom_bytes(HU, RescaleSlope=7777).replace(b"7777", slope.ljust(4).encode())
    with pytest.raises(ImageError):
        decode(data)


def test_a_segmented_palette_is_refused():
    tags = palette(16)
    tags.pop("RedPaletteColorLookupTableData")
    with pytest.raises(ImageError, match="a palette that cannot be read"):
        decode(dicom_bytes(EIGHT, intercept=None, **tags))
