"""Overlays: one sheet per image with the original, where the model looked, and what it says."""

import hashlib
import io
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ladnn.errors import ImageError
from ladnn.findings import (
    LESION_NAMES,
    LESIONS,
    RESEARCH_NOTICE,
    Decision,
    Lesion,
    Prediction,
    decimals,
)
from ladnn.greyscale import DRAWN
from ladnn.paths import put

Box = tuple[float, float, float, float]
Point = tuple[int, int]
Ink = tuple[int, int, int]
Area = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the sheet

TOO_FEW = "too few examples"
_WIDTH, _MARGIN, _HEADER, _CAPTION, _FOOTER = 1260, 16, 66, 26, 62
_LARGE, _SMALL = (430, 400), (233, 190)  # widths and heights that a panel's picture fits into
_BACKGROUND, _INK, _QUIET, _LINE = (17, 19, 24), (238, 240, 244), (160, 167, 178), (60, 66, 77)
_DECISIONS = {
    Decision.POSITIVE: ("COVID-19 POSITIVE", (255, 138, 101)),
    Decision.NEGATIVE: ("COVID-19 NEGATIVE", (129, 199, 132)),
    Decision.INDETERMINATE: ("INDETERMINATE", (255, 213, 79)),
    Decision.NOT_ASSESSABLE: ("NOT ASSESSABLE", (255, 213, 79)),
}
# Plasma at five points: perceptually even, and never grey, so it cannot be taken for anatomy.
_ANCHORS = ((13, 8, 135), (126, 3, 168), (204, 71, 120), (248, 149, 64), (240, 249, 33))
_NAME = 160  # bytes of an image's name in that of its overlay: a file's may have 255 in all
_UNSEEN = (128, 128, 128)
_OPACITY = 0.62  # the most that a map hides of the picture under it


@lru_cache(maxsize=1)
def _tables() -> tuple[list[int], list[int]]:
    """The palette (768 numbers) and the opacity (256) of a map value from 0 to 255."""
    at = np.linspace(0, len(_ANCHORS) - 1, 256)
    channels = [np.interp(at, range(len(_ANCHORS)), [a[c] for a in _ANCHORS]) for c in range(3)]
    palette = np.stack(channels, axis=1).round().astype(int).ravel().tolist()
    # Opacity grows with the value, so where the model did not look the image stays untouched.
    opacity = (np.clip(np.linspace(0, 1, 256) / 0.5, 0, 1) * _OPACITY * 255).round()
    return palette, opacity.astype(int).tolist()


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _mask(text: str, size: int) -> Image.Image:
    """The text as a mask (L)."""
    _, _, width, height = _font(size).getbbox(text)
    mask = Image.new("L", (max(1, int(np.ceil(width))), max(1, int(np.ceil(height)))))
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=_font(size))
    return mask


# Most of a sheet's text is that of every sheet, and probabilities of three digits soon recur.
_written = lru_cache(maxsize=4096)(_mask)


def warm() -> None:
    """Load fonts and image formats ahead of the first sheet."""
    for size in (13, 14, 15, 16, 20, 28):
        _font(size)
    Image.preinit()


def colour(values: NDArray[np.uint8]) -> tuple[Image.Image, Image.Image]:
    """A map [h, w] of 0 to 255 as its colours (RGB) and their opacity (L)."""
    palette, opacity = _tables()
    indexed = Image.fromarray(values).convert("L")
    alpha = indexed.point(opacity)
    indexed.putpalette(palette)
    return indexed.convert("RGB"), alpha


def ramp(height: int) -> Image.Image:
    """The colour bar, RGB, 256 pixels wide from 0 to 1, as it looks over lung and soft tissue."""
    colours, alpha = colour(np.tile(np.arange(256, dtype=np.uint8), (height, 1)))
    strip = Image.new("RGB", colours.size, (96, 96, 96))
    strip.paste(colours, (0, 0), alpha)
    return strip


def blend(picture: Image.Image, heatmap: NDArray[np.float32], box: Box) -> Image.Image:
    """Lay a map over a picture.

    Args:
        picture: RGB, the whole image at any size.
        heatmap: [h, w] in [0, 1], in the frame of `box`.
        box: x0, y0, x1, y1 as fractions of the image: the part that the network saw.
    """
    colours, alpha, corner = placed(picture.size, heatmap, box)
    result = picture.copy()
    result.paste(colours, corner, alpha)
    return result


def alone(size: tuple[int, int], heatmap: NDArray[np.float32], box: Box) -> Image.Image:
    """A map without the picture, RGB of this size; grey where the network saw nothing.

    Arguments as of `blend`.
    """
    colours, _, corner = placed(size, heatmap, box)
    result = Image.new("RGB", size, _UNSEEN)
    result.paste(colours, corner)
    return result


def placed(
    size: tuple[int, int], heatmap: NDArray[np.float32], box: Box
) -> tuple[Image.Image, Image.Image, tuple[int, int]]:
    """The colours of a map and their opacity at their size in a picture, and where they go.

    Arguments as of `blend`; the place has at least one pixel.
    """
    width, height = size
    x0, y0 = round(box[0] * width), round(box[1] * height)
    x1, y1 = max(round(box[2] * width), x0 + 1), max(round(box[3] * height), y0 + 1)
    small = Image.fromarray((np.clip(heatmap, 0, 1) * 255).round().astype(np.uint8))
    large = small.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC)
    return *colour(np.asarray(large)), (x0, y0)


def _fit(picture: Image.Image, limit: tuple[int, int]) -> Image.Image:
    """The picture at the largest size within `limit` that keeps its aspect ratio."""
    scale = min(limit[0] / picture.width, limit[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


class _Sheet:
    """A canvas with the few marks that a sheet is made of."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (_WIDTH, height), _BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)

    def text(self, at: Point, text: str, size: int = 16, ink: Ink = _INK) -> None:
        self._ink(at, _written(text, size), ink)

    def right(self, at: Point, text: str, size: int = 16) -> None:
        """Write so that the text ends at `at`."""
        mask = _written(text, size)
        self._ink((at[0] - mask.width, at[1]), mask, _INK)

    def name(self, at: Point, text: str, width: int, size: int, *, right: bool = False) -> None:
        """Write what no other sheet says, at most `width` wide; it begins or ends at `at`."""
        mask = _mask(shorten(text, width, size), size)
        self._ink((at[0] - (mask.width if right else 0), at[1]), mask, _QUIET)

    def _ink(self, at: Point, mask: Image.Image, ink: Ink) -> None:
        self.image.paste(ink, (*at, at[0] + mask.width, at[1] + mask.height), mask)

    def panel(self, at: tuple[int, int], limit: tuple[int, int], picture: Image.Image) -> Area:
        """Paste the picture at the top of its place, in its middle; return where it lies."""
        x, y = at[0] + (limit[0] - picture.width) // 2, at[1]
        self.image.paste(picture, (x, y))
        return x, y, x + picture.width, y + picture.height


def shorten(text: str, width: float, size: int) -> str:
    """The text in characters that the font has, cut in its middle to `width` pixels."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in text)
    font = _font(size)
    if font.getlength(shown) <= width:
        return shown
    keep = len(shown)
    while keep > 8 and font.getlength(shown[: keep // 2] + "..." + shown[-(keep // 2) :]) > width:
        keep -= 2
    return shown[: keep // 2] + "..." + shown[-(keep // 2) :]


def draw(
    pixels: NDArray[np.uint8],
    maps: NDArray[np.float32],
    prediction: Prediction,
    *,
    box: Box,
    calibrated: Sequence[bool] = (),
    cuts: tuple[float, float] | None = None,
    study: str = "",
    name: str = "",
) -> Image.Image:
    """Draw the sheet of one image.

    Args:
        pixels: uint8 [H, W], the decoded image.
        maps: float32 [6 or 1, h, w] in [0, 1], scaled by probability, in the frame of `box`.
        prediction: what was said of it.
        box: the part that the network saw, as fractions of the image.
        calibrated: for each lesion, whether its probability is; empty for a baseline.
        cuts: `low` and `high` of the operating point, of the study's where there is one.
        study: of which study the image is one slice, and what that came to; empty for none.
        name: shown in the header, behind `study`.

    Returns:
        RGB, 1260 pixels wide.
    """
    lesions = prediction.lesions is not None
    grey = _fit(Image.fromarray(pixels), _LARGE)
    large, small = grey.convert("RGB"), _fit(grey, _SMALL).convert("RGB")
    row = small.height + 2 * _CAPTION + _MARGIN if lesions else 0
    sheet = _Sheet(_HEADER + _CAPTION + _LARGE[1] + _MARGIN + row + _FOOTER)
    _header(sheet, prediction, f"{study}   {name}".strip())
    _large_panels(sheet, large, maps[0], box)
    digits = 3 if study else decimals(prediction.probability, cuts or (), 3)
    _summary(sheet, prediction, calibrated, _decided(cuts, study, digits), digits)
    if lesions:
        _lesion_panels(sheet, small, maps, _rows(prediction, calibrated), box)
    _footer(sheet, prediction)
    sheet.image.info["comment"] = DRAWN  # goes into a JPEG that is saved from it
    return sheet.image


def _header(sheet: _Sheet, prediction: Prediction, name: str) -> None:
    title, ink = _DECISIONS[prediction.decision]
    sheet.text((_MARGIN, 14), title, 28, ink)
    start = _MARGIN + int(_font(28).getlength(title)) + 28
    sheet.name((start, 24), name, _WIDTH - _MARGIN - start, 16)
    sheet.draw.line((0, _HEADER - 10, _WIDTH, _HEADER - 10), fill=_LINE)


def _large_panels(
    sheet: _Sheet, picture: Image.Image, heatmap: NDArray[np.float32], box: Box
) -> None:
    top = _HEADER + _CAPTION
    left, middle = _MARGIN, 2 * _MARGIN + _LARGE[0]
    sheet.text((left, _HEADER), "Image, and the part of it that the model saw", 16, _QUIET)
    sheet.text((middle, _HEADER), "Grad-CAM++ map for COVID-19", 16, _QUIET)
    x0, y0, x1, y1 = sheet.panel((left, top), _LARGE, picture)
    width, height = x1 - x0 - 1, y1 - y0 - 1
    corners = (x0 + box[0] * width, y0 + box[1] * height, x0 + box[2] * width, y0 + box[3] * height)
    sheet.draw.rectangle(corners, outline=(79, 195, 247))
    sheet.panel((middle, top), _LARGE, blend(picture, heatmap, box))


def _decided(cuts: tuple[float, float] | None, study: str, digits: int) -> list[str]:
    """The line that says from where on a probability is called what."""
    if cuts is None:
        return []
    low, high = (f"{cut:.{digits}f}" for cut in cuts)
    below = f"negative below {low}" if cuts[0] < cuts[1] else "else negative"
    return [f"{'Study positive' if study else 'Positive'} from {high}, {below}"]


def _summary(
    sheet: _Sheet,
    prediction: Prediction,
    calibrated: Sequence[bool],
    decided: Sequence[str],
    digits: int,
) -> None:
    x, y = 3 * _MARGIN + 2 * _LARGE[0], _HEADER + _CAPTION
    edge = _WIDTH - _MARGIN
    sheet.text((x, y), "COVID-19", 20)
    sheet.right((edge, y), f"{prediction.probability:.{digits}f}", 20)
    _bar(sheet, (x, y + 28, edge, y + 38), prediction.probability)
    y += 54
    for lesion, value, known in _rows(prediction, calibrated):
        sheet.text((x, y), LESION_NAMES[lesion], 16)
        sheet.right((edge, y), f"{value:.3f}")
        _bar(sheet, (x, y + 22, edge, y + 27), value)
        if not known:
            sheet.text((x, y + 29), f"not calibrated: {TOO_FEW}", 13, _QUIET)
        y += 50
    _remarks(sheet, prediction, decided, x, y + 6)


def _rows(prediction: Prediction, calibrated: Sequence[bool]) -> list[tuple[Lesion, float, bool]]:
    values = prediction.lesions or ()
    known = calibrated or (True,) * len(values)
    return list(zip(LESIONS[: len(values)], values, known, strict=True))


def _remarks(sheet: _Sheet, prediction: Prediction, decided: Sequence[str], x: int, y: int) -> None:
    lines = [
        f"Operating point: {prediction.operating_point}",
        *decided,
        f"Likeness to an axial chest CT: {prediction.score:.3f} of 1",
    ]
    if prediction.lesions is None:
        lines.append("Lesions: not judged by this model")
    if not prediction.assessable:
        lines += [
            "This does not look like an axial chest CT",
            "in a lung window: do not use the numbers.",
        ]
    for line in lines:
        sheet.text((x, y), line, 14, _QUIET if prediction.assessable else _INK)
        y += 19


def _bar(sheet: _Sheet, area: Area, value: float) -> None:
    sheet.draw.rectangle(area, fill=_LINE)
    filled = area[0] + round((area[2] - area[0]) * value)
    if filled > area[0]:
        sheet.draw.rectangle((area[0], area[1], filled, area[3]), fill=(120, 144, 196))


def _lesion_panels(
    sheet: _Sheet,
    picture: Image.Image,
    maps: NDArray[np.float32],
    rows: list[tuple[Lesion, float, bool]],
    box: Box,
) -> None:
    top = _HEADER + _CAPTION + _LARGE[1] + _MARGIN
    for index, (lesion, value, known) in enumerate(rows):
        x = _MARGIN + index * (_SMALL[0] + _MARGIN)
        sheet.text((x, top), LESION_NAMES[lesion], 15)
        remark = f"{value:.3f}" if known else f"{value:.3f}, {TOO_FEW}"
        sheet.text((x, top + 19), remark, 14, _QUIET)
        place = (x, top + 2 * _CAPTION - 8)
        sheet.panel(place, _SMALL, blend(picture, maps[index + 1], box))


def _footer(sheet: _Sheet, prediction: Prediction) -> None:
    y = sheet.image.height - _FOOTER
    sheet.draw.line((0, y + 6, _WIDTH, y + 6), fill=_LINE)
    sheet.image.paste(ramp(14), (_MARGIN, y + 16))
    sheet.text((_MARGIN, y + 34), "0", 14, _QUIET)
    sheet.text((_MARGIN + 58, y + 34), "map x probability", 14, _QUIET)
    sheet.text((_MARGIN + 248, y + 34), "1", 14, _QUIET)
    model = f"{prediction.model_name} {prediction.model_version}   sha256 {prediction.sha256[:12]}"
    edge = _WIDTH - _MARGIN
    sheet.right((edge, y + 14), RESEARCH_NOTICE)
    sheet.name((edge, y + 37), model, 700, 13, right=True)


def file_name(path: Path | str, frame: int | None = None) -> str:
    """A file name for the overlay of `path`: plain characters, and one for each path and frame.

    The readable part keeps letters and digits of any writing, dots, dashes and underscores of the
    last component, so that no name can leave the folder and a Chinese one is still told by it;
    eight digits of the whole path's hash tell equal names apart.
    """
    whole = os.fsencode(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow links
    digest = hashlib.sha256(whole + f"#{frame}".encode()).hexdigest()[:8]
    plain = re.sub(r"[^\w.-]+", "_", Path(path).name).strip("._-")
    stem = plain.encode()[:_NAME].decode(errors="ignore")
    return f"{stem or 'image'}-{digest}.jpg"


def is_file_name(name: str) -> bool:
    """Whether a file may be an overlay by its name, as `file_name` gives it."""
    return re.fullmatch(r".+-[0-9a-f]{8}\.jpg", name) is not None


def save(sheet: Image.Image, path: Path) -> None:
    """Write the sheet as JPEG, whole or not at all; raise ImageError when that cannot be done.

    JPEG without chroma subsampling keeps text sharp and is written fourteen times faster than PNG.
    """
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=92, subsampling=0)
    try:
        put(path, buffer.getvalue())
    except OSError as error:
        raise ImageError(
            f"the overlay {path} cannot be written ({error.strerror}): "
            "give a folder with room that you may write to"
        ) from error
