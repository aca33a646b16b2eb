"""The headers of a JPEG of one scan: frame, Huffman codes, quantisation and where its data start.

After ITU-T T.81, Annex B; only what `jpeg_deep` decodes is read.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import ImageError

SOF_EXTENDED, SOF_LOSSLESS = 0xC1, 0xC3
_DHT, _DQT, _DRI, _SOS = 0xC4, 0xDB, 0xDD, 0xDA
_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

DAMAGED = "has damaged JPEG pixel data: export it again"
UNUSUAL = (
    "has JPEG pixel data of a kind not used for CT: "
    "export it uncompressed, or as JPEG Lossless or JPEG 2000"
)


@dataclass(frozen=True, kw_only=True)
class Code:
    """A Huffman code as tables over the next 16 bits: length of the code word (0: none), value."""

    lengths: NDArray[np.uint8]
    values: NDArray[np.uint8]


@dataclass(kw_only=True)
class Tables:
    """What the segments before the scan define; later ones replace earlier ones."""

    codes: dict[int, Code] = field(default_factory=dict)  # 0-3 DC or lossless, 16-19 AC
    quanta: dict[int, NDArray[np.float32]] = field(default_factory=dict)  # in zigzag order
    restart: int = 0  # coding units between restart markers; 0: none
    marker: int = 0
    frame: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A frame with its only scan.

    Attributes:
        marker: `SOF_EXTENDED` or `SOF_LOSSLESS`.
        bits: sample precision.
        dc, ac: the code of each component.
        quanta: of the first component; None where the frame has none.
        predictor: selection value 1 to 7 of a lossless scan; `shift` its point transform.
        data: entropy-coded, up to the end of the file.
    """

    marker: int
    bits: int
    height: int
    width: int
    dc: tuple[Code, ...]
    ac: tuple[Code, ...]
    quanta: NDArray[np.float32] | None
    restart: int
    predictor: int
    shift: int
    data: bytes

    @property
    def samples(self) -> int:
        """The number of components."""
        return len(self.dc)

    def intervals(self) -> list[bytes]:
        """Split the data at its restart markers and undo the byte stuffing (B.1.1.5)."""
        end = _END.search(self.data)
        coded = self.data[: end.start()] if end else self.data
        return [part.replace(b"\xff\0", b"\xff") for part in _RESTART.split(coded)]


def read_scan(data: bytes) -> Scan:
    """Read the segments up to the scan; raises ImageError where they do not hold."""
    tables = Tables()
    for marker, body, after in _segments(data):
        if marker == _DHT:
            tables.codes |= dict(_codes(body))
        elif marker == _DQT:
            tables.quanta |= dict(_quanta(body))
        elif marker == _DRI:
            tables.restart = int.from_bytes(body[:2], "big")
        elif marker in (SOF_EXTENDED, SOF_LOSSLESS):
            tables.marker, tables.frame = marker, body
        elif marker == _SOS:
            return _scan(tables, body, data[after:])
    raise ImageError(DAMAGED)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, content and end of each segment after SOI."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == 0xFF:  # fill byte
            place += 1
            continue
        end = place + 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
        yield data[place + 1], data[place + 4 : end], end
        place = end


def _scan(tables: Tables, header: bytes, data: bytes) -> Scan:
    """Join the frame header (B.2.2) and the scan header (B.2.3)."""
    bits, height, width, samples = struct.unpack_from(">BHHB", tables.frame)
    parts = [tables.frame[6 + 3 * i : 9 + 3 * i] for i in range(samples)]
    if tables.marker == SOF_LOSSLESS and any(part[1] != 0x11 for part in parts):
        raise ImageError(UNUSUAL)
    if not 2 <= bits <= 16 or header[0] != samples:
        raise ImageError(UNUSUAL)
    wanted = [header[2 + 2 * i] for i in range(samples)]
    try:
        dc = tuple(tables.codes[choice >> 4] for choice in wanted)
        lossless = tables.marker == SOF_LOSSLESS
        ac = () if lossless else tuple(tables.codes[16 + (choice & 15)] for choice in wanted)
    except KeyError:
        raise ImageError(DAMAGED) from None
    return Scan(
        marker=tables.marker,
        bits=bits,
        height=height,
        width=width,
        dc=dc,
        ac=ac,
        quanta=tables.quanta.get(parts[0][2]),
        restart=tables.restart,
        predictor=header[1 + 2 * samples],
        shift=header[3 + 2 * samples] & 15,
        data=data,
    )


def _codes(body: bytes) -> Iterator[tuple[int, Code]]:
    """Read the Huffman codes of a DHT segment (B.2.4.2), numbered as Annex C says."""
    place = 0
    while place + 17 <= len(body):
        name, counts = body[place], body[place + 1 : place + 17]
        symbols = body[place + 17 : place + 17 + sum(counts)]
        lengths, values = np.zeros(65536, np.uint8), np.zeros(65536, np.uint8)
        start, used = 0, 0
        for length, count in enumerate(counts, 1):
            span = 1 << (16 - length)
            for symbol in symbols[used : used + count]:
                lengths[start : start + span], values[start : start + span] = length, symbol
                start += span
            used += count
        if start > 65536 or used != len(symbols):
            raise ImageError(DAMAGED)
        yield name, Code(lengths=lengths, values=values)
        place += 17 + used


def _quanta(body: bytes) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Read the quantisation tables of a DQT segment (B.2.4.1)."""
    place = 0
    while place < len(body):
        wide, name = body[place] >> 4, body[place] & 15
        size = 128 if wide else 64
        numbers = np.frombuffer(body[place + 1 : place + 1 + size], ">u2" if wide else np.uint8)
        if len(numbers) != 64:
            raise ImageError(DAMAGED)
        yield name, numbers.astype(np.float32)
        place += 1 + size
