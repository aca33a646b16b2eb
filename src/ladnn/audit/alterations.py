"""What exporters, journals and viewers do to an image that says nothing about the patient."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from ladnn.audit.lungs import Pixels


@dataclass(frozen=True, kw_only=True)
class Alteration:
    """One change of a decoded image, uint8 [H, W] -> uint8 [H', W'].

    Attributes:
        kind: what sort of change, such as "window".
        change: takes the pixels and a generator for what is placed at random.
    """

    kind: str
    change: Callable[[Pixels, Generator], Pixels]


def arrows(pixels: Pixels, rng: Generator) -> Pixels:
    """Three arrows, white with a black edge, as authors point at lesions with."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    length = 0.09 * max(pixels.shape)
    for _ in range(3):
        tip = rng.uniform(0.2, 0.8, 2) * (image.width, image.height)
        along = np.array(_direction(rng.uniform(0, 2 * np.pi)))
        for width, ink in ((0.16, 0), (0.09, 255)):
            _arrow(draw, tip, along, length, width=width * length, ink=ink)
    return np.asarray(image)


def _direction(angle: float) -> tuple[float, float]:
    return float(np.cos(angle)), float(np.sin(angle))


def _arrow(
    draw: ImageDraw.ImageDraw,
    tip: np.ndarray[tuple[int], np.dtype[np.float64]],
    along: np.ndarray[tuple[int], np.dtype[np.float64]],
    length: float,
    *,
    width: float,
    ink: int,
) -> None:
    across = np.array([-along[1], along[0]])
    neck = tip - along * 0.4 * length
    tail = tip - along * length
    head = (tip + along * width, neck + across * 3 * width, neck - across * 3 * width)
    draw.line([tuple(neck), tuple(tail)], fill=ink, width=max(1, round(width)))
    draw.polygon([tuple(corner) for corner in head], fill=ink)


def text(pixels: Pixels, rng: Generator) -> Pixels:
    """A panel's letter, a side mark and a line of scan settings, as viewers and journals write."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    size = max(8, round(0.06 * max(pixels.shape)))
    letter = str(rng.choice(list("ABCDEF")))
    draw.text((0.03 * image.width, 0.02 * image.height), letter, fill=255, font_size=2 * size)
    draw.text((0.93 * image.width, 0.5 * image.height), "L", fill=255, font_size=size)
    settings = "2020-02-14  W:1500 L:-600  THK 5.0"
    draw.text((0.03 * image.width, 0.92 * image.height), settings, fill=255, font_size=size)
    return np.asarray(image)


def jpeg(quality: int) -> Callable[[Pixels, Generator], Pixels]:
    """Saved as JPEG of that quality, from 1 to 95."""

    def change(pixels: Pixels, _: Generator) -> Pixels:
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=quality)
        return np.asarray(Image.open(data))

    return change


def window(low: float, high: float) -> Callable[[Pixels, Generator], Pixels]:
    """The grey from `low` to `high` stretched to 0 to 255 and cut there; beyond, compressed."""

    def change(pixels: Pixels, _: Generator) -> Pixels:
        grey = (pixels.astype(np.float32) - low) * 255 / (high - low)
        return np.asarray(np.clip(grey, 0, 255).round(), dtype=np.uint8)

    return change


def gamma(power: float) -> Callable[[Pixels, Generator], Pixels]:
    """Grey in [0, 1] to a power: below 1 brighter in the dark, above 1 darker."""

    def change(pixels: Pixels, _: Generator) -> Pixels:
        grey = 255 * (pixels.astype(np.float32) / 255) ** power
        return np.asarray(grey.round(), dtype=np.uint8)

    return change


def stretch(width: float) -> Callable[[Pixels, Generator], Pixels]:
    """The width by a factor, the height as it is."""

    def change(pixels: Pixels, _: Generator) -> Pixels:
        height, across = pixels.shape
        size = max(1, round(across * width)), height
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))

    return change


def crop(share: float) -> Callable[[Pixels, Generator], Pixels]:
    """A share of height and width cut off on each side."""

    def change(pixels: Pixels, _: Generator) -> Pixels:
        down, right = (int(share * side) for side in pixels.shape)
        return np.ascontiguousarray(
            pixels[down : pixels.shape[0] - down, right : pixels.shape[1] - right]
        )

    return change


ALTERATIONS: dict[str, Alteration] = {
    "three arrows": Alteration(kind="arrows", change=arrows),
    "letters and a line of text": Alteration(kind="text", change=text),
    "JPEG, quality 50": Alteration(kind="JPEG quality", change=jpeg(50)),
    "JPEG, quality 10": Alteration(kind="JPEG quality", change=jpeg(10)),
    "window a quarter narrower": Alteration(kind="window", change=window(32, 223)),
    "window a third wider": Alteration(kind="window", change=window(-42, 298)),
    "window moved up by 30 of 255": Alteration(kind="window", change=window(30, 285)),
    "contrast: gamma 0.7": Alteration(kind="contrast", change=gamma(0.7)),
    "contrast: gamma 1.4": Alteration(kind="contrast", change=gamma(1.4)),
    "a fifth narrower": Alteration(kind="aspect ratio", change=stretch(0.8)),
    "a quarter wider": Alteration(kind="aspect ratio", change=stretch(1.25)),
    "5% cut off each side": Alteration(kind="crop", change=crop(0.05)),
    "10% cut off each side": Alteration(kind="crop", change=crop(0.10)),
}
"""By the name that the report's table uses."""
