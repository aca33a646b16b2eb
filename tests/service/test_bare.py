"""What is kept of a picture: its pixels, and nothing that was written beside them."""

import io
import random

import numpy as np
import pytest
from personas import token_on
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin
from sites import Site

from ladnn.errors import ImageError
from ladnn.imaging import decode
from ladnn.phantom import thorax
from ladnn.service.bare import UnknownError, bare
from ladnn.service.decoding import DecodingPool
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


def colours() -> Image.Image:
    return Image.fromarray(np.dstack([PIXELS, PIXELS[::-1], 255 - PIXELS]))


PICTURES = {
    "PNG": encode(PIXELS, "PNG", pnginfo=text_chunks(), exif=exif()),
    "PNG turned": encode(PIXELS, "PNG", pnginfo=text_chunks(), exif=exif(6)),
    "PNG of a palette": encode(colours().quantize(60), "PNG", pnginfo=text_chunks()),
    "PNG of 16 bits": encode((PIXELS.astype(np.uint16) * 40), "PNG", pnginfo=text_chunks()),
    "PNG see-through": encode(colours().convert("RGBA"), "PNG", pnginfo=text_chunks()),
    "PNG and more": encode(PIXELS, "PNG") + NAME.encode(),
    "JPEG": encode(PIXELS, "JPEG", comment=NAME.encode(), exif=exif()),
    "JPEG turned": encode(PIXELS, "JPEG", exif=exif(5)),
    "JPEG in scans": encode(colours(), "JPEG", progressive=True, comment=NAME, exif=exif(3)),
    "JPEG of four inks": encode(colours().convert("CMYK"), "JPEG", comment=NAME),
    "JPEG and more": encode(PIXELS, "JPEG", restart_marker_blocks=4) + NAME.encode(),
    "TIFF": encode(PIXELS, "TIFF", tiffinfo=tiff_tags()),
    "TIFF in HU": encode(Image.fromarray(HU), "TIFF", tiffinfo=tiff_tags()),
    "TIFF packed": encode(colours(), "TIFF", compression="tiff_lzw", tiffinfo=tiff_tags()),
    "TIFF with JPEG": encode(colours(), "TIFF", compression="jpeg", tiffinfo=tiff_tags()),
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
