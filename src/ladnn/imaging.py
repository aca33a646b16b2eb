"""File bytes -> 8-bit grey image: the only decoder, for training and serving alike.

Reads PNG, JPEG, TIFF, BMP, WebP and DICOM (in `dicom_pixels`), and nothing else. A file is judged
by its content, never by its name. What it may cost is checked on its headers before anything is
decoded; large pictures are reduced early, because the network sees some 256 pixels.
"""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ladnn.codestream import jpeg_size, webp_size
from ladnn.errors import ImageError, shown_name
from ladnn.formats import kind_of
from ladnn.greyscale import (
    LIMITS,
    LUNG_WINDOW,
    STRIP_PIXELS,
    BoundedStream,
    Grey,
    Limits,
    Window,
    check_frame,
    check_not_drawn,
    guess_window,
)
from ladnn.quiet import quiet, quiet_stderr

__all__ = [
    "LIMITS",
    "LONGER_SIDE",
    "LUNG_WINDOW",
    "CtImage",
    "Limits",
    "Window",
    "decode",
    "one_sentence",
    "read_bytes",
    "read_image",
]

_MANY_KINDS = ("TIFF", "BMP")  # of which Pillow reads some
_UNOPENED = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
_DAMAGED = "is damaged or truncated: copy or export it again"
_SENTENCES: dict[type[Exception], str] = {
    FileNotFoundError: "does not exist: check the path",
    PermissionError: "may not be read: ask for permission to read it",
    IsADirectoryError: "is a folder: give an image file",
    MemoryError: "needs too much memory to decode: reduce it first",
}
LONGER_SIDE = 1024
"""Larger pictures are reduced to this, in pixels."""

_COST = {"PNG": 9, "JPEG": 7, "TIFF": 10, "BMP": 9, "WEBP": 17}
"""Bytes of memory per pixel at the peak of decoding, measured on 40 megapixels."""

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What each EXIF orientation asks for."""

_UPPER_BITS = 32
"""The least that the upper 8 of 16 bits reach where they hold a picture; 12 bits reach 15."""

_SIDEWAYS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))

_SAMPLE_SIDE = 512
_TILE_WIDTH, _TILE_LENGTH, _PHOTOMETRIC = 322, 323, 262
_MAX_SCANS = 10  # a progressive JPEG has about 10; each passes over all of its pixels


@dataclass(frozen=True, kw_only=True)
class CtImage:
    """One image, ready for the network.

    Attributes:
        pixels: uint8 [H, W], upright, black to white; longer side at most `LONGER_SIDE`.
        sha256: of the file's bytes, in hexadecimal.
        format: "PNG", "JPEG", "TIFF", "BMP", "WEBP" or "DICOM".
        size: height and width in the file, upright, before any reduction.
        series, study: DICOM instance UIDs, by which slices are grouped; None elsewhere.
        instance: DICOM instance number, by which the slices of a series are ordered.
        frame, frames: which frame this is, counted from 0, and of how many.
        window: in HU, as used; None where the values were not known to be HU.
        orientation: EXIF's number, by which `pixels` were turned; 1 where nothing was to be turned,
            and of a TIFF, which is turned when it is opened.
    """

    pixels: Grey
    sha256: str
    format: str
    size: tuple[int, int]
    series: str | None = None
    study: str | None = None
    instance: int | None = None
    frame: int = 0
    frames: int = 1
    window: Window | None = None
    orientation: int = 1


def read_image(
    path: Path,
    *,
    window: Window | None = LUNG_WINDOW,
    frame: int | None = None,
    limits: Limits = LIMITS,
) -> CtImage:
    """Read and decode a file; see `read_bytes` and `decode`."""
    data = read_bytes(path, limits=limits)
    return decode(data, name=str(path), window=window, frame=frame, limits=limits)


def read_bytes(path: Path, *, limits: Limits = LIMITS) -> bytes:
    """Read a regular file, and no other, through one handle and not a byte beyond the limit.

    Raises ImageError, one sentence that names the file.
    """
    with one_sentence(str(path)):
        data = _read_file(path, limits)
        limits.check_bytes(len(data))
        return data


def decode(
    data: bytes,
    *,
    name: str = "",
    window: Window | None = LUNG_WINDOW,
    frame: int | None = None,
    limits: Limits = LIMITS,
) -> CtImage:
    """Decode the bytes of an image file.

    Args:
        data: the whole file.
        name: shown in errors; says nothing about the format.
        window: for DICOM, and for pictures of more than 8 bits that hold HU; None takes the
            DICOM file's own VOI LUT or window.
        frame: counted from 0; needed for a DICOM or TIFF file of several frames.
        limits: what decoding may cost. Sizes, frames and tables are checked on the headers; time
            also while the decoder reads; at most one frame is decoded.

    Returns:
        The image: any mode turned to grey, EXIF orientation applied, alpha laid on black.

    Raises:
        ImageError: one sentence that names the file; it tells nothing about the patient.
    """
    with one_sentence(name), quiet:
        kind = kind_of(data, limits)
        if kind == "DICOM":
            return _decode_dicom(data, window, frame, limits)
        return _decode_picture(data, kind, window or LUNG_WINDOW, frame, limits)


def _read_file(path: Path, limits: Limits) -> bytes:
    """Read at most the byte limit of a regular file; the checks and the reading share a handle."""
    # O_NONBLOCK: opening a pipe without a writer would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with io.FileIO(os.open(path, flags), "r") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is no regular file: give an image file")
        data = bytearray()
        while len(data) <= limits.bytes:
            piece = file.read(min(1 << 20, limits.bytes + 1 - len(data)))
            if not piece:
                break
            data += piece
    return bytes(data)


@contextmanager
def one_sentence(name: str) -> Iterator[None]:
    """Turn whatever goes wrong into one ImageError that begins with the file's name.

    Decoding inside it gives the caller an image or one sentence, whatever a file does.
    """
    shown = shown_name(name) or "the image"
    try:
        yield
    except Exception as error:  # decoders raise anything on hostile input, not for the reader
        raise ImageError(f"{shown} {_said(error)}") from None


def _said(error: Exception) -> str:
    if isinstance(error, ImageError):
        return str(error)
    if getattr(error, "errno", None) in _UNOPENED:
        return "cannot be opened: check the path"
    told = (said for kind, said in _SENTENCES.items() if isinstance(error, kind))
    return next(told, _DAMAGED)


def _decode_dicom(data: bytes, window: Window | None, frame: int | None, limits: Limits) -> CtImage:
    """Decode one frame of a DICOM file."""
    # pydicom costs a quarter of a second to import, and a PNG needs none of it.
    from ladnn.dicom_pixels import decode_dicom

    ct = decode_dicom(data, window=window, frame=frame, limits=limits)
    height, width = ct.pixels.shape
    return CtImage(
        pixels=np.asarray(_reduced(Image.fromarray(ct.pixels))),
        sha256=hashlib.sha256(data).hexdigest(),
        format="DICOM",
        size=(height, width),
        series=ct.series,
        study=ct.study,
        instance=ct.instance,
        frame=ct.frame,
        frames=ct.frames,
        window=ct.window,
    )


def _decode_picture(
    data: bytes, kind: str, window: Window, frame: int | None, limits: Limits
) -> CtImage:
    """Decode a picture by Pillow."""
    if kind == "WEBP":  # Pillow's reader reserves the whole canvas before it tells its size
        limits.check_pixels(*webp_size(data))
    stream = BoundedStream(data, limits)
    try:
        silence = quiet_stderr if kind == "TIFF" else nullcontext()
        with silence, Image.open(stream, formats=(kind,)) as picture:
            frames = _choose_frame(picture, kind, frame)
            _check_picture(picture, kind, data, limits)
            deep = _is_deep_colour(picture)
            size, orientation = picture.size, _orientation(picture, kind)
            pixels, used = _grey(picture, window)
    except Image.DecompressionBombError:
        limits.refuse_pixels()
    except Exception as error:
        if kind in _MANY_KINDS and isinstance(error, UnidentifiedImageError):
            error = ImageError(f"is damaged, or a {kind} of a kind not read: export it as PNG")
        raise stream.failure or error from error
    if deep and np.asarray(pixels).max() < _UPPER_BITS:
        raise ImageError(
            "has 16 bits in colour, whose upper half, all that is read of them, is nearly black: "
            "save it as 16-bit grey, or as 8 bits"
        )
    if (turn := _TURNS.get(orientation)) is not None:
        pixels = pixels.transpose(turn)
    return CtImage(
        pixels=np.asarray(pixels),
        sha256=hashlib.sha256(data).hexdigest(),
        format=kind,
        size=size if turn in _SIDEWAYS else size[::-1],
        frame=frame or 0,
        frames=frames,
        window=used,
        orientation=orientation,
    )


def _choose_frame(picture: Image.Image, kind: str, frame: int | None) -> int:
    """Go to the page asked for; returns how many there are. Animations are refused."""
    frames = getattr(picture, "n_frames", 1) if picture.format == kind else 1  # MPO: first picture
    if frames > 1 and kind != "TIFF":
        raise ImageError("is animated: give a still image")
    check_frame(frame, frames)
    if frame:
        picture.seek(frame)
    return frames


def _check_picture(picture: Image.Image, kind: str, data: bytes, limits: Limits) -> None:
    """Check what the header declares against the limits, before any pixel is decoded."""
    width, height = picture.size
    limits.check_pixels(width, height)
    check_not_drawn(picture.info.get("comment"))
    limits.check_memory(_COST[kind] * width * height + 2 * len(data))
    if kind == "JPEG" and jpeg_size(data).scans * width * height > _MAX_SCANS * limits.pixels:
        raise ImageError("is a JPEG of too many scans for its size: save it again as PNG")
    if kind == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]  # only TIFF pictures have tags
        limits.check_pixels(*(int(tags.get(side, 1)) for side in (_TILE_WIDTH, _TILE_LENGTH)))


def _orientation(picture: Image.Image, kind: str) -> int:
    """EXIF's number of how to turn a picture upright; 1 for a TIFF, which Pillow turns itself."""
    said = 1 if kind == "TIFF" else picture.getexif().get(ExifTags.Base.Orientation, 1)
    return said if said in _TURNS else 1


def _is_deep_colour(picture: Image.Image) -> bool:
    """Tell 16 bits in several channels, of which Pillow reads the upper 8; told before it loads."""
    tiles = picture.tile  # type: ignore[attr-defined]  # of every picture that was opened
    return picture.mode not in _DEEP_MODES and any(";16" in str(tile[-1]) for tile in tiles)


def _grey(picture: Image.Image, window: Window) -> tuple[Image.Image, Window | None]:
    """Turn any mode to 8-bit grey, reduced; says which window in HU was used, if any."""
    if picture.mode in _DEEP_MODES:
        return _deep_grey(picture, window)
    picture.draft(picture.mode, (LONGER_SIDE, LONGER_SIDE))  # a JPEG may be decoded reduced
    if picture.has_transparency_data:
        bands = [_reduced(_on_black(picture, band)) for band in "RGB"]
        return Image.merge("RGB", bands).convert("L"), None
    grey = picture.getchannel("L") if picture.mode == "LAB" else picture.convert("L")
    return _reduced(grey), None


def _on_black(picture: Image.Image, band: str) -> Image.Image:
    """One band premultiplied by alpha, which is what black shows through.

    In strips and a band at a time: a copy of all bands would take as much memory as the picture.
    """
    whole = Image.new("L", picture.size)
    for top, strip in _strips(picture):
        whole.paste(strip.convert("RGBA").convert("RGBa").getchannel(band), (0, top))
    return whole


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the picture a few rows at a time, each strip with its first row."""
    width, height = picture.size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, picture.crop((0, top, width, min(height, top + rows)))


def _deep_grey(picture: Image.Image, window: Window) -> tuple[Image.Image, Window | None]:
    """Turn 16 or 32 bits into 8, in strips, through a window chosen by `guess_window`."""
    picture.load()
    width, height = picture.size
    share = min(1.0, (_SAMPLE_SIDE**2 / (width * height)) ** 0.5)
    small = (max(1, round(width * share)), max(1, round(height * share)))
    seen = np.asarray(picture.resize(small, Image.Resampling.NEAREST))
    guessed, known = guess_window(seen, window)
    grey = Image.new("L", (width, height))
    for top, strip in _strips(picture):
        # what is no number is no pixel, as outside of a scanner's round field: black
        values = np.nan_to_num(np.asarray(strip, np.float32), nan=guessed.level - guessed.width)
        grey.paste(Image.fromarray(np.rint(guessed.grey(values)).astype(np.uint8)), (0, top))
    if _is_white_zero(picture):
        grey = ImageOps.invert(grey)
    return _reduced(grey), window if known else None


def _is_white_zero(picture: Image.Image) -> bool:
    """Tell a TIFF that stores white as 0, which Pillow inverts for 8 bits only."""
    white_zero = getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    return white_zero and picture.mode.startswith("I;16")


def _reduced(picture: Image.Image) -> Image.Image:
    """Shrink to `LONGER_SIDE`, averaging; smaller pictures stay as they are."""
    share = LONGER_SIDE / max(picture.size)
    if share >= 1:
        return picture
    width, height = (max(1, round(side * share)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
