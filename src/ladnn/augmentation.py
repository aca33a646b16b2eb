"""What training does to an image so that the network cannot read the hospital instead of the lung.

Every step takes away one thing by which a collection betrays itself: framing, aspect, window,
contrast, resolution, compression, reconstruction kernel, noise, letters and arrows.
All on 8-bit grey and seeded; nothing here knows torch.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ladnn.lungfield import LungField, map_levels

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How strongly each thing is taken away; every probability in [0, 1].

    Attributes:
        jitter: shift of each side of the lung box, as a share of the box.
        unframed: probability of seeing the whole image instead of the lung box.
        rotation: degrees either way. shear: either way. flip: probability of left-right.
        levels: shift of the two anchors, as a share of the lung-to-tissue contrast.
        gamma: log2 of the gamma's limits either way. saturate: probability of a narrower window.
        resample: probability of a lower resolution. jpeg: of compression.
        kernel: of blurring or sharpening. noise: standard deviation's limit in grey values.
        marks: probability of letters and arrows. erase: of an erased rectangle.
    """

    jitter: float = 0.08
    unframed: float = 0.05
    rotation: float = 12.0
    shear: float = 0.1
    flip: float = 0.5
    levels: float = 0.12
    gamma: float = 0.5
    saturate: float = 0.3
    resample: float = 0.3
    jpeg: float = 0.3
    kernel: float = 0.3
    noise: float = 10.0
    marks: float = 0.2
    erase: float = 0.3


def augment(
    pixels: Pixels, field: LungField, size: int, how: Augmentation, rng: Generator
) -> Pixels:
    """One random view of an image: uint8 [H, W] and its lung field -> uint8 [size, size]."""
    square = _place(pixels, _jittered(field.box, how, rng), size, how, rng)
    square = _degrade(square, how, rng)
    square = _relevel(map_levels(square, _shifted(field, how, rng)), how, rng)
    if rng.random() < how.marks:
        square = _mark(square, rng)
    if rng.random() < how.erase:
        square = _erase(square, rng)
    return square


def _jittered(
    box: tuple[float, float, float, float], how: Augmentation, rng: Generator
) -> tuple[float, float, float, float]:
    if rng.random() < how.unframed:
        return 0.0, 0.0, 1.0, 1.0
    width, height = box[2] - box[0], box[3] - box[1]
    shift = rng.uniform(-how.jitter, how.jitter, size=4)
    return (
        max(0.0, box[0] + shift[0] * width),
        max(0.0, box[1] + shift[1] * height),
        min(1.0, box[2] + shift[2] * width),
        min(1.0, box[3] + shift[3] * height),
    )


def _place(
    pixels: Pixels,
    box: tuple[float, float, float, float],
    size: int,
    how: Augmentation,
    rng: Generator,
) -> Pixels:
    """Cut, rotate, shear, flip and squash in one resampling, reduced first where it is large."""
    height, width = pixels.shape
    part = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    square = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=part)
    angle = np.deg2rad(rng.uniform(-how.rotation, how.rotation))
    shear = rng.uniform(-how.shear, how.shear)
    sign = -1.0 if rng.random() < how.flip else 1.0
    a, b = sign * np.cos(angle), np.sin(angle) + shear
    d, e = -sign * np.sin(angle), np.cos(angle)
    middle = size / 2
    matrix = (a, b, middle - a * middle - b * middle, d, e, middle - d * middle - e * middle)
    return np.asarray(
        square.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    )


def _degrade(square: Pixels, how: Augmentation, rng: Generator) -> Pixels:
    image = Image.fromarray(square)
    size = image.size
    if rng.random() < how.resample:
        side = int(size[0] * rng.uniform(0.3, 0.9))
        image = image.resize((side, side), Image.Resampling.BILINEAR)
        image = image.resize(size, Image.Resampling.BICUBIC)
    if rng.random() < how.kernel:
        blur = rng.random() < 0.5
        radius = rng.uniform(0.4, 1.6)
        image = image.filter(
            ImageFilter.GaussianBlur(radius)
            if blur
            else ImageFilter.UnsharpMask(radius, int(rng.uniform(40, 200)), 0)
        )
    if rng.random() < how.jpeg:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.uniform(15, 85)))
        image = Image.open(buffer)
    return np.asarray(image)


def _shifted(field: LungField, how: Augmentation, rng: Generator) -> LungField:
    contrast = field.tissue_grey - field.lung_grey
    low, high = rng.uniform(-how.levels, how.levels, size=2) * contrast
    return replace(field, lung_grey=field.lung_grey + low, tissue_grey=field.tissue_grey + high)


def _relevel(square: Pixels, how: Augmentation, rng: Generator) -> Pixels:
    grey = square.astype(np.float32) / 255
    grey = grey ** np.float32(2 ** rng.uniform(-how.gamma, how.gamma))
    if rng.random() < how.saturate:
        low, high = rng.uniform(0.0, 0.12), rng.uniform(0.6, 1.0)
        grey = np.clip(grey, low, high)
    noise = rng.uniform(0, how.noise) / 255
    grey += noise * rng.standard_normal(grey.shape, dtype=np.float32)
    return (np.clip(grey, 0, 1) * 255).round().astype(np.uint8)


def _mark(square: Pixels, rng: Generator) -> Pixels:
    image = Image.fromarray(square)
    draw = ImageDraw.Draw(image)
    size = image.size[0]
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, size, size=2)
        ink = int(rng.choice([0, 255, int(rng.uniform(0, 255))]))
        span = rng.uniform(0.03, 0.12) * size
        if rng.random() < 0.5:
            letters = "".join(rng.choice(list("ABCDEFRL0123456789-/")) for _ in range(3))
            draw.text((x, y), letters[: int(rng.integers(1, 4))], fill=ink, font_size=max(span, 6))
        else:
            tip = np.array([x, y]) + rng.uniform(-2, 2, size=2) * span
            draw.line(
                [(x, y), (float(tip[0]), float(tip[1]))], fill=ink, width=int(rng.integers(1, 4))
            )
            draw.regular_polygon(
                (x, y, max(span / 3, 2)), 3, rotation=int(rng.uniform(0, 360)), fill=ink
            )
    return np.asarray(image)


def _erase(square: Pixels, rng: Generator) -> Pixels:
    size = square.shape[0]
    height, width = (rng.uniform(0.08, 0.35, size=2) * size).astype(int)
    top, left = int(rng.uniform(0, size - height)), int(rng.uniform(0, size - width))
    out = square.copy()
    out[top : top + height, left : left + width] = int(rng.uniform(0, 255))
    return out
