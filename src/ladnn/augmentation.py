"""What training does to an image so that the network cannot read the hospital instead of the lung.

Every step takes away one thing by which a collection betrays itself: framing, aspect, window,
contrast, resolution, compression, reconstruction kernel, noise, letters and arrows.
All on 8-bit grey and seeded; nothing here knows torch.

One step adds instead: an opacity is painted into the lungs of a negative image, which is then a
positive one. In one collection the negatives are ill too, so nothing there teaches what an opacity
looks like against a healthy lung; painted into every collection's own style, it is the one cue
that cannot tell the collection.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ladnn.findings import Lesion
from ladnn.lungfield import TISSUE_LEVEL, LungField, find_lungs, map_levels, otsu

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How strongly each thing is taken away; every probability in [0, 1].

    Attributes:
        jitter: shift of each side of the lung box, as a share of the box.
        unframed: probability of seeing the whole image instead of the lung box.
        zoom: scale about the middle, from 1 - zoom to 1 + zoom, where jitter cannot go beyond the
            image; black is around a smaller one. Below 1; 0 draws no random number.
        rotation: degrees either way. shear: either way. flip: probability of left-right.
        levels: shift of the two anchors, as a share of the lung-to-tissue contrast.
        gamma: log2 of the gamma's limits either way. saturate: probability of a narrower window.
        resample: probability of a lower resolution. jpeg: of compression.
        kernel: of blurring or sharpening. noise: standard deviation's limit in grey values.
        marks: probability of letters and arrows. erase: of an erased rectangle.
        paint: probability of a painted opacity in a negative image, which makes it positive.
        nodule: probability of a painted round nodule, which changes no label.
    """

    jitter: float = 0.08
    unframed: float = 0.05
    zoom: float = 0.0
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
    paint: float = 0.25
    nodule: float = 0.1


def augment(
    pixels: Pixels,
    field: LungField,
    size: int,
    how: Augmentation,
    rng: Generator,
    *,
    healthy: bool = False,
) -> tuple[Pixels, Lesion | None]:
    """One random view of an image.

    Args:
        pixels: uint8 [H, W], 8-bit grey, the first plane of the frame.
        field: where they are.
        size: side of the view in pixels.
        how: how strongly.
        rng: decides everything random.
        healthy: whether an opacity may be painted in.

    Returns:
        uint8 [size, size] and the lesion that was painted into it, if any.
    """
    square = _place(pixels, _jittered(field.box, how, rng), size, how, rng)
    square = map_levels(square, _shifted(field, how, rng))
    if rng.random() < how.nodule:
        square = _paint_nodule(square, rng)
    painted = None
    if healthy and rng.random() < how.paint:
        square, painted = _paint_opacities(square, rng)
    square = _relevel(_degrade(square, how, rng), how, rng)
    if rng.random() < how.marks:
        square = _mark(square, rng)
    if rng.random() < how.erase:
        square = _erase(square, rng)
    return square, painted


def _paint_opacities(square: Pixels, rng: Generator) -> tuple[Pixels, Lesion | None]:
    """Ground glass, or consolidation, in one to five patches that prefer the periphery."""
    lungs = find_lungs(square, otsu(square))
    if lungs.mean() < 0.05:
        return square, None
    solid = rng.random() < 0.25
    density = rng.uniform(0.7, 1.0) if solid else rng.uniform(0.25, 0.65)
    cover = np.zeros(square.shape, dtype=np.float32)
    depth = np.asarray(Image.fromarray(lungs).convert("L").filter(ImageFilter.BoxBlur(12)))
    for _ in range(int(rng.integers(1, 6))):
        np.maximum(cover, _patch(square.shape[0], _site(lungs, depth, rng), rng), out=cover)
    grain = _noise(square.shape[0], int(rng.integers(20, 60)), rng)
    cover *= np.clip(density * (0.85 + 0.5 * grain), 0, 1) * lungs
    grey = square + cover * (TISSUE_LEVEL - square)
    return grey.round().astype(np.uint8), Lesion.CSLD if solid else Lesion.GGO


def _site(lungs: NDArray[np.bool_], depth: Pixels, rng: Generator) -> tuple[int, int]:
    """A pixel of the lungs, the shallowest of a few, so that most lie under the pleura."""
    rows, columns = np.nonzero(lungs)
    few = rng.integers(0, len(rows), size=int(rng.integers(1, 5)))
    best = few[depth[rows[few], columns[few]].argmin()]
    return int(rows[best]), int(columns[best])


def _patch(size: int, site: tuple[int, int], rng: Generator) -> NDArray[np.float32]:
    """A ragged, soft-edged blob, float32 [size, size] in [0, 1]."""
    rows, columns = np.ogrid[:size, :size]
    height, width = rng.uniform(0.05, 0.2, size=2) * size
    distance = ((rows - site[0]) / height) ** 2 + ((columns - site[1]) / width) ** 2
    ragged = distance + 1.2 * _noise(size, int(rng.integers(6, 16)), rng)
    cover = np.clip((1 - ragged) / rng.uniform(0.15, 0.8), 0, 1)
    return np.asarray(cover, dtype=np.float32)


def _noise(size: int, cells: int, rng: Generator) -> NDArray[np.float32]:
    """Smooth noise, float32 [size, size], about -0.5 to 0.5."""
    coarse = Image.fromarray(rng.uniform(-0.5, 0.5, size=(cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _paint_nodule(square: Pixels, rng: Generator) -> Pixels:
    """One or two small, round, solid nodules: something painted that is no sign of COVID-19."""
    lungs = find_lungs(square, otsu(square))
    if lungs.mean() < 0.05:
        return square
    size = square.shape[0]
    rows, columns = np.ogrid[:size, :size]
    grey = square.astype(np.float32)
    for _ in range(int(rng.integers(1, 3))):
        y, x = _site(lungs, square, rng)
        radius = rng.uniform(0.015, 0.05) * size
        edge = radius - np.sqrt((rows - y) ** 2.0 + (columns - x) ** 2.0)
        cover = np.clip(edge / rng.uniform(1, 3), 0, 1) * rng.uniform(0.8, 1.0)
        grey += cover * (TISSUE_LEVEL - grey)
    return np.clip(grey, 0, 255).round().astype(np.uint8)


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
    """Cut, zoom, rotate, shear, flip and squash in one resampling, reduced first where large."""
    height, width = pixels.shape
    part = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    square = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=part)
    angle = np.deg2rad(rng.uniform(-how.rotation, how.rotation))
    shear = rng.uniform(-how.shear, how.shear)
    sign = -1.0 if rng.random() < how.flip else 1.0
    scale = rng.uniform(1 - how.zoom, 1 + how.zoom) if how.zoom else 1.0
    a, b = sign * np.cos(angle) / scale, (np.sin(angle) + shear) / scale
    d, e = -sign * np.sin(angle) / scale, np.cos(angle) / scale
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
