"""JPEG Lossless and 12-bit JPEG streams, written out plainly, to hold the decoder to.

After ITU-T T.81 like the decoder, but one sample and one bit at a time, with flat Huffman codes.
"""

import struct

import numpy as np

ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]),
)


def lossless(
    values: np.ndarray, *, bits: int = 16, predictor: int = 1, restart: int = 0, shift: int = 0
) -> bytes:
    """A JPEG Lossless stream of codes [H, W] or [H, W, C]; `restart` is in lines."""
    codes = values.reshape(*values.shape[:2], -1).astype(np.int64) >> shift
    height, width, samples = codes.shape
    lines = restart or height
    parts = []
    for top in range(0, height, lines):
        block = codes[top : top + lines]
        parts.append(
            _packed(
                "".join(
                    _difference(block[..., c], row, column, predictor, bits - shift)
                    for row in range(len(block))
                    for column in range(width)
                    for c in range(samples)
                )
            )
        )
    return _stream(
        parts,
        frame=_frame(0xC3, bits, height, width, samples),
        codes=_flat_code(0x00, bytes(range(17)), 5),
        scan=_scan(samples, 0x00, predictor, 0, shift),
        restart=restart * width,
    )


def extended(values: np.ndarray, *, bits: int = 12, quantum: int = 1, restart: int = 0) -> bytes:
    """A sequential DCT stream of 12-bit codes [H, W]; `restart` is in blocks.

    With 16 bits as GDCM writes it: coefficients go around in 16 bits, as its integers do.
    """
    height, width = values.shape
    padded = np.pad(values.astype(float), ((0, -height % 8), (0, -width % 8)), mode="edge")
    frequency, place = np.mgrid[:8, :8]
    basis = np.cos((2 * place + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    tiles = padded.reshape(padded.shape[0] // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    tiles = tiles - (1 << (bits - 1))
    blocks = np.rint(basis @ tiles @ basis.T / quantum).astype(int)
    blocks = (blocks + 32768) % 65536 - 32768
    each = restart or len(blocks)
    parts = []
    for first in range(0, len(blocks), each):
        coded, previous = [], 0
        for block in blocks[first : first + each]:
            coded.append(_block([int(block[p]) for p in ZIGZAG], previous))
            previous = int(block[0, 0])
        parts.append(_packed("".join(coded)))
    symbols = bytes(run << 4 | size for run in range(16) for size in range(1, 15)) + b"\0\xf0"
    return _stream(
        parts,
        frame=_segment(0xDB, bytes(1) + bytes([quantum] * 64))
        + _frame(0xC1, bits, height, width, 1),
        codes=_flat_code(0x00, bytes(range(17)), 5) + _flat_code(0x10, symbols, 8),
        scan=_scan(1, 0x00, 0, 63, 0),
        restart=restart,
    )


def _difference(x: np.ndarray, row: int, column: int, predictor: int, bits: int) -> str:
    value = int(x[row, column])
    if row and column:
        a, b, c = (int(v) for v in (x[row, column - 1], x[row - 1, column], x[row - 1, column - 1]))
        guesses = (a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1)
        guess = guesses[predictor - 1]
    elif column:
        guess = int(x[row, column - 1])
    else:
        guess = int(x[row - 1, column]) if row else 1 << (bits - 1)
    difference = (value - guess) & 0xFFFF
    return _number(difference - 65536 if difference > 32768 else difference)


def _number(value: int) -> str:
    """A category in 5 bits with its extra bits."""
    size = abs(value).bit_length()
    return f"{size:05b}" + ("" if size == 16 else _extra(value, size))


def _extra(value: int, size: int) -> str:
    return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def _block(zigzag: list[int], previous: int) -> str:
    """One block: the DC difference, then runs of zeros and coefficients in 8-bit codes."""
    coded, run = [_number(zigzag[0] - previous)], 0
    for value in zigzag[1:]:
        if not value:
            run += 1
            continue
        coded += [f"{225:08b}"] * (run // 16)
        size = abs(value).bit_length()
        coded.append(f"{run % 16 * 14 + size - 1:08b}{_extra(value, size)}")
        run = 0
    return "".join(coded) + (f"{224:08b}" if run else "")


def _packed(bits: str) -> bytes:
    """Bits to bytes, padded with ones, with a zero stuffed after each 0xFF."""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def _stream(parts: list[bytes], *, frame: bytes, codes: bytes, scan: bytes, restart: int) -> bytes:
    interval = _segment(0xDD, struct.pack(">H", restart)) if restart else b""
    data = parts[0]
    for index, part in enumerate(parts[1:]):
        data += bytes([0xFF, 0xD0 + index % 8]) + part
    return b"\xff\xd8" + frame + codes + interval + scan + data + b"\xff\xd9"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _frame(marker: int, bits: int, height: int, width: int, samples: int) -> bytes:
    parts = b"".join(bytes([i + 1, 0x11, 0]) for i in range(samples))
    return _segment(marker, struct.pack(">BHHB", bits, height, width, samples) + parts)


def _scan(samples: int, code: int, first: int, last: int, shift: int) -> bytes:
    parts = b"".join(bytes([i + 1, code]) for i in range(samples))
    return _segment(0xDA, bytes([samples]) + parts + bytes([first, last, shift]))


def _flat_code(name: int, symbols: bytes, length: int) -> bytes:
    """A Huffman code whose words all have the same length."""
    counts = bytes(len(symbols) if i == length else 0 for i in range(1, 17))
    return _segment(0xC4, bytes([name]) + counts + symbols)
