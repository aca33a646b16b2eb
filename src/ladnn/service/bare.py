"""A picture without what was written beside its pixels: names in EXIF, comments, thumbnails.

Its compressed pixels stay byte for byte, so it decodes to the same image. PNG and JPEG keep what is
on a list and lose the rest; in a TIFF everything that no listed tag names is overwritten by zeros.
Pure functions, called where hostile bytes may be read.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"IHDR": 13, b"PLTE": 768, b"tRNS": 256, b"IEND": 0}
"""Chunks beside the pixels, with the most bytes that each needs."""
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_INFLATED_AT_ONCE = 1 << 18  # bytes

_JPEG_KEPT = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xDE)))
"""Frames, tables, scans, line counts, restarts."""
_JFIF, _ADOBE, _START_OF_SCAN, _END = 0xE0, 0xEE, 0xDA, 0xD9
_SCAN_ENDS = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")

_MOST_PIECES = 200_000  # chunks, segments or strips: more is no picture that anyone sends
_ORIENTATION = 0x0112

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of each of TIFF's types."""
_TIFF_KEPT = frozenset(
    (*range(254, 260), 262, 263, 266, _ORIENTATION, 277, 278, 280, 281, 284, 290, 291, 292, 293)
) | frozenset((317, 318, 319, 320, 321, *range(322, 326), 330, 332, 338, 339, 340, 341))
"""Size, depth, colours, compression, strips and tiles; what JPEG in TIFF needs follows."""
_TIFF_KEPT_TOO = frozenset((529, 530, 531, 532))
_PLACES = {273: 279, 324: 325}
"""Tags that say where pixels stand, and those that say how many bytes."""
_COMPRESSION, _JPEG_TABLES = 259, 347
_OLD_JPEG, _JPEG = 6, 7


class UnknownError(ValueError):
    """The bytes are not laid out as this module knows it."""


def bare(data: bytes, kind: str, orientation: int = 1) -> bytes:
    """The same picture with nothing beside its pixels.

    Args:
        data: a whole file.
        kind: "PNG", "JPEG" or "TIFF".
        orientation: of EXIF, 1 to 8, to be kept; a TIFF keeps its own.

    Raises UnknownError for another kind, and for bytes that are not laid out as the kind asks.
    """
    try:
        if kind == "PNG":
            return _png(data, orientation)
        if kind == "JPEG":
            return _jpeg(data, orientation)
        if kind == "TIFF":
            return _Tiff(data).bare()
    except (struct.error, IndexError) as error:
        raise UnknownError(kind) from error
    raise UnknownError(kind)


def _exif(orientation: int) -> bytes:
    """EXIF that says nothing but how to turn the picture."""
    entry = struct.pack("<HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    return struct.pack("<2sHIH", b"II", 42, 8, 1) + entry + bytes(4)


# ------------------------------------------------------------------ PNG


def _png(data: bytes, orientation: int) -> bytes:
    kept, pixels = [_PNG_START], None
    for kind, chunk in _chunks(data):
        if kind == b"IDAT":
            if pixels is None:
                raise UnknownError("PNG")
            kept.append(pixels.of(chunk))
        elif kind in _PNG_KEPT:
            if len(chunk) - 12 > _PNG_KEPT[kind]:
                raise UnknownError("PNG")
            kept.append(chunk)
        if kind == b"IHDR":
            pixels = _PngPixels(chunk[8:-4])
            if orientation != 1:
                kept.append(_chunk(b"eXIf", _exif(orientation)))
        if kind == b"IEND" and pixels is not None and pixels.whole:
            return b"".join(kept)
    raise UnknownError("PNG")


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


class _PngPixels:
    """The compressed pixels of a PNG, cut at their end; a little of them is unpacked at a time."""

    def __init__(self, head: bytes) -> None:
        width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", head)
        if colours not in _PNG_CHANNELS:
            raise UnknownError("PNG")
        size = height * (1 + (width * depth * _PNG_CHANNELS[colours] + 7) // 8)
        self._left = 2 * size + 64 if interlaced else size  # each pass has lines of its own
        self._stream = zlib.decompressobj()

    @property
    def whole(self) -> bool:
        """Whether their end was there."""
        return self._stream.eof

    def of(self, chunk: bytes) -> bytes:
        """The chunk up to the end of the pixels; empty behind it.

        Raises UnknownError where they are not packed as PNG asks, or are more than the picture has.
        """
        if self.whole:
            return b""
        packed = body = chunk[8:-4]
        try:
            while packed and not self.whole:
                self._left -= len(self._stream.decompress(packed, _INFLATED_AT_ONCE))
                packed = self._stream.unconsumed_tail
                if self._left < 0:
                    raise UnknownError("PNG")
        except zlib.error as error:
            raise UnknownError("PNG") from error
        behind = len(self._stream.unused_data)
        return _chunk(b"IDAT", body[: len(body) - behind]) if behind else chunk


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's name, and the whole of it."""
    at = len(_PNG_START)
    for _ in range(_MOST_PIECES):
        if at + 12 > len(data):
            return
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            return
        yield data[at + 4 : at + 8], data[at:end]
        at = end


# ------------------------------------------------------------------ JPEG


def _jpeg(data: bytes, orientation: int) -> bytes:
    kept = [b"\xff\xd8"]
    if orientation != 1:
        body = b"Exif\0\0" + _exif(orientation)
        kept.append(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    at = 2
    for _ in range(_MOST_PIECES):
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # padding before a marker
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF:
            raise UnknownError("JPEG")
        if marker == _END:
            return b"".join((*kept, b"\xff\xd9"))
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == _JFIF and data[at + 4 : at + 9] == b"JFIF\0":
            # Without its thumbnail: version, unit, density, no columns, no rows.
            kept.append(b"\xff\xe0\0\x10" + data[at + 4 : at + 16] + bytes(2))
        elif marker == _ADOBE and data[at + 4 : at + 9] == b"Adobe" and end >= at + 16:
            # Which colours it means: name, version, flags, transform.
            kept.append(b"\xff\xee\0\x0e" + data[at + 4 : at + 16])
        elif marker in _JPEG_KEPT:
            kept.append(data[at:end])
        if marker == _START_OF_SCAN:
            found = _SCAN_ENDS.search(data, end)
            if found is None:
                raise UnknownError("JPEG")
            kept.append(data[end : found.start()])
            end = found.start()
        at = end
    raise UnknownError("JPEG")


# ------------------------------------------------------------------ TIFF


class _Entry(NamedTuple):
    """One entry of a directory, and where its values stand."""

    at: int
    tag: int
    type: int
    number: int
    values: int

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return _SIZES.get(self.type, 1) * self.number


class _Tiff:
    """A TIFF, and a copy of zeros into which goes what is kept."""

    def __init__(self, data: bytes) -> None:
        self._data, self._bare = data, bytearray(len(data))
        self._jpegs = 0  # bytes of the strips that are JPEGs
        self._order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]

    def bare(self) -> bytes:
        """The copy, all pages."""
        self._keep(0, 8)
        (at,) = struct.unpack_from(f"{self._order}I", self._data, 4)
        seen: set[int] = set()
        pieces = 0
        while at and at not in seen:
            seen.add(at)
            entries, at = self._directory(at)
            pieces += sum(entry.number for entry in entries if entry.tag in _PLACES)
            if pieces > _MOST_PIECES or len(seen) > _MOST_PIECES:
                raise UnknownError("TIFF")
            self._keep_page({entry.tag: entry for entry in entries})
        return bytes(self._bare)

    def _directory(self, at: int) -> tuple[list[_Entry], int]:
        (count,) = struct.unpack_from(f"{self._order}H", self._data, at)
        entries = [self._entry(at + 2 + 12 * number) for number in range(count)]
        end = at + 2 + 12 * count
        (following,) = struct.unpack_from(f"{self._order}I", self._data, end)
        self._keep(at, 2)
        self._keep(end, 4)
        return entries, following

    def _entry(self, at: int) -> _Entry:
        tag, type_, count = struct.unpack_from(f"{self._order}HHI", self._data, at)
        (values,) = struct.unpack_from(f"{self._order}I", self._data, at + 8)
        inline = _SIZES.get(type_, 1) * count <= 4
        return _Entry(at, tag, type_, count, at + 8 if inline else values)

    def _keep_page(self, entries: dict[int, _Entry]) -> None:
        for entry in entries.values():
            self._keep(entry.at, 8)
            if entry.tag in _TIFF_KEPT | _TIFF_KEPT_TOO | _PLACES.keys() | set(_PLACES.values()):
                self._keep(entry.at + 8, 4)
                self._keep(entry.values, entry.size)
            elif entry.size > 4:
                self._keep(entry.at + 8, 4)  # it points to zeros now
        is_jpeg = self._is_jpeg(entries)
        if is_jpeg and _JPEG_TABLES in entries:
            self._keep_jpeg(entries[_JPEG_TABLES].values, entries[_JPEG_TABLES].size)
        for places, sizes in _PLACES.items():
            if places in entries and sizes in entries:
                where, length = self._numbers(entries[places]), self._numbers(entries[sizes])
                for start, size in zip(where, length, strict=False):
                    (self._keep_jpeg if is_jpeg else self._keep)(start, size)

    def _is_jpeg(self, entries: dict[int, _Entry]) -> bool:
        """Whether strips are whole JPEGs; UnknownError for those that lie about in pieces."""
        entry = entries.get(_COMPRESSION)
        found = self._numbers(entry)[0] if entry else 1
        if found == _OLD_JPEG:
            raise UnknownError("TIFF")
        return found == _JPEG

    def _numbers(self, entry: _Entry) -> tuple[int, ...]:
        letter = {1: "B", 3: "H", 4: "I", 13: "I"}.get(entry.type)
        if letter is None or entry.number > _MOST_PIECES:
            raise UnknownError("TIFF")
        form = f"{self._order}{entry.number}{letter}"
        return struct.unpack_from(form, self._data, entry.values)

    def _keep_jpeg(self, start: int, size: int) -> None:
        """Copy a part that is a JPEG, without what is beside its pixels."""
        self._jpegs += size
        if self._jpegs > len(self._data):  # the same part again and again takes its time
            raise UnknownError("TIFF")
        part = _jpeg(self._data[start : start + size], 1)
        self._bare[start : start + size] = part.ljust(min(size, len(self._data) - start), b"\0")

    def _keep(self, start: int, size: int) -> None:
        """Copy a part; what lies behind the end of the file is not there to be copied."""
        self._bare[start : start + size] = self._data[start : start + size]
