"""DICOM's RLE in plain Python: its native decoder ends in a traceback of its own on damaged data.

After PS3.5, Annex G: a frame is a header and one PackBits segment for each byte of a sample, the
most significant first. No more is unpacked than the image holds, though PackBits can grow 64-fold.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import ImageError
from ladnn.greyscale import Deadline

_DAMAGED = "has damaged RLE pixel data: export it again"
_RUNS_PER_CHECK = 1 << 14


def decode_rle(
    frame: bytes, shape: tuple[int, int, int], wide: int, deadline: Deadline
) -> NDArray[Any]:
    """Decode one frame to codes of `shape` [H, W, samples] and `wide` bytes each (1 or 2).

    Raises ImageError when the frame does not hold exactly what the header promises.
    """
    height, width, samples = shape
    count, *offsets = struct.unpack_from("<16I", frame) if len(frame) >= 64 else (0,)
    if count != samples * wide:
        raise ImageError(_DAMAGED)
    ends = [*offsets[1:count], len(frame)]
    planes = np.empty((samples, wide, height * width), np.uint8)
    for plane, start, end in zip(planes.reshape(count, -1), offsets, ends, strict=False):
        plane[:] = np.frombuffer(unpack(frame[start:end], plane.size, deadline), np.uint8)
    joined = planes.transpose(2, 0, 1).copy().view(f">u{wide}")
    return joined.reshape(shape).astype(f"u{wide}")


def unpack(segment: bytes, size: int, deadline: Deadline) -> bytearray:
    """Unpack PackBits until `size` bytes are there; raises ImageError when there are fewer."""
    out = bytearray()
    place, end, runs = 0, len(segment), 0
    while len(out) < size and place < end:
        head = segment[place]
        if head < 128:
            out += segment[place + 1 : place + 2 + head]
            place += head + 2
        else:
            if head > 128:  # 128 means nothing
                out += segment[place + 1 : place + 2] * (257 - head)
            place += 2 if head > 128 else 1
        runs += 1
        if runs % _RUNS_PER_CHECK == 0:
            deadline.check()
    if len(out) < size:
        raise ImageError(_DAMAGED)
    return out[:size]
