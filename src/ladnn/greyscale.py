"""From numbers to 8-bit grey: windows in HU, unknown scales, and the limits that decoding keeps."""

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import ConfigError, ImageError

Grey: TypeAlias = NDArray[np.uint8]
Plane: TypeAlias = NDArray[np.float32]

STRIP_PIXELS = 1 << 20  # at most this many pixels are float32 at a time
_WHITES = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))
_SAMPLE_PIXELS = 1 << 18  # enough to know a picture's grey levels


@dataclass(frozen=True, kw_only=True)
class Window:
    """A display window: `level` is mid grey, `width` spans black to white (HU on CT).

    Raises ConfigError when the width is not positive or a number is not finite.
    """

    level: float
    width: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.level) and math.isfinite(self.width) and self.width > 0):
            raise ConfigError(
                f"a window of level {self.level} and width {self.width} shows nothing: "
                "give a finite level and a width above 0, such as -600 and 1500"
            )

    def grey(self, values: Plane) -> Plane:
        """Map values to [0, 255], not rounded."""
        low = np.float32(self.level - self.width / 2)
        return np.asarray(np.clip((values - low) * np.float32(255 / self.width), 0, 255))


LUNG_WINDOW = Window(level=-600, width=1500)
"""The usual lung window, in HU."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What decoding one image may cost: pixels, bytes of the file, seconds, bytes of memory."""

    pixels: int = 40_000_000
    bytes: int = 64 << 20
    seconds: float = 10.0
    memory: int = 512 << 20

    def check_bytes(self, count: int) -> None:
        """Raise ImageError for a file that is larger than the limit."""
        if count > self.bytes:
            most = self.bytes / (1 << 20)
            raise ImageError(f"is larger than the limit of {most:g} MiB: reduce it first")

    def check_pixels(self, width: int, height: int) -> None:
        """Raise ImageError when a declared size is empty or above the limit."""
        if width < 1 or height < 1:
            raise ImageError(f"declares a size of {width} x {height} pixels: export it again")
        if width * height > self.pixels:
            raise ImageError(
                f"has {width} x {height} pixels, more than the limit of "
                f"{self.pixels / 1e6:g} megapixels: reduce it first"
            )

    def refuse_pixels(self) -> NoReturn:
        """Raise ImageError for a picture above the limit whose sides a library did not tell."""
        raise ImageError(
            f"has more pixels than the limit of {self.pixels / 1e6:g} megapixels: reduce it first"
        )

    def check_memory(self, needed: float) -> None:
        """Raise ImageError when decoding is expected to need more memory than allowed."""
        if needed > self.memory:
            raise ImageError(
                f"needs about {needed / (1 << 20):.0f} MiB of memory to decode, more than the "
                f"limit of {self.memory / (1 << 20):.0f} MiB: reduce it or save it as PNG"
            )


LIMITS = Limits()


class Deadline:
    """The moment after which decoding is given up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise ImageError once the time is used up."""
        if time.monotonic() > self._end:
            raise ImageError(
                f"takes more than {self._seconds:g} s to decode: save it again as PNG or JPEG"
            )


class BoundedStream(io.BytesIO):
    """A file in memory that stops whoever reads it for too long, too often or too much.

    Image libraries have no time limit, but they ask for input in small pieces: a hostile file
    (endless directories, a thousand scans, sequences in sequences) is stopped at the next read.
    """

    def __init__(self, data: bytes, limits: Limits, *, calls: int | None = None) -> None:
        super().__init__(data)
        self._deadline = Deadline(limits.seconds)
        self._calls = math.inf if calls is None else calls
        # Honest readers pass over a file once or twice; a bomb points to the same bytes again.
        self._bytes = 4 * len(data) + (1 << 20)
        self._length = len(data)
        self.failure: ImageError | None = None
        self.overran = False  # whether something reaches beyond the end

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as BytesIO does.

        Raises ImageError when a budget is used up, and keeps it as `failure`, because a library
        may replace it by an error of its own.
        """
        piece = super().read(size)
        self.overran |= size is not None and 0 < len(piece) < size
        self._calls -= 1
        self._bytes -= len(piece)
        try:
            self._deadline.check()
            if self._calls < 0 or self._bytes < 0:
                raise ImageError("has too large a structure for an image: export it again")
        except ImageError as failure:
            self.failure = failure
            raise
        return piece

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Seek as BytesIO does."""
        place = super().seek(offset, whence)
        self.overran |= place > self._length
        return place


DRAWN = "an overlay drawn by LA-DNN"
"""The comment in every overlay, which would else be read as an image by a later call."""


def check_not_drawn(comment: object) -> None:
    """Raise ImageError where the comment of a picture is that of an overlay."""
    if comment in (DRAWN, DRAWN.encode()):
        raise ImageError("is an overlay of LA-DNN, not an image: give the image that it shows")


def check_frame(frame: int | None, frames: int) -> int:
    """Return the index of the frame to decode; raises ImageError when it must be chosen anew.

    `frame` is an index, from 0; the sentences count from 1, as DICOM and everybody outside does.
    """
    if frame is None and frames > 1:
        raise ImageError(f"has {frames} frames: choose frame 1 to {frames}")
    index = frame or 0
    if frames == 1 and index:
        raise ImageError(f"has one frame only, so no frame {index + 1}: choose none")
    if not 0 <= index < frames:
        raise ImageError(f"has no frame {index + 1}: choose frame 1 to {frames}")
    return index


def by_strips(values: NDArray[Any], convert: Callable[[NDArray[Any]], Plane]) -> Grey:
    """Convert [H, W] to uint8 [H, W] a few rows at a time, so that float32 copies stay small."""
    height, width = values.shape[:2]
    rows = max(1, STRIP_PIXELS // max(1, width))
    grey = np.empty((height, width), np.uint8)
    for top in range(0, height, rows):
        grey[top : top + rows] = np.rint(convert(values[top : top + rows]))
    return grey


def sample(values: NDArray[Any]) -> NDArray[Any]:
    """Take every n-th row and column of [H, W]: at most about 262,144 values."""
    step = max(1, math.isqrt(values.size // _SAMPLE_PIXELS))
    return values[::step, ::step]


def guess_window(values: NDArray[Any], window: Window) -> tuple[Window, bool]:
    """Choose the window for values of unknown scale, in the units of the values.

    A 16-bit export of a CT usually still holds HU, or HU + 1024 (scanners store unsigned numbers),
    or HU + 32768 (signed saved as unsigned). Then the lung window applies exactly, and the picture
    has the grey levels of every other CT. A picture whose white is the white of 8, 10, 12, 14 or 16
    bits was windowed before, and keeps its black and white. Anything else is stretched between its
    0.5th and 99.5th percentile: minimum and maximum would let one metal artefact or one burnt-in
    letter decide the contrast, and dividing by 256 would leave a 12-bit picture black. Returns the
    window in the units of `values`, and whether they were recognised as HU.
    """
    flat = values[np.isfinite(values)].astype(np.float32)
    if not flat.size:
        return Window(level=0.5, width=1), False
    for offset in (0, 1024, 32768):
        if _looks_like_hounsfield(flat - offset):
            return Window(level=window.level + offset, width=window.width), True
    for white in _WHITES:
        if values.dtype.kind in "iu" and 0.98 * white <= flat.max() <= white and flat.min() >= 0:
            return Window(level=white / 2, width=white), False
    low, high = np.percentile(flat, (0.5, 99.5))
    if low == high:
        low, high = flat.min(), flat.max()
    if low == high:  # a blank picture stays blank: black when 0, else mid grey
        return Window(level=float(high) if high else 0.5, width=1), False
    return Window(level=float(low + high) / 2, width=float(high - low)), False


def _looks_like_hounsfield(values: Plane) -> bool:
    """Tell whether air or lung, and soft tissue, lie where HU puts them, and little lies above.

    A chest slice is at least one seventh air or lung and one tenth fat or soft tissue; bone is
    there but rare. A picture windowed and stretched to 12 or 16 bits has its tissue far above 400,
    one of 10 bits has nothing above -1.
    """
    air = np.mean((values >= -1100) & (values < -500))
    tissue = np.mean((values > -200) & (values < 150))
    above = np.mean(values > 400)
    return bool(air > 0.15 and tissue > 0.1 and above < 0.1 and 100 < values.max() < 32000)
