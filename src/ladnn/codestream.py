"""The sizes that compressed pixel data declare in their own headers, read before decoding.

A decoder allocates what the codestream says, not what the DICOM header says, so a forged
codestream is a bomb. Only markers are read here; nothing is decoded.
"""

import struct
from dataclasses import dataclass

from ladnn.errors import ImageError

_SIZE_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # SOF0-15 and JPEG-LS
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}  # without a length
_MAX_MARKERS = 10_000


@dataclass(frozen=True, kw_only=True)
class StreamSize:
    """What a codestream declares: size in pixels, samples per pixel, bits per sample."""

    width: int
    height: int
    samples: int
    bits: int
    scans: int = 1


def jpeg_size(data: bytes) -> StreamSize:
    """Read a JPEG, JPEG Lossless or JPEG-LS header; raises ImageError when there is none."""
    place = 2
    for _ in range(_MAX_MARKERS):
        place = data.find(b"\xff", place)
        if place < 0 or place + 10 > len(data):
            break
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _SIZE_MARKERS:
            bits, height, width, samples = struct.unpack_from(">BHHB", data, place + 4)
            scans = data.count(b"\xff\xda", place)
            return StreamSize(width=width, height=height, samples=samples, bits=bits, scans=scans)
        elif marker in _BARE_MARKERS:
            place += 2
        else:
            place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    raise ImageError("has damaged JPEG pixel data: export it again")


def jpeg2000_size(data: bytes) -> StreamSize:
    """Read the SIZ marker of a JPEG 2000 codestream (T.800 A.5.1), boxed or bare.

    Raises ImageError when there is none or its tiles do not fit.
    """
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or start + 46 > len(data):
        raise ImageError("has damaged JPEG 2000 pixel data: export it again")
    x1, y1, x0, y0, tile_x, tile_y, *_, samples, bits = struct.unpack_from(">8IHB", data, start + 8)
    if tile_x < 1 or tile_y < 1 or tile_x >= 1 << 31 or tile_y >= 1 << 31:
        raise ImageError("has damaged JPEG 2000 pixel data: export it again")
    return StreamSize(width=x1 - x0, height=y1 - y0, samples=samples, bits=(bits & 0x7F) + 1)


def webp_size(data: bytes) -> tuple[int, int]:
    """Read width and height from a WebP header (RFC 9649); raises ImageError when damaged."""
    kind = data[12:16]
    if len(data) >= 30:
        if kind == b"VP8X":
            width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
            return width, height
        if kind == b"VP8L":
            packed = int.from_bytes(data[21:25], "little")
            return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise ImageError("is a damaged WebP file: export it again")
