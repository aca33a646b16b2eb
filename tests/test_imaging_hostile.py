"""Wrong and hostile input gives one plain sentence, within the limits, and nothing else."""

import contextlib
import os
import struct
import subprocess
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import jpeg_streams
from ladnn.errors import ImageError
from ladnn.greyscale import Deadline
from ladnn.imaging import Limits, decode, read_image
from ladnn.rle import unpack
from synthetic import (
    LOSSLESS,
    dicom_bytes,
    encode,
    hounsfield,
    many_items,
    nested_sequences,
    png_bomb,
    png_chunk,
    thorax,
)

GREY = thorax(4, size=(64, 80))
HU = hounsfield(4, size=(64, 80)).clip(-1024, 3071)
PICTURES = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")


def tiff(more: dict[int, int]) -> bytes:
    """The header of a TIFF of 64 x 64, with more tags and no pixels."""
    tags = {256: 64, 257: 64, 259: 1, 262: 1} | more
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def sentence(data: bytes, name: str = "slice.png", **options) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, name=name, **options)
    text = str(caught.value)
    assert text.startswith(name)
    assert "\n" not in text
    assert caught.value.__cause__ is None
    return text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty"),
        (b"hello, this is a report\n", "is text, not an image"),
        ("Radiologie: Brust".encode("utf-16"), "is of an unknown format"),
        (bytes(1000), "is of an unknown format"),
        (b"GIF89a" + bytes(100), "is a GIF"),
        (b"%PDF-1.7\n" + bytes(100), "is a PDF"),
        (b"PK\x03\x04" + bytes(100), "is a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n", "is damaged or truncated"),
        (b"\xff\xd8\xff", "is damaged or truncated"),
        (b"RIFF\0\0\0\0WEBP", "is a damaged WebP file"),
        (tiff({258: 64, 339: 3}), "is damaged, or a TIFF of a kind not read: export it as PNG"),
        (bytes(128) + b"DICM", "is truncated"),
    ],
)
def test_what_is_no_image_is_named(data, expected):
    assert expected in sentence(data)


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_truncated_picture_is_named(kind, share):
    data = encode(GREY, kind)
    assert "truncated" in sentence(data[: int(len(data) * share)]) or kind == "WEBP"


@pytest.mark.parametrize("syntax", ["explicit", "rle", "jpeg-2000", "jpeg-ls", "jpeg-lossless"])
def test_a_truncated_dicom_file_gives_a_sentence(syntax):
    data = dicom_bytes(HU, syntax=syntax)
    sentence(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["a%b c.png.jpg", "{0}.png", "%s%n.png", "slice (1).jpg"])
def test_odd_names_are_shown_as_they_are(name):
    sentence(b"text", name=name)


def test_control_characters_of_a_name_are_not_shown():
    with pytest.raises(ImageError) as caught:
        decode(b"", name="a\0b\n\x1b[31m.png")
    assert str(caught.value).isprintable()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="give an image file"):
        read_image(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png does not exist"):
        read_image(tmp_path / "none.png")


def test_a_name_with_a_zero_byte_is_refused():
    with pytest.raises(ImageError):
        read_image(Path("a\0b.png"))


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(tmp_path / ("x" * 5000))


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "slice.png"
    path.write_bytes(encode(GREY, "PNG"))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ImageError, match=r"slice\.png may not be read"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="is no regular file"):
        read_image(tmp_path / "pipe.png")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_refused():
    with pytest.raises(ImageError, match="is no regular file"):
        read_image(Path("/dev/zero"))


def test_a_file_above_the_byte_limit_is_refused(tmp_path):
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(ImageError, match="larger than the limit of 64 MiB"):
        read_image(path)


def test_a_file_that_reads_longer_than_it_says_is_cut_at_the_limit():
    pseudo = Path("/proc/self/maps")
    if not pseudo.exists():
        pytest.skip("this system has no /proc")
    with pytest.raises(ImageError, match="larger than the limit"):
        read_image(pseudo, limits=Limits(bytes=100))


@pytest.mark.parametrize(
    "size", [(8000, 8000), (20000, 20000), (2**31 - 1, 2**31 - 1), (10**6, 1000)]
)
def test_a_png_bomb_is_refused_by_its_header(size):
    assert "pixels" in sentence(png_bomb(*size))


def test_no_size_is_told_of_a_picture_that_it_does_not_have():
    assert "has 8000 x 8000 pixels" in sentence(png_bomb(8000, 8000))
    assert sentence(png_bomb(20000, 20000)).endswith(
        "has more pixels than the limit of 40 megapixels: reduce it first"
    )


def test_pixels_below_the_limit_are_decoded():
    assert decode(png_bomb(100, 100)).pixels.shape == (100, 100)


def test_a_webp_bomb_is_refused_by_its_header():
    data = bytearray(
        encode(Image.fromarray(GREY).convert("RGBA"), "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08")
    )
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xfe\x3f\0" * 2
    assert "more than the limit of 40 megapixels" in sentence(bytes(data))


def test_a_webp_that_takes_too_much_memory_to_decode_is_sent_on_to_png():
    black = encode(Image.new("RGB", (5700, 5700)), "WEBP", lossless=True, quality=0, method=0)
    assert sentence(black).endswith("the limit of 512 MiB: reduce it or save it as PNG")


def test_a_tiff_of_huge_tiles_is_refused():
    data = tiff({258: 8, 277: 1, 322: 200000, 323: 200000, 324: 8, 325: 9})
    assert "more than the limit of 40 megapixels" in sentence(data)


def test_a_tiff_whose_tags_share_one_block_is_given_up():
    count, block = 4000, 1 << 20
    tags = b"".join(struct.pack("<HHII", 40000 + i, 1, block, 8) for i in range(count))
    data = b"II*\0" + struct.pack("<I", block + 8) + bytes(block) + struct.pack("<H", count) + tags
    sentence(data + bytes(4))


def test_a_jpeg_of_a_thousand_scans_is_refused():
    data = encode(np.zeros((3000, 3000), np.uint8), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    forged = data[:-2] + data[start:-2] * 1000 + b"\xff\xd9"
    assert "too many scans" in sentence(forged)


def test_a_png_of_endless_chunks_is_given_up():
    chunks = png_chunk(b"tEXt", b"") * 400_000
    data = png_bomb(10, 10)
    forged = data[:33] + chunks + data[33:]
    started = time.monotonic()
    with contextlib.suppress(ImageError):
        decode(forged, limits=Limits(seconds=0.2))
    assert time.monotonic() - started < 2


def test_a_png_text_bomb_gives_a_sentence():
    body = b"a\0\0" + zlib.compress(bytes(100_000_000), 9)
    data = png_bomb(10, 10)
    sentence(data[:33] + png_chunk(b"zTXt", body) + data[33:])


def test_an_rle_bomb_unpacks_no_further_than_the_image():
    assert len(unpack(b"\x81\0" * 2_000_000, 5120, Deadline(1))) == 5120


def test_rle_data_that_end_early_are_refused():
    whole = dicom_bytes(HU, syntax="rle")
    data = whole.replace(struct.pack("<II", 2, 64), struct.pack("<II", 2, 10_000_000))
    assert "damaged RLE pixel data" in sentence(data)


def test_a_deflated_dicom_bomb_is_refused():
    data = dicom_bytes(HU, syntax="deflated")
    limits = Limits(bytes=len(data) + 1000)
    bomb = dicom_bytes(np.zeros((2000, 2000), np.int16), syntax="deflated")
    assert len(bomb) < limits.bytes
    assert "unpacks to more than" in sentence(bomb, limits=limits)


@pytest.mark.parametrize("depth", [500, 50_000])
def test_sequences_in_sequences_give_a_sentence(depth):
    sentence(nested_sequences(depth))


def test_a_sequence_of_endless_items_is_given_up():
    sentence(many_items(200_000))


@pytest.mark.parametrize("tags", [{"Rows": 60000, "Columns": 60000}, {"NumberOfFrames": 2**31 - 1}])
def test_a_dicom_header_that_promises_too_much_is_refused(tags):
    sentence(dicom_bytes(HU, **tags), frame=2**31 - 2 if "NumberOfFrames" in tags else None)


def test_a_limit_on_memory_is_kept():
    assert "MiB of memory" in sentence(encode(GREY, "PNG"), limits=Limits(memory=1000))


@pytest.mark.parametrize(("syntax", "is_read"), [("explicit", True), ("jpeg-lossless-sv1", False)])
def test_the_sums_of_jpeg_lossless_count_towards_the_memory(syntax, is_read):
    data, limits = dicom_bytes(HU, syntax=syntax), Limits(memory=16 * HU.size)
    if is_read:
        assert decode(data, limits=limits).pixels.shape == HU.shape
    else:
        assert "MiB of memory" in sentence(data, limits=limits)


@pytest.mark.parametrize("kind", PICTURES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_picture_is_decoded_or_refused(kind, data):
    whole = encode(GREY[:24, :24], kind)
    damage(whole, data)


@pytest.mark.parametrize("syntax", [*LOSSLESS, "jpeg-extended"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_dicom_file_is_decoded_or_refused(syntax, data):
    damage(whole_dicom(syntax), data)


@pytest.mark.parametrize("predictor", range(1, 8))
@settings(max_examples=20)
@given(data=st.data())
def test_a_damaged_lossless_stream_is_decoded_or_refused(predictor, data):
    stream = lossless_stream(predictor)
    changed = bytearray(stream)
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(2, len(stream) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        decode(lossless_dicom().replace(lossless_stream(1), bytes(changed)))


@cache
def lossless_stream(predictor: int) -> bytes:
    codes = (HU[:16, :16].astype(int) + 1024).astype(np.uint16)
    return jpeg_streams.lossless(codes, predictor=predictor)


@cache
def lossless_dicom() -> bytes:
    whole = dicom_bytes(HU[:16, :16], syntax="jpeg-lossless-sv1")
    assert lossless_stream(1) in whole
    return whole


@cache
def whole_dicom(syntax: str) -> bytes:
    return dicom_bytes(HU, syntax=syntax, stored=12)


def damage(whole: bytes, data: st.DataObject) -> None:
    """Change some bytes, perhaps cut; only ImageError may come out."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.one_of(st.just(len(changed)), st.integers(0, len(changed))))
    with contextlib.suppress(ImageError):
        decode(bytes(changed[:kept]))


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(data):
    with contextlib.suppress(ImageError):
        decode(data)


def test_nothing_is_printed_and_nothing_warned(capfd):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for kind in PICTURES:
            whole = encode(GREY, kind)
            for data in (whole, whole[: len(whole) // 2], png_bomb(12000, 12000)):
                with contextlib.suppress(ImageError):
                    decode(data)
        for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
            whole = encode(GREY, "TIFF", compression=compression)
            for data in (whole, whole[:8] + b"\xff" * 200 + whole[208:]):
                with contextlib.suppress(ImageError):
                    decode(data)
        for syntax in LOSSLESS:
            whole = dicom_bytes(HU, syntax=syntax, InstanceNumber=7777)
            whole = whole.replace(b"7777", b"7.5x")
            for data in (whole, whole[:-900], whole[: len(whole) // 2]):
                with contextlib.suppress(ImageError):
                    decode(data)
    assert [str(warning.message) for warning in seen if "encod" not in str(warning.message)] == []
    assert capfd.readouterr() == ("", "")


def test_warnings_are_heard_again_after_decoding():
    decode(encode(GREY, "PNG"))
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", UserWarning, stacklevel=1)


def test_threads_leave_the_warnings_as_they_were():
    before = list(warnings.filters)
    data = encode(GREY, "TIFF")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [data] * 64))
    assert list(warnings.filters) == before


def test_the_standard_error_is_heard_again_after_decoding(capfd):
    decode(encode(GREY, "TIFF"))
    os.write(2, b"still heard")
    assert capfd.readouterr().err == "still heard"


PEAK = """
import sys
from pathlib import Path
import ladnn.dicom_pixels
from ladnn.imaging import read_image

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

Path("/proc/self/clear_refs").write_text("5")  # forget the peak, which began as the parent's
before = peak()
read_image(Path(sys.argv[1]))
print((peak() - before) / 1024)
"""


def peak_of(path: Path) -> float:
    """MiB that reading a file adds to the peak of a fresh process."""
    command = [sys.executable, "-c", PEAK, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def large(mode: str, times: int) -> bytes:
    """An image of `times` squared phantoms."""
    if mode == "DICOM":
        return dicom_bytes(np.tile(HU, (times, times)), intercept=0)
    tiled = np.tile(GREY, (times, times))
    deep = mode == "I;16"
    picture = Image.fromarray(tiled.astype(np.uint16) * 16 if deep else tiled)
    picture = picture if deep else picture.convert(mode)
    return encode(picture, "PNG", compress_level=1)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told by Linux only")
@pytest.mark.parametrize(
    ("times", "limit"),
    [(25, 512 * 3.2 / 40 + 16), pytest.param(76, 512, marks=pytest.mark.soak)],
)
@pytest.mark.parametrize("mode", ["RGBA", "I;16", "DICOM"])
def test_memory_grows_no_faster_than_the_limit_allows(tmp_path, mode, times, limit):
    path = tmp_path / "large"
    path.write_bytes(large(mode, times))
    assert peak_of(path) < limit


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told by Linux only")
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_black_without_a_copy_of_all_bands(tmp_path, mode):
    path = tmp_path / "large"
    path.write_bytes(large(mode, 40))
    megapixels = GREY.size * 40**2 / (1 << 20)
    assert peak_of(path) < 7 * megapixels + 12  # 4 bytes a pixel of the picture, and one of a band
