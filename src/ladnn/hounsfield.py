"""How the stored values of a DICOM frame become grey: the modality, VOI and presentation steps.

The order is that of the grey scale pipeline in PS3.3 C.11: stored value -> modality LUT or
rescale (HU on CT) -> window or VOI LUT -> inversion for MONOCHROME1.
"""

import math
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_sequence

from ladnn.errors import ImageError
from ladnn.greyscale import (
    LIMITS,
    LUNG_WINDOW,
    BoundedStream,
    Grey,
    Limits,
    Plane,
    Window,
    by_strips,
    guess_window,
    sample,
)

_MAX_READS = 100_000
_EIGHT_BITS = Window(level=127.5, width=255)
_LUNG_REACH = -500.0  # values that cannot go below this cannot hold a lung in HU
_TISSUE_REACH = -200.0  # a frame that stays below this shows no body in HU


@dataclass(frozen=True, kw_only=True)
class Table:
    """A lookup table: `values[i]` belongs to the input `first + i`; ends are held."""

    first: int
    values: Plane

    def look_up(self, inputs: NDArray[Any]) -> Plane:
        """Return the table's values for `inputs`."""
        place = np.clip(inputs.astype(np.int64) - self.first, 0, len(self.values) - 1)
        return np.asarray(self.values[place])


@dataclass(frozen=True, kw_only=True)
class Display:
    """Everything between stored values and grey.

    Attributes:
        slope, intercept, modality: the modality step; the table wins where there is one.
        shape: "LINEAR", "LINEAR_EXACT" or "SIGMOID"; how `window` maps to grey.
        window: in units of the modality step's output.
        voi: the VOI LUT, used in place of the window; its output is in [0, 255].
        shift: bits above the stored ones, to be cleared or filled with the sign.
        padding: lowest and highest stored value that mean "no pixel here"; black.
        hounsfield: whether the modality step gives HU.
        palette: red, green and blue table for PALETTE COLOR.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Table | None = None
    shape: str = "LINEAR_EXACT"
    window: Window = LUNG_WINDOW
    voi: Table | None = None
    inverted: bool = False
    shift: int = 0
    padding: tuple[int, int] | None = None
    hounsfield: bool = True
    palette: tuple[Table, ...] = ()

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Drop the bits above the stored ones (old overlays live there), keeping the sign."""
        if not self.shift:
            return values
        moved = np.left_shift(values, self.shift)
        return np.asarray(np.right_shift(moved, self.shift, out=moved))

    def modal(self, stored: NDArray[Any]) -> Plane:
        """Apply the modality step: HU, where `hounsfield`."""
        if self.modality:
            return self.modality.look_up(stored)
        return stored.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)

    def grey(self, values: NDArray[Any]) -> Plane:
        """Map raw values [h, W] to grey in [0, 255]."""
        stored = self.stored(values)
        real = self.modal(stored)
        grey = self.voi.look_up(np.rint(real)) if self.voi else self._windowed(real)
        if self.inverted:
            grey = 255 - grey
        if self.padding:
            grey[(stored >= self.padding[0]) & (stored <= self.padding[1])] = 0
        return grey

    def _windowed(self, real: Plane) -> Plane:
        if self.shape == "SIGMOID":
            steps = np.clip(-4 * (real - self.window.level) / self.window.width, -80, 80)
            return np.asarray(255 / (1 + np.exp(steps)), np.float32)
        return self.window.grey(real)


def to_grey(values: NDArray[Any], shown: Display) -> Grey:
    """Convert raw values [H, W] (or RGB [H, W, 3]) to uint8 [H, W]."""
    if shown.palette:
        tables = np.stack([table.values for table in shown.palette])
        luma = Table(first=shown.palette[0].first, values=_luma(tables))
        return by_strips(values, lambda strip: luma.look_up(shown.stored(strip)))
    if values.ndim == 3:
        scale = np.float32(255 / np.iinfo(values.dtype).max)
        return by_strips(values, lambda strip: scale * _luma(np.moveaxis(strip, -1, 0)))
    return by_strips(values, shown.grey)


def display(
    dataset: Dataset,
    frame: int,
    values: NDArray[Any],
    *,
    stored: int,
    window: Window | None,
    limits: Limits = LIMITS,
) -> Display:
    """Decide how a frame is shown.

    HU go through `window` (None: the file's own VOI). Values that are not HU go
    through the file's own VOI LUT or window where it has one, else they are judged by
    `ladnn.greyscale.guess_window`, because a lung window means nothing to them. Sequences
    are read within `limits`.
    """
    if values.ndim == 3:
        return Display(hounsfield=False)
    signed = bool(dataset.get("PixelRepresentation"))
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        return Display(hounsfield=False, palette=_palette(dataset, signed))
    groups = [*_functional_groups(dataset, frame, limits), dataset]
    plain = Display(
        shift=max(0, values.dtype.itemsize * 8 - stored),
        inverted=photometric == "MONOCHROME1",
        padding=_padding(dataset, np.iinfo(values.dtype)),
    )
    shown = _with_modality(plain, groups, signed, limits)
    shown = replace(shown, hounsfield=_is_hounsfield(groups, shown, stored, signed))
    wanted = window or LUNG_WINDOW
    if shown.hounsfield and not _reaches_tissue(shown, values):
        return _as_grey_levels(shown, values, wanted)
    if shown.hounsfield and window is not None:
        return replace(shown, window=window)
    own = _with_own_voi(shown, groups, signed and shown.modality is None, limits)
    if own is not None:
        return own
    return shown if shown.hounsfield else _guessed(shown, values, stored, wanted)


def _as_grey_levels(shown: Display, values: NDArray[Any], wanted: Window) -> Display:
    """Show grey levels whose rescale and window are left over from the HU that they were."""
    grey = replace(shown, slope=1.0, intercept=0.0, hounsfield=False)
    bits = int(_seen(grey, sample(values)).max()).bit_length()
    return _guessed(grey, values, bits, wanted)


def _guessed(shown: Display, values: NDArray[Any], stored: int, wanted: Window) -> Display:
    """Choose a window for values that are neither HU by their header nor have a window."""
    if stored <= 8 and not shown.modality:  # a picture, shown as it is
        return replace(shown, slope=1.0, intercept=0.0, window=_EIGHT_BITS)
    guessed, known = guess_window(_seen(shown, sample(values)), wanted)
    if not known or shown.modality:
        return replace(shown, window=guessed)
    offset = guessed.level - wanted.level  # belongs into the rescale
    return replace(shown, intercept=shown.intercept - offset, window=wanted, hounsfield=True)


def _seen(shown: Display, values: NDArray[Any]) -> Plane:
    """Apply the modality step to a sample, leaving out the padding."""
    stored = shown.stored(values)
    real = shown.modal(stored)
    if shown.padding:
        return real[(stored < shown.padding[0]) | (stored > shown.padding[1])]
    return real


def _is_hounsfield(groups: list[Dataset], shown: Display, stored: int, signed: bool) -> bool:
    """Tell whether the modality step gives HU.

    It must exist, must not name other units (dual-energy maps do), and its lowest possible value
    must reach into the lung: an 8-bit secondary capture with slope 1 and intercept 0 cannot.
    """
    if shown.modality or _find(groups, "RescaleSlope") is None:
        return False
    units = str(_find(groups, "RescaleType") or "HU").strip().upper()
    lowest = -(2 ** (stored - 1)) if signed else 0
    reaches = min(lowest * shown.slope, (2**stored - 1) * shown.slope) + shown.intercept
    return units in ("HU", "HU_MOD", "US", "") and reaches <= _LUNG_REACH


def _reaches_tissue(shown: Display, values: NDArray[Any]) -> bool:
    """Whether a frame shows a body in HU; one without a picture is not asked."""
    real = _seen(shown, sample(values))
    return not real.size or bool(real.max() > _TISSUE_REACH or real.max() == real.min())


def _with_modality(shown: Display, groups: list[Dataset], signed: bool, limits: Limits) -> Display:
    """Read the modality LUT, or slope and intercept (1 and 0 when missing)."""
    for group in groups:
        for item in _sequence(group, "ModalityLUTSequence", limits):
            return replace(shown, modality=_table(item, signed, scaled=False))
    slope = _first(_find(groups, "RescaleSlope")) or 1.0
    intercept = _first(_find(groups, "RescaleIntercept")) or 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ImageError("has a rescale slope or intercept that is no number: export it again")
    return replace(shown, slope=slope, intercept=intercept)


def _with_own_voi(
    shown: Display, groups: list[Dataset], signed: bool, limits: Limits
) -> Display | None:
    """Read the file's own VOI LUT or window; None when it has neither."""
    for group in groups:
        for item in _sequence(group, "VOILUTSequence", limits):
            return replace(shown, voi=_table(item, signed, scaled=True))
    level, width = _first(_find(groups, "WindowCenter")), _first(_find(groups, "WindowWidth"))
    if level is None or width is None or not math.isfinite(level) or not 1 <= width < math.inf:
        return None
    shape = str(_find(groups, "VOILUTFunction") or "LINEAR").strip().upper()
    if shape == "LINEAR" and width > 1:  # C.11.2.1.2: half a step left, one step narrower
        level, width = level - 0.5, width - 1
    return replace(shown, window=Window(level=level, width=width), shape=shape)


def _table(item: Dataset, signed: bool, *, scaled: bool) -> Table:
    """Read one item of a modality or VOI LUT sequence; `scaled` maps its output to [0, 255]."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    values = _lut_values(item, "LUTData", (count or 65536), bits)
    if scaled:
        values = values * np.float32(255 / (2 ** min(16, max(8, bits)) - 1))
    return Table(first=_signed(first, signed), values=values)


def _palette(dataset: Dataset, signed: bool) -> tuple[Table, ...]:
    """Read the three tables of a palette; segmented ones are refused, for they can be bombs."""
    tables = []
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        if f"{name}Data" not in dataset:
            raise ImageError("has a palette that cannot be read: export it in grey")
        count, first, bits = (int(number) for number in dataset[f"{name}Descriptor"].value)
        values = _lut_values(dataset, f"{name}Data", count or 65536, bits)
        scale = np.float32(255 / (65535 if bits > 8 else 255))
        tables.append(Table(first=_signed(first, signed), values=values * scale))
    if len({(len(table.values), table.first) for table in tables}) != 1:
        raise ImageError("has a palette of unequal tables: export it in grey")
    return tuple(tables)


def _lut_values(item: Dataset, name: str, count: int, bits: int) -> Plane:
    """Read a table's entries, 8 or 16 bits each, whatever type the file stored them as."""
    data = item[name].value
    if isinstance(data, bytes):
        narrow = bits <= 8 and len(data) < 2 * count
        big = item.original_encoding[1] is False
        words = np.frombuffer(data[: len(data) // 2 * 2], ">u2" if big else "<u2")
        # The first of two narrow entries is the lower half of its word (PS3.3, C.7.6.3.1.6).
        values = words.astype("<u2").view(np.uint8) if narrow else words
    else:
        values = np.atleast_1d(np.asarray(data))
    if not 0 < count <= len(values):
        raise ImageError("has a lookup table shorter than it says: export it again")
    return np.asarray(values[:count], np.float32)


def _signed(first: int, signed: bool) -> int:
    """Read a descriptor's first input as the signed number that it stands for."""
    return first - 65536 if signed and first > 32767 else first


def _padding(dataset: Dataset, bounds: np.iinfo[Any]) -> tuple[int, int] | None:
    """Return the range of stored values that mean "no pixel here", where pixels can have them."""
    value = _first(dataset.get("PixelPaddingValue"))
    if value is None:
        return None
    limit = _first(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((int(value), int(value if limit is None else limit)))
    # Some files write signed pixels' padding as US or the reverse: the 16 bits are what is meant.
    turn = 65536 * ((high < bounds.min) - (low > bounds.max))
    low, high = low + turn, high + turn
    return (low, high) if bounds.min <= low and high <= bounds.max else None


def _functional_groups(dataset: Dataset, frame: int, limits: Limits) -> Iterator[Dataset]:
    """Yield the items of an enhanced CT for this frame's values and window, its own first."""
    shared = _sequence(dataset, "SharedFunctionalGroupsSequence", limits)[:1]
    every = _sequence(dataset, "PerFrameFunctionalGroupsSequence", limits)
    own = every[frame : frame + 1]
    for group in (*own, *shared):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            yield from _sequence(group, name, limits)[:1]


def _sequence(dataset: Dataset, name: str, limits: Limits) -> list[Dataset]:
    """Return a sequence's items, parsed within a read budget where pydicom left it as bytes."""
    tag = tag_for_keyword(name)
    if tag is None or tag not in dataset:
        return []
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement):
        return list(element.value or ())
    data = element.value or b""
    stream = BoundedStream(data, limits, calls=_MAX_READS)
    implicit, little = element.is_implicit_VR, element.is_little_endian
    return list(read_sequence(stream, implicit, little, len(data), "iso8859"))


def _find(groups: list[Dataset], name: str) -> Any:  # noqa: ANN401 - whatever type the element has
    """Return the first value of an element over the groups."""
    for group in groups:
        value = group.get(name)
        if value is not None and value != "":
            return value
    return None


def _first(value: object) -> float | None:
    """Return the first of one or several numbers; a file may offer several windows."""
    if value is None or value == "":
        return None
    if isinstance(value, MutableSequence):
        value = value[0] if value else math.nan
    return float(str(value))


def _luma(rgb: NDArray[Any]) -> Plane:
    """Weigh red, green and blue [3, ...] as ITU-R 601 does, as Pillow does for pictures."""
    return np.asarray(
        0.299 * rgb[0].astype(np.float32) + 0.587 * rgb[1] + 0.114 * rgb[2], np.float32
    )
