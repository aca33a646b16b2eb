"""JPEG Lossless and 12-bit JPEG in NumPy, which CT archives hold and Pillow cannot read.

After ITU-T T.81: Annex H (lossless, selection values 1 to 7) and Annex F (sequential DCT, 12 bits).
GDCM writes 12 bits as if they were 16, which T.81 has not; that is read too.
The native decoders for these are GPL, or export their own zlib and OpenSSL to the whole process.
A slice takes some tenths of a second here, and a hostile one can do no harm: every step is bounded
by the size of the image and by a deadline.
"""

from itertools import cycle, islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import ImageError
from ladnn.greyscale import Deadline
from ladnn.jpeg_headers import DAMAGED, SOF_EXTENDED, SOF_LOSSLESS, UNUSUAL, Code, Scan, read_scan

Codes: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
Ints: TypeAlias = NDArray[np.int32]

_CHUNK = 1 << 16  # bytes of entropy-coded data that are looked at together
_MOST_BITS = 20  # of a coefficient's difference, of 16-bit samples
_TAIL = 8  # bytes read beyond a chunk: a code word and its extra bits take at most 4

# fmt: off
_ZIGZAG = np.array((
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
))
# fmt: on
"""Place in a row-major block of the k-th coefficient (T.81, Figure A.6)."""


def decode_jpeg(data: bytes, deadline: Deadline) -> Codes:
    """Decode a JPEG Lossless, or a sequential JPEG of one component and 12 (or GDCM's 16) bits.

    Args:
        data: one frame, from SOI on. Its size must have been checked already.
        deadline: checked while decoding.

    Returns:
        Sample codes [H, W, components]: uint8 up to 8 bits, else uint16.

    Raises:
        ImageError: for damaged data and for kinds that CT does not use.
    """
    scan = read_scan(data)
    if len(data) > 4 * scan.height * scan.width * scan.samples + 65536:
        raise ImageError(DAMAGED)
    if scan.marker == SOF_LOSSLESS:
        values = _lossless(scan, deadline)
    elif scan.marker == SOF_EXTENDED and scan.samples == 1 and scan.bits in (12, 16):
        values = _extended(scan, deadline)
    else:
        raise ImageError(UNUSUAL)
    return values.astype(np.uint8) if scan.bits <= 8 else values


def _lossless(scan: Scan, deadline: Deadline) -> NDArray[np.uint16]:
    """Decode a lossless scan: differences first, then the predictions that they correct."""
    rows, odd = divmod(scan.restart or scan.height * scan.width, scan.width)
    if odd or not 1 <= scan.predictor <= 7:  # restarts fall on line ends (H.1.1)
        raise ImageError(UNUSUAL)
    image = np.empty((scan.height, scan.width, scan.samples), np.uint16)
    parts = scan.intervals()
    for part, top in zip(parts, range(0, scan.height, rows), strict=False):
        block = image[top : top + rows]
        differences = _differences(part, scan.dc, block.size, deadline).reshape(block.shape)
        start = 1 << (scan.bits - scan.shift - 1)
        for sample in range(scan.samples):
            plane = _predicted(differences[..., sample], scan.predictor, start, deadline)
            block[..., sample] = plane << scan.shift
    if len(parts) * rows < scan.height:
        raise ImageError(DAMAGED)
    return image


def _differences(part: bytes, codes: tuple[Code, ...], count: int, deadline: Deadline) -> Ints:
    """Decode `count` differences (H.1.2.2); the codes take turns.

    Where a code word starts is known only once the one before it is read. So the length of
    whatever would start at each bit is looked up for all bits at once, and only the walk from one
    start to the next is done step by step.
    """
    found: list[Ints] = []
    done, bit = 0, 0  # bit: where the next code word starts
    while done < count:
        deadline.check()
        first = bit // 8
        window = _windows(part[first : first + _CHUNK + _TAIL])
        turn = [codes[(done + i) % len(codes)] for i in range(len(codes))]
        steps = [_steps(code, window) for code in turn]
        starts = _walk(steps, bit - 8 * first, 8 * _CHUNK, count - done)
        values = np.empty(len(starts), np.int32)
        for i, code in enumerate(turn):
            values[i :: len(turn)] = _extend(code, window, starts[i :: len(turn)])
        found.append(values)
        done += len(starts)
        last = int(starts[-1])
        bit = 8 * first + last + int(_lengths(turn[(len(starts) - 1) % len(turn)], window, last))
        if bit > 8 * len(part):
            raise ImageError(DAMAGED)
    return np.concatenate(found)


def _windows(data: bytes) -> NDArray[np.uint16]:
    """Return the 16 bits that follow each bit of the data; zeros follow the end."""
    octets = np.frombuffer(data + bytes(_TAIL), np.uint8).astype(np.uint32)
    words = octets[:-2] << 16 | octets[1:-1] << 8 | octets[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    return (words[:, None] >> shifts).astype(np.uint16).ravel()


def _lengths(code: Code, window: NDArray[np.uint16], place: int | slice = slice(None)) -> Ints:
    """Return the bits of a code word with its extra bits; 0 where none starts."""
    ahead = window[place]
    lengths, categories = code.lengths[ahead], code.values[ahead]
    extra = np.where(categories < 16, categories, 0)  # category 16 needs none
    return np.where(lengths == 0, 0, lengths + extra).astype(np.int32)


def _steps(code: Code, window: NDArray[np.uint16]) -> list[int]:
    """Return where the next code word starts, for each bit where one may start."""
    return [*(np.arange(len(window)) + _lengths(code, window)).tolist()]


def _walk(steps: list[list[int]], start: int, end: int, count: int) -> NDArray[np.int64]:
    """Collect at most `count` starts of code words before the bit `end`."""
    starts = []
    place, end = start, min(end, len(steps[0]))
    for follow in islice(cycle(steps), count):
        if place >= end:
            break
        starts.append(place)
        place = follow[place]
    if not starts or place == starts[-1]:
        raise ImageError(DAMAGED)
    return np.array(starts)


def _extend(code: Code, window: NDArray[np.uint16], starts: NDArray[np.int64]) -> Ints:
    """Read the differences whose code words start at `starts` (F.2.2.1)."""
    ahead = window[starts]
    category = code.values[ahead].astype(np.int32)
    lengths = code.lengths[ahead]
    if not lengths.all() or (category > 16).any():
        raise ImageError(DAMAGED)
    extra = window[np.minimum(starts + lengths, len(window) - 1)].astype(np.int32)
    extra >>= 16 - np.minimum(category, 16)
    small = extra < 1 << np.maximum(category - 1, 0)
    value = np.where(small, extra - (1 << category) + 1, extra)
    return np.where(category == 16, 32768, np.where(category == 0, 0, value))


def _predicted(differences: Ints, predictor: int, start: int, deadline: Deadline) -> Ints:
    """Add the predictions of Table H.1 to the differences [H, W] of one component.

    The first line is predicted from the left and the first column from above (H.1.2.1); sums are
    modulo 65536.
    """
    total = differences.astype(np.int64)
    total[0, 0] += start
    if predictor in (1, 4):
        # 1 sums along each line; 4 (left + above - diagonal) sums along lines and columns.
        total[:, 0] = np.cumsum(total[:, 0]) if predictor == 1 else total[:, 0]
        total = np.cumsum(total, axis=1)
        return (total if predictor == 1 else np.cumsum(total, axis=0)).astype(np.int32) & 0xFFFF
    total[0] = np.cumsum(total[0])
    if predictor == 2:
        return np.cumsum(total, axis=0).astype(np.int32) & 0xFFFF
    lines = np.empty(differences.shape, np.int32)
    lines[0] = total[0] & 0xFFFF
    for row in range(1, len(lines)):
        deadline.check()
        lines[row] = _line(total[row], lines[row - 1], predictor)
    return lines


def _line(differences: NDArray[np.int64], above: Ints, predictor: int) -> Ints:
    """Predict one line from the one above for the selection values 3, 5, 6 and 7."""
    line = differences.copy()
    line[0] += above[0]
    slope = above[1:] - above[:-1]
    if predictor == 3:
        line[1:] += above[:-1]
    elif predictor == 5:
        line[1:] += slope >> 1
        line = np.cumsum(line)
    else:
        line[1:] = _halved(line.tolist(), above.tolist(), predictor)
    return line.astype(np.int32) & 0xFFFF


def _halved(differences: list[int], above: list[int], predictor: int) -> list[int]:
    """Predict from half of the left neighbour, which only works one by one."""
    left, line = differences[0] & 0xFFFF, []
    for x in range(1, len(differences)):
        b = above[x]
        guess = b + ((left - above[x - 1]) >> 1) if predictor == 6 else (left + b) >> 1
        left = (guess + differences[x]) & 0xFFFF
        line.append(left)
    return line


def _extended(scan: Scan, deadline: Deadline) -> NDArray[np.uint16]:
    """Decode a sequential DCT scan of one component (F.2), of values up to 4095."""
    across, down = -(-scan.width // 8), -(-scan.height // 8)
    if scan.quanta is None:
        raise ImageError(DAMAGED)
    each = scan.restart or across * down
    parts = iter(scan.intervals())
    image = np.empty((down * 8, across * 8), np.uint16)
    basis = _cosines()
    reader: _Blocks | None = None
    for row in range(down):
        deadline.check()
        blocks = np.zeros((across, 64), np.float32)
        for column in range(across):
            if (row * across + column) % each == 0:
                reader = _Blocks(next(parts, b""), scan.dc[0], scan.ac[0])
            if reader is not None:
                reader.read(blocks[column])
        blocks *= scan.quanta
        if scan.bits == 16:
            blocks[:, 0] = _unwrapped(blocks[:, 0], float(scan.quanta[0]))
        squares = np.empty_like(blocks)
        squares[:, _ZIGZAG] = blocks
        samples = basis.T @ squares.reshape(-1, 8, 8) @ basis + (1 << (scan.bits - 1))
        line = np.clip(np.rint(samples), 0, 4095).astype(np.uint16)
        image[row * 8 : row * 8 + 8] = line.transpose(1, 0, 2).reshape(8, -1)
    return image[: scan.height, : scan.width, None]


def _unwrapped(means: NDArray[np.float32], quantum: float) -> NDArray[np.float64]:
    """Undo what GDCM does to the means of blocks, which 16-bit samples are too large for.

    It keeps a quantised coefficient in 16 bits, and the first is eight times the mean less 32768.
    So it has gone around some times; the values themselves, of 12 bits, tell how often.
    """
    lowest = 8.0 * (-2048 - 32768)  # half of the values' range below none of them
    return (means.astype(np.float64) - lowest) % (65536 * quantum) + lowest


class _Blocks:
    """Reads the coefficients of one block after another from one interval."""

    def __init__(self, part: bytes, dc: Code, ac: Code) -> None:
        padded = np.frombuffer(part + bytes(_TAIL), np.uint8).astype(np.uint32)
        words = padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]
        self._words = words.data  # plain ints when indexed, unlike an array
        self._end = 8 * len(part)
        self._bit = 0
        self._previous = 0
        self._dc = (dc.lengths.data, dc.values.data)
        self._ac = (ac.lengths.data, ac.values.data)

    def read(self, block: NDArray[np.float32]) -> None:
        """Read one block's coefficients in zigzag order into `block`, which is zero."""
        self._previous += self._number(self._symbol(self._dc) & 31)
        block[0] = self._previous
        place = 1
        while place < 64:
            run, size = divmod(self._symbol(self._ac), 16)
            if size == 0 and run != 15:  # end of block
                return
            place += run
            if place > 63:
                raise ImageError(DAMAGED)
            if size:
                block[place] = self._number(size)
            place += 1

    def _ahead(self, count: int) -> int:
        """Return the next `count` bits, at most 25."""
        if self._bit > self._end:
            raise ImageError(DAMAGED)
        word: int = self._words[self._bit >> 3]
        return (word >> (32 - count - (self._bit & 7))) & ((1 << count) - 1)

    def _symbol(self, code: tuple[memoryview, memoryview]) -> int:
        """Read a code word."""
        ahead = self._ahead(16)
        length: int = code[0][ahead]
        if not length:
            raise ImageError(DAMAGED)
        self._bit += length
        value: int = code[1][ahead]
        return value

    def _number(self, size: int) -> int:
        """Read `size` extra bits as a signed number (F.2.2.1)."""
        if not size:
            return 0
        if size > _MOST_BITS:
            raise ImageError(DAMAGED)
        bits = self._ahead(size)
        self._bit += size
        return bits if bits >> (size - 1) else bits - (1 << size) + 1


def _cosines() -> NDArray[np.float32]:
    """Return the orthonormal 8 x 8 DCT matrix (A.3.3)."""
    frequency, place = np.mgrid[:8, :8]
    basis = np.cos((2 * place + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)
