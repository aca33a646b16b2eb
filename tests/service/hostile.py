"""Hostile files by name, and mutations: what the site is sent in the tests of its defences."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from ladnn.phantom import hounsfield, thorax
from synthetic import (
    SYNTAXES,
    dicom_bytes,
    dicom_dataset,
    encode,
    many_items,
    nested_sequences,
    png_bomb,
    png_chunk,
    written,
)

GREY = thorax(4, size=(48, 64))
HU = hounsfield(4, size=(48, 64)).clip(-1024, 3071)
ZEROS = zlib.compress(bytes(100_000_000), 9)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as pack:
        for name, data in members:
            pack.writestr(name, data)
    return target.getvalue()


def sources() -> dict[str, bytes]:
    """Honest files of every kind, to be damaged."""
    files = {kind: encode(GREY, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")}
    files["deep PNG"] = encode(GREY.astype(np.uint16) * 200, "PNG")
    for syntax in SYNTAXES:
        baseline = syntax == "jpeg-baseline"
        files[f"DICOM {syntax}"] = (
            dicom_bytes(GREY, syntax=syntax, intercept=None)
            if baseline
            else dicom_bytes(HU, syntax=syntax, stored=12)
        )
    files["zip"] = zipped(("a.png", files["PNG"]), ("b/c.dcm", files["DICOM explicit"]))
    return files


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, cut out, repeated or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(changed))
        kind = chance.randrange(5)
        if kind < 3:
            changed[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 3:
            del changed[place : place + chance.randint(1, 64)]
        else:
            changed[place:place] = changed[place : place + chance.randint(1, 64)]
        changed = changed or bytearray(b"\0")
    if chance.random() < 0.2:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


def _dicom(**tags: object) -> bytes:
    return dicom_bytes(HU, **tags)


def _forged(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def _forged_png(width: int, height: int, depth: int = 8, kind: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", ZEROS) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _forged_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encode(GREY, "JPEG"))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _tiff(**fields: int) -> bytes:
    tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: 4096}
    names = {"width": 256, "height": 257, "compression": 259, "strip": 273, "bytes": 279}
    tags |= {names[name]: value for name, value in fields.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def _looping_tiff() -> bytes:
    whole = _tiff()
    return whole[:-4] + struct.pack("<I", 8)  # the next directory is this one


def _png_with(kind: bytes, body: bytes, times: int = 1) -> bytes:
    data = png_bomb(64, 64)
    return data[:33] + png_chunk(kind, body) * times + data[33:]


def _deflated(body: bytes) -> bytes:
    whole = dicom_bytes(HU, syntax="deflated")
    start = whole.index(b"1.2.840.10008.1.2.1.99") + 22
    worker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return whole[:start] + worker.compress(body) + worker.flush()


def _codestream(syntax: str, forge: tuple[int, int]) -> bytes:
    """Compressed pixel data whose own header declares another size."""
    data = dicom_bytes(HU, syntax=syntax, stored=12)
    height, width = HU.shape
    if syntax == "jpeg-2000":
        size = struct.pack(">II", width, height)
        return _forged(data, size, struct.pack(">II", *forge))
    return _forged(data, struct.pack(">HH", height, width), struct.pack(">HH", *forge))


def _private_sequences() -> bytes:
    whole = dicom_bytes(HU)
    start = whole.index(b"\x10\0\x10\0PN")
    opened = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    return whole[:start] + opened * 20_000 + whole[start:]


def _long_element() -> bytes:
    whole = dicom_bytes(HU)
    start = whole.index(b"\x10\0\x10\0PN")
    return whole[:start] + b"\x09\0\x10\0UN\0\0\xfe\xff\xff\xff" + whole[start:]


def bombs() -> dict[str, bytes]:
    """Forty named bombs."""
    huge = 65_535
    nested = zipped(("a.png", bytes(1_000_000)))
    for _ in range(5):
        nested = zipped(*((f"{number}.zip", nested) for number in range(10)))
    many = dicom_dataset(HU)
    many.NumberOfFrames = 2**31 - 1
    return {
        "PNG of 65,535 squared": _forged_png(huge, huge),
        "PNG of 2^31 - 1 squared": _forged_png(2**31 - 1, 2**31 - 1),
        "PNG of one row": _forged_png(2**31 - 1, 1),
        "PNG of one column": _forged_png(1, 2**31 - 1),
        "PNG below the limit, all zeros": _forged_png(6300, 6300),
        "16-bit RGBA PNG below the limit": _forged_png(6300, 6300, 16, 6),
        "PNG whose text unpacks to 100 MB": _png_with(b"zTXt", b"a\0\0" + ZEROS),
        "PNG whose profile unpacks to 100 MB": _png_with(b"iCCP", b"a\0\0" + ZEROS),
        "PNG whose EXIF is 20 MB": _png_with(b"eXIf", bytes(20_000_000)),
        "PNG of 400,000 chunks": _png_with(b"tEXt", b"", 400_000),
        "PNG of animations": _png_with(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
        "JPEG of 65,535 squared": _forged_jpeg(huge, huge),
        "JPEG of 65,500 x 600": _forged_jpeg(65_500, 600),
        "JPEG of 10,000 scans": _progressive(10_000),
        "JPEG of endless comments": b"\xff\xd8" + b"\xff\xfe\x00\x02" * 4_000_000,
        "TIFF of 65,535 squared": _tiff(width=huge, height=huge),
        "TIFF that points behind its end": _tiff(strip=2**32 - 1),
        "TIFF of a strip of 4 GB": _tiff(bytes=2**32 - 1),
        "TIFF whose directory is its next": _looping_tiff(),
        "TIFF of LZMA": _tiff(compression=34925),
        "BMP of 65,535 squared": _forged_bmp(huge, huge),
        "BMP of negative height": _forged_bmp(64, -(2**31)),
        "WebP of 16,383 squared": _forged_webp(),
        "DICOM of 65,535 squared": _dicom(Rows=huge, Columns=huge),
        "DICOM of 2^31 frames": written(many),
        "DICOM of 65,535 samples": _dicom(SamplesPerPixel=huge),
        "DICOM of 20,000 sequences in sequences": nested_sequences(20_000),
        "DICOM of 20,000 private sequences": _private_sequences(),
        "DICOM of 500,000 items": many_items(500_000),
        "DICOM of an element of 4 GB": _long_element(),
        "deflated DICOM that unpacks to 100 MB": _deflated(bytes(100_000_000)),
        "deflated DICOM of rubbish": _deflated(b"")[:-2] + b"\xff" * 100_000,
        "JPEG 2000 of 65,535 squared": _codestream("jpeg-2000", (huge, huge)),
        "JPEG-LS of 65,535 squared": _codestream("jpeg-ls", (huge, huge)),
        "JPEG Lossless of 65,535 squared": _codestream("jpeg-lossless", (huge, huge)),
        "RLE of endless runs": _forged(
            dicom_bytes(HU, syntax="rle"), struct.pack("<II", 2, 64), struct.pack("<II", 15, 64)
        ),
        "zip of zips": nested,
        "zip of 1,000 members that share 10 MB": _shared_body(1000),
        "zip of 30,000 members": zipped(*((f"{number}.png", b"") for number in range(30_000))),
        "zip that forges its sizes": _forged_zip(),
    }


def archive_bombs() -> dict[str, bytes]:
    """Archives that cost whoever inflates them: those among the forty, and more."""
    named = {name: data for name, data in bombs().items() if data.startswith(b"PK")}
    picture, whole = encode(GREY, "PNG"), 63 << 20
    slices = [dicom_bytes(HU, InstanceNumber=number) for number in range(3)]
    return named | {
        "zip of a member of 200 MB": zipped(("a.png", bytes(200_000_000))),
        "zip of 3 members of zeros, just small enough": zipped(
            *((f"{number}.png", bytes(whole)) for number in range(3))
        ),
        "zip of 3 pictures with much behind them": zipped(
            *((f"{number}.png", picture + bytes([number]) * whole) for number in range(3))
        ),
        "zip of 3 slices with much behind them": zipped(
            *((f"{n}.dcm", data + bytes([n]) * whole) for n, data in enumerate(slices))
        ),
    }


def _progressive(scans: int) -> bytes:
    data = encode(np.zeros((3000, 3000), np.uint8), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * scans + b"\xff\xd9"


def _forged_bmp(width: int, height: int) -> bytes:
    data = bytearray(encode(GREY, "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _forged_webp() -> bytes:
    data = bytearray(encode(GREY, "WEBP"))
    place = data.index(b"VP8 ") + 14
    data[place : place + 4] = struct.pack("<HH", 16_383, 16_383)
    return bytes(data)


def _shared_body(count: int) -> bytes:
    """An archive whose directory names the same compressed bytes over and over."""
    data = zipped(("a.png", bytes(10_000_000)))
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = data[start:end] * count
    sizes = struct.pack("<HHII", count, count, len(entries), start)
    return data[:start] + entries + data[end : end + 8] + sizes + b"\0\0"


def _forged_zip() -> bytes:
    data = bytearray(zipped(("a.png", bytes(10_000_000))))
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 4)  # says that it unpacks to four bytes
    return bytes(data)


def misplaced(data: bytes, offset: int = 1 << 63) -> bytes:
    """An archive whose directory says that its last member begins there (ZIP64)."""
    extra = struct.pack("<HHQ", 1, 8, offset)

    def forge(entry: bytearray) -> bytes:
        entry[30:32], entry[42:46] = struct.pack("<H", len(extra)), b"\xff" * 4
        return bytes(entry) + extra

    return _relisted(data, forge)


def nameless(data: bytes) -> bytes:
    """An archive whose directory says that its last member has an empty name."""

    def forge(entry: bytearray) -> bytes:
        entry[28:30] = bytes(2)
        return bytes(entry[:46])

    return _relisted(data, forge)


def _relisted(data: bytes, forge: Callable[[bytearray], bytes]) -> bytes:
    """An archive with another last entry of its directory."""
    start, last, end = (
        data.index(b"PK\x01\x02"),
        data.rindex(b"PK\x01\x02"),
        data.rindex(b"PK\x05\x06"),
    )
    entries = data[start:last] + forge(bytearray(data[last:end]))
    size = struct.pack("<I", len(entries))
    return data[:start] + entries + data[end : end + 12] + size + data[end + 16 :]


def traversals() -> list[str]:
    """Two hundred names that would leave a folder if anything used them as a path."""
    ups = ("../", "..\\", "%2e%2e/", "....//", "..%2f", "..;/", "..\0/", "\u2025/", "%252e%252e/")
    aims = ("etc/passwd", "escaped.png", "root/.ssh/authorized_keys", "windows/win.ini", "a.dcm")
    names = [up * count + aim for up in ups for count in (1, 3, 8) for aim in aims]
    rooted = ("/", "//", "\\\\server\\share\\", "C:\\", "file:///", "~/", "/proc/self/", "/dev/")
    names += [root + aim for root in rooted for aim in aims]
    odd = (
        "CON",
        "NUL.png",
        "a\0.png",
        ".",
        "..",
        "",
        " ",
        "a" * 4000,
        "\r\nSet-Cookie: x",
        "$(id)",
    )
    names += [*odd, *(f"{word}/../../{aim}" for word in ("a", "b/c", "d.png") for aim in aims)]
    return names[:200]
