"""Pictures of a stored case, drawn when they are asked for: the image, its maps, its overlay."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from ladnn import overlay
from ladnn.findings import LESIONS, OUTPUTS, Prediction
from ladnn.formats import kind_of
from ladnn.imaging import LIMITS, Window
from ladnn.service.context import Services
from ladnn.service.errors import NotFound
from ladnn.service.predictions import read_maps
from ladnn.service.tables import Case, CaseImage
from ladnn.service.wording import slice_number

_MAP_SIDE = 512  # the maps are smooth: a browser stretches this without loss

_SMALL_SIDE = 128
_FRAME = (79, 195, 247, 140)  # thin, around the part of the image that the network saw


def pixels_of(site: Services, image: CaseImage, window: Window | None = None) -> NDArray[np.uint8]:
    """The image as 8-bit grey [H, W], read again from what is kept."""
    data = site.blobs.get(image.blob)
    # Of a TIFF all pages are kept; of a DICOM file or an odd TIFF the one that was tested.
    frame = image.frame if image.frame and kind_of(data, LIMITS) == "TIFF" else None
    return site.decoder.decode(data, window=window, frame=frame).image.pixels


def image_png(
    site: Services, image: CaseImage, window: Window | None = None, *, small: bool = False
) -> bytes:
    """The image as PNG, through another window where one is given; `small` for a list."""
    return as_png(pixels_of(site, image, window), small=small)


def as_png(pixels: NDArray[np.uint8], *, small: bool = False) -> bytes:
    """8-bit grey [H, W] as PNG; `small` for a list."""
    picture = Image.fromarray(pixels)
    if small:
        picture.thumbnail((_SMALL_SIDE, _SMALL_SIDE))
    return _png(picture)


def map_png(image: CaseImage, name: str) -> bytes:
    """One map as a PNG with transparency, to be laid over the whole image.

    Raises NotFound for a name that is not in `OUTPUTS`, or that this model does not judge.
    """
    heatmap = read_maps(image)[_index(image, name)]
    scale = min(1.0, _MAP_SIDE / max(image.width, image.height))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    colours, alpha, (left, top) = overlay.placed(size, heatmap, _box(image))
    whole = Image.new("RGBA", size)
    colours.putalpha(alpha)
    whole.paste(colours, (left, top))
    edge = left, top, left + colours.width - 1, top + colours.height - 1
    ImageDraw.Draw(whole).rectangle(edge, outline=_FRAME)
    return _png(whole)


def _box(image: CaseImage) -> overlay.Box:
    return image.box[0], image.box[1], image.box[2], image.box[3]


def _index(image: CaseImage, name: str) -> int:
    if name not in OUTPUTS[: image.maps_shape[0]]:
        raise NotFound
    return OUTPUTS.index(name)


def overlay_sheet(site: Services, case: Case, image: CaseImage) -> Image.Image:
    """The sheet of `ladnn.overlay`: original, maps, names and probabilities."""
    calibrated, point = case.card["calibrated"], case.card["point"]
    return overlay.draw(
        pixels_of(site, image),
        read_maps(image),
        prediction_of(image),
        box=_box(image),
        calibrated=[calibrated[lesion] for lesion in LESIONS if lesion in calibrated],
        cuts=(point["low"], point["high"]),
        study=_study(case, image),
        name=f"sha256 {image.source_sha256[:16]}",
    )


def _study(case: Case, image: CaseImage) -> str:
    """Which slice of how many, and what all of them came to; empty for an image alone."""
    if case.study is None:
        return ""
    whole = f"{case.decision.replace('_', ' ')} ({case.probability:.3f})"
    return f"slice {slice_number(case, image)} alone, one of {case.study['slices']}; study: {whole}"


def overlay_png(site: Services, case: Case, image: CaseImage) -> bytes:
    """The sheet as PNG, with its comment."""
    sheet, comments = overlay_sheet(site, case, image), PngInfo()
    comments.add_text("comment", sheet.info["comment"])
    return _png(sheet, comments)


def prediction_of(image: CaseImage) -> Prediction:
    """The Prediction that was stored."""
    return Prediction.from_json(image.prediction)


def _png(picture: Image.Image, comments: PngInfo | None = None) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG", compress_level=1, pnginfo=comments)
    return target.getvalue()
