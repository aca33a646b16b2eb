"""The canonical frames: the box around the lungs of one chest CT image, squashed to a square.

Hospitals export the same anatomy in other windows, fields of view and aspect ratios. A network that
sees those learns the hospital. So training and serving both look through one frame: the box as it
is; or with everything but the lungs hidden and air-filled lung and soft tissue at fixed grey
values; or both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ladnn import regions

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LUNG_LEVEL, TISSUE_LEVEL = 48.0, 208.0
"""Grey values that aerated lung and soft tissue are mapped to."""

_PAIR = "lungpair-1"
FRAMES = ("lungs-2", "lungbox-1", _PAIR, "whole-1")
"""The frames a bundle may ask for: the lungs alone at fixed grey levels; the box around them as it
is; both squares, the box above the lungs; the whole image (the authors' own recipe)."""

LEVELLED = ("lungs-2", _PAIR)
"""Those whose last square has fixed grey levels."""

_SEARCH_SIDE = 192  # the lungs are found at this size: enough for a box, fast at any input size
_MARGIN = 0.06  # of the lung box, so that the pleura and its subpleural lesions stay inside
_CORE = (0.70, 0.55)  # of the body box, always inside: a consolidated lung is not dark
_MIN_LUNG, _MIN_BODY = 0.03, 0.10  # share of the image below which a find is not believed
_MIN_LUNG_OF_BODY = 0.12  # or this share of the body, in a wide field of view
_MAX_BORDER = 0.12  # share of the image border that a lung cut by a tight crop may touch
_HALF = (0.2, 0.2)  # and of one that fills so much of the image: no air around a body does
_MIN_CONTRAST = 12.0
_MIN_BODY_WIDTH = 0.6  # of the image: what is less wide is the mediastinum between cropped lungs
_FULL = (0.0, 0.0, 1.0, 1.0)
_CORNER = 5  # side of the corners where air is outside the body, in pixels of the search
_BRIDGED = 10  # pixels of the search: solid lung less thick than twice this is still lung
_PLEURA = 3  # and so many pixels around the lungs stay visible


@dataclass(frozen=True, kw_only=True)
class LungField:
    """Where the lungs are and how grey they are.

    Attributes:
        box: x0, y0, x1, y1 as fractions of the image's width and height, in [0, 1].
        kind: "lung" when the lungs were found, "body" when only the body was, "full" otherwise.
        lung_share, body_share: of the image's area, in [0, 1].
        lung_grey, tissue_grey: grey values of aerated lung and soft tissue before they are mapped;
            of a frame that leaves the grey as it is, the levels themselves.
        mask: of the lungs, solid parts and pleura included, bool at the size of the search; None
            unless `kind` is "lung".
    """

    box: tuple[float, float, float, float]
    kind: str
    lung_share: float
    body_share: float
    lung_grey: float
    tissue_grey: float
    mask: Mask | None = None


_WHOLE = LungField(
    box=_FULL,
    kind="full",
    lung_share=0.0,
    body_share=0.0,
    lung_grey=LUNG_LEVEL,
    tissue_grey=TISSUE_LEVEL,
)


def model_input(pixels: Pixels, size: int, frame: str = FRAMES[0]) -> tuple[Pixels, LungField]:
    """What the network sees of an image.

    Args:
        pixels: uint8 [H, W], 8-bit grey.
        size: side of the square in pixels.
        frame: one of `FRAMES`.

    Returns:
        uint8 [size, size], or [2 size, size] of a pair, and the field it was cut from.
    """
    field = locate(pixels, frame)
    return squares(planes(pixels, field, frame), size), field


def joint_frame(frames: Sequence[str]) -> str | None:
    """The frame that shows all of these what they see; None where there is none.

    The first square of a pair is the box alone.
    """
    wanted = set(frames)
    if wanted == {"lungbox-1", _PAIR}:
        return _PAIR
    return wanted.pop() if len(wanted) == 1 else None


def input_shape(size: int, frame: str) -> tuple[int, int]:
    """Rows and columns of what `model_input` makes."""
    return (2 * size if frame == _PAIR else size), size


def planes(pixels: Pixels, field: LungField, frame: str) -> list[tuple[Pixels, LungField]]:
    """The squares of a frame, each as what `cut` takes: one, or of a pair the box and the lungs."""
    alone = lungs_alone(pixels, field), field
    return [(pixels, _as_it_is(field)), alone] if frame == _PAIR else [alone]


def squares(shown: Sequence[tuple[Pixels, LungField]], size: int) -> Pixels:
    """The planes of a frame cut to squares, one below the other."""
    return np.concatenate([cut(*plane, size) for plane in shown])


def cut(pixels: Pixels, field: LungField, size: int) -> Pixels:
    """An image, or what `lungs_alone` left of it, in the field's box and grey levels, square.

    uint8 [H, W] -> uint8 [size, size].
    """
    square = Image.fromarray(crop(pixels, field.box)).resize((size, size), Image.Resampling.BICUBIC)
    return map_levels(np.asarray(square), field)


def locate(pixels: Pixels, frame: str = FRAMES[0]) -> LungField:
    """Find the lungs (else the body) of an axial image, uint8 [H, W]; see `FRAMES`."""
    if frame == "whole-1":
        return _WHOLE
    return _find_field(pixels, measured=frame != "lungbox-1")


def _as_it_is(field: LungField) -> LungField:
    """The field's box with nothing hidden and its grey left alone."""
    return replace(field, lung_grey=LUNG_LEVEL, tissue_grey=TISSUE_LEVEL, mask=None)


def _find_field(pixels: Pixels, *, measured: bool) -> LungField:
    """The field; its mask and grey levels, which take time, only where they are asked for."""
    small = _shrink(pixels)
    if int(small.max()) - int(small.min()) < _MIN_CONTRAST:
        return _WHOLE  # blank: there is nothing to find
    lungs, threshold = _search(small)
    body = _find_body(small, threshold)
    box, kind = _frame(lungs, body)
    field = replace(
        _WHOLE, box=box, kind=kind, lung_share=float(lungs.mean()), body_share=float(body.mean())
    )
    if not measured:
        return field
    inside = crop(small, box)
    bright = inside[inside > threshold]
    dark = small[lungs] if kind == "lung" else inside[inside <= threshold]
    return replace(
        field,
        lung_grey=float(np.percentile(dark, 30)) if dark.size else 0.0,
        tissue_grey=float(np.percentile(bright, 60)) if bright.size else 255.0,
        mask=_closed(lungs) if kind == "lung" else None,
    )


def lungs_alone(pixels: Pixels, field: LungField) -> Pixels:
    """uint8 [H, W] with all but the lungs at the grey of soft tissue; as it is without lungs.

    Chest wall, mediastinum, table, letters and borders differ between hospitals and say nothing of
    the lungs.
    """
    if field.mask is None:
        return pixels
    height, width = pixels.shape
    soft = Image.fromarray(field.mask.astype(np.uint8) * 255)
    share = np.asarray(soft.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    grey = field.tissue_grey + share * (pixels - np.float32(field.tissue_grey))
    return np.asarray(grey.round().astype(np.uint8))


def crop(pixels: NDArray[Any], box: tuple[float, float, float, float]) -> NDArray[Any]:
    """The part of [H, W] inside `box` (fractions), at least one pixel in each direction."""
    height, width = pixels.shape
    x0, y0 = int(box[0] * width), int(box[1] * height)
    x1, y1 = int(np.ceil(box[2] * width)), int(np.ceil(box[3] * height))
    part: NDArray[Any] = pixels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    return part


def map_levels(pixels: Pixels, field: LungField) -> Pixels:
    """uint8 of any shape: the field's greys mapped to `LUNG_LEVEL` and `TISSUE_LEVEL`, clipped."""
    contrast = field.tissue_grey - field.lung_grey
    if contrast < _MIN_CONTRAST:  # nothing to anchor on; stretching would only amplify noise
        return pixels
    gain = (TISSUE_LEVEL - LUNG_LEVEL) / contrast
    levels = np.arange(256, dtype=np.float32)
    table = np.clip((levels - field.lung_grey) * gain + LUNG_LEVEL, 0, 255).round()
    mapped: Pixels = table.astype(np.uint8)[pixels]
    return mapped


def otsu(pixels: Pixels) -> int:
    """Otsu's threshold of uint8 of any shape: the value, 0 to 255, up to which a pixel is dark."""
    counts = np.bincount(pixels.ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    total = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    spread = (total[-1] * below / below[-1] - total) ** 2
    weight = below * above
    return int(np.divide(spread, weight, out=np.zeros(256), where=weight > 0).argmax())


def find_lungs(small: Pixels, threshold: int) -> Mask:
    """Dark regions that the body encloses, bool [h, w]; air outside the body is left out."""
    labels, count = regions.label(regions.opening(small <= threshold))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    touching = np.bincount(border, minlength=count + 1) / border.size
    area = np.bincount(labels.ravel(), minlength=count + 1) / labels.size
    ends = np.r_[:_CORNER, -_CORNER:0]
    most = np.where(area >= _HALF[0], _HALF[1], _MAX_BORDER)
    keep = (area >= 0.004) & (touching <= most)
    keep[labels[np.ix_(ends, ends)]] = False
    keep[0] = False
    lungs: Mask = keep[labels]
    return lungs


def _search(small: Pixels) -> tuple[Mask, int]:
    """The lungs and the threshold below which they lie.

    An export over all HU has its largest step between the scanner's round field and the black
    around it; only within the field does a threshold part air from tissue.
    """
    first = otsu(small)
    second = otsu(small[small > first])
    for threshold in (first, second):
        lungs = find_lungs(small, threshold)
        if lungs.mean() >= _MIN_LUNG:
            return lungs, threshold
    return find_lungs(small, first), first


def _closed(lungs: Mask) -> Mask:
    """The lungs with their solid parts, vessels and pleura."""
    padded = np.pad(lungs, _BRIDGED)
    closed = ~_dilated(~_dilated(padded, _BRIDGED), _BRIDGED)
    inner = closed[_BRIDGED:-_BRIDGED, _BRIDGED:-_BRIDGED]
    return _dilated(regions.fill_holes(inner), _PLEURA)


def _dilated(mask: Mask, radius: int) -> Mask:
    """Every pixel with one of the mask within a square of that radius."""
    for axis in (0, 1):
        count = np.cumsum(mask, axis=axis, dtype=np.int32)
        ahead = np.take(count, np.arange(mask.shape[axis]) + radius, axis=axis, mode="clip")
        behind = np.take(count, np.arange(mask.shape[axis]) - radius - 1, axis=axis, mode="clip")
        behind[(slice(None),) * axis + (slice(0, radius + 1),)] = 0
        mask = ahead > behind
    return mask


def _find_body(small: Pixels, threshold: int) -> Mask:
    """The largest bright region with its holes filled, bool [h, w]."""
    labels, count = regions.label(regions.opening(small > threshold, iterations=2))
    if count == 0:
        return np.zeros(small.shape, dtype=bool)
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    return regions.fill_holes(labels == largest)


def _frame(lungs: Mask, body: Mask) -> tuple[tuple[float, float, float, float], str]:
    body_box = _bounds(body) if body.mean() >= _MIN_BODY else _FULL
    if lungs.mean() < min(_MIN_LUNG, _MIN_LUNG_OF_BODY * max(body.mean(), _MIN_BODY)):
        wide = body_box[2] - body_box[0] >= _MIN_BODY_WIDTH
        return (body_box, "body") if wide and body_box != _FULL else (_FULL, "full")
    x0, y0, x1, y1 = _bounds(lungs)
    dx, dy = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
    cx0, cy0, cx1, cy1 = _core(body_box)
    box = min(x0 - dx, cx0), min(y0 - dy, cy0), max(x1 + dx, cx1), max(y1 + dy, cy1)
    return (max(0.0, box[0]), max(0.0, box[1]), min(1.0, box[2]), min(1.0, box[3])), "lung"


def _core(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    dx, dy = _CORE[0] * (box[2] - box[0]) / 2, _CORE[1] * (box[3] - box[1]) / 2
    return cx - dx, cy - dy, cx + dx, cy + dy


def _bounds(mask: Mask) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def _shrink(pixels: Pixels) -> Pixels:
    height, width = pixels.shape
    scale = _SEARCH_SIDE / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
