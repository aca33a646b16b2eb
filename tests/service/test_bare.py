"""What is kept of a picture: its pixels, and nothing that was written beside them."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from personas import token_on
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin
from sites import Site

from ladnn.errors import ImageError
from ladnn.imaging import decode
from ladnn.phantom import thorax
from ladnn.service import maps
from ladnn.service.bare import UnknownError, bare
from ladnn.service.decoding import DecodingPool
from ladnn.service.tables import CaseImage
from synthetic import encode

NAME = "CANARY^ANNA"
PIXELS = thorax(5, size=(96, 120))
HU = (PIXELS.astype(np.float32) * 5 - 1000).astype(np.float32)


def exif(orientation: int = 1) -> Image.Exif:
    said = Image.Exif()
    said[ExifTags.Base.ImageDescription] = NAME
    said[ExifTags.Base.Artist] = NAME
    said[ExifTags.Base.Orientation] = orientation
    return said


def text_chunks() -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Patient", NAME)
    chunks.add_itxt("Comment", NAME, zip=False)
    return chunks


def tiff_tags() -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = tags[315] = NAME  # ImageDescription, Artist
    tags[700] = f"<x>{NAME}</x>".encode()  # XMP
    tags[65000] = f"{NAME} in a private tag"
    return tags


def pages() -> bytes:
    target = io.BytesIO()
    sheets = [Image.fromarray(thorax(n, size=(64, 64))) for n in range(3)]
    sheets[0].save(target, "TIFF", save_all=True, append_images=sheets[1:], tiffinfo=tiff_tags())
    return target.getvalue()


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """The JPEG with a segment of that marker in front."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def with_data(png: bytes, body: bytes) -> bytes:
    """The PNG with one more chunk of pixels behind its last."""
    chunk = b"IDAT" + body
    at = png.rindex(b"IEND") - 4
    more = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:at] + more + png[at:]


def tiff_of(jpeg: bytes, compression: int = 7) -> bytes:
    """A grey TIFF whose one strip is that JPEG of `PIXELS`."""
    height, width = PIXELS.shape
    short, long = 3, 4
    entries = [(256, width), (257, height), (258, 8), (259, compression), (262, 1)]
    entries += [(273, 8), (277, 1), (278, height), (279, len(jpeg))]
    rows = [
        struct.pack("<HHII", tag, long if tag in (273, 279) else short, 1, value)
        for tag, value in entries
    ]
    head = struct.pack("<2sHI", b"II", 42, 8 + len(jpeg))
    return head + jpeg + struct.pack("<H", len(rows)) + b"".join(rows) + bytes(4)


def colours() -> Image.Image:
    return Image.fromarray(np.dstack([PIXELS, PIXELS[::-1], 255 - PIXELS]))


PICTURES = {
    "PNG": encode(PIXELS, "PNG", pnginfo=text_chunks(), exif=exif()),
    "PNG turned": encode(PIXELS, "PNG", pnginfo=text_chunks(), exif=exif(6)),
    "PNG of a palette": encode(colours().quantize(60), "PNG", pnginfo=text_chunks()),
    "PNG of 16 bits": encode((PIXELS.astype(np.uint16) * 40), "PNG", pnginfo=text_chunks()),
    "PNG see-through": encode(colours().convert("RGBA"), "PNG", pnginfo=text_chunks()),
    "PNG with more in a chunk of pixels": with_data(encode(PIXELS, "PNG"), NAME.encode()),
    "PNG and more": encode(PIXELS, "PNG") + NAME.encode(),
    "JPEG": encode(PIXELS, "JPEG", comment=NAME.encode(), exif=exif()),
    "JPEG turned": encode(PIXELS, "JPEG", exif=exif(5)),
    "JPEG in scans": encode(colours(), "JPEG", progressive=True, comment=NAME, exif=exif(3)),
    "JPEG of four inks": encode(colours().convert("CMYK"), "JPEG", comment=NAME),
    "JPEG of nobody's application": with_segment(encode(PIXELS, "JPEG"), 0xEE, NAME.encode() * 9),
    "JPEG of Adobe and more": with_segment(
        encode(PIXELS, "JPEG"), 0xEE, b"Adobe\0d" + bytes(5) + NAME.encode()
    ),
    "JPEG and more": encode(PIXELS, "JPEG", restart_marker_blocks=4) + NAME.encode(),
    "TIFF": encode(PIXELS, "TIFF", tiffinfo=tiff_tags()),
    "TIFF in HU": encode(Image.fromarray(HU), "TIFF", tiffinfo=tiff_tags()),
    "TIFF packed": encode(colours(), "TIFF", compression="tiff_lzw", tiffinfo=tiff_tags()),
    "TIFF with JPEG": encode(colours(), "TIFF", compression="jpeg", tiffinfo=tiff_tags()),
    "TIFF with a comment in its JPEG": tiff_of(
        with_segment(encode(PIXELS, "JPEG"), 0xFE, NAME.encode())
    ),
    "TIFF and more": encode(PIXELS, "TIFF") + NAME.encode(),
    "BMP and more": encode(PIXELS, "BMP") + NAME.encode(),
    "WebP": encode(PIXELS, "WEBP", lossless=True, exif=exif()),
}


def names_nobody(data: bytes) -> bool:
    return NAME.encode() not in data and NAME.encode("utf-16-le") not in data


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_kept_is_the_same_image_and_names_nobody(decoder: DecodingPool, name: str):
    data = PICTURES[name]
    assert not names_nobody(data)
    decoded = decoder.decode(data)
    assert names_nobody(decoded.stored)
    before, after = decode(data), decode(decoded.stored)
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.size, before.window) == (after.size, after.window)
    assert decoded.image.sha256 == before.sha256


@pytest.mark.parametrize("frame", range(3))
def test_every_page_of_a_tiff_stays_what_it_was(decoder: DecodingPool, frame: int):
    stored = decoder.decode(pages(), frame=frame).stored
    assert names_nobody(stored)
    assert np.array_equal(decode(stored, frame=frame).pixels, decode(pages(), frame=frame).pixels)


def test_what_is_kept_of_what_is_kept_is_the_same():
    for name, data in PICTURES.items():
        kind = name.split(maxsplit=1)[0]
        if kind in ("PNG", "JPEG", "TIFF"):
            once = bare(data, kind)
            assert bare(once, kind) == once


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("PNG", with_data(encode(PIXELS, "PNG"), b"").replace(b"IDAT", b"IDAX", 1)),
        ("TIFF", tiff_of(encode(PIXELS, "JPEG"), compression=6)),
        ("TIFF", tiff_of(NAME.encode() * 9)),
    ],
)
def test_pixels_that_are_not_packed_as_the_kind_asks_are_unknown(kind: str, data: bytes):
    with pytest.raises(UnknownError):
        bare(data, kind)


def test_pixels_that_unpack_to_more_than_the_picture_are_unknown_at_once():
    png = encode(PIXELS, "PNG")
    at, bomb = png.index(b"IDAT") - 4, zlib.compress(bytes(1 << 26))
    with pytest.raises(UnknownError):
        bare(with_data(png[:at] + png[png.rindex(b"IEND") - 4 :], bomb), "PNG")


def test_of_an_odd_tiff_the_page_that_was_tested_is_shown(page: Site):
    kept = page.services.blobs.put(encode(PIXELS, "PNG"))
    shown = maps.pixels_of(page.services, CaseImage(format="TIFF", frame=2, blob=kept))
    assert np.array_equal(shown, PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_mutated_picture_is_stripped_or_said_to_be_unknown(kind: str):
    chance = random.Random(kind)
    for _ in range(300):
        data = bytearray(PICTURES[kind])
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        cut = bytes(data[: chance.randint(8, len(data))])
        try:
            assert len(bare(cut, kind)) <= len(cut)
        except UnknownError:
            continue


def test_the_site_keeps_no_name_and_knows_the_file_again(page: Site):
    token = {"x-csrf-token": token_on(page.client, "/")}
    files = {"file": ("a.png", PICTURES["PNG"])}
    answers = [page.client.post("/api/v1/predictions", files=files, headers=token) for _ in "12"]
    assert [answer.status_code for answer in answers] == [201, 200]
    blobs = page.services.blobs
    assert [names_nobody(blobs.get(name)) for name in blobs.names()] == [True]


def test_bytes_that_are_no_picture_are_still_refused(decoder: DecodingPool):
    with pytest.raises(ImageError):
        decoder.decode(PICTURES["PNG"][:60])
