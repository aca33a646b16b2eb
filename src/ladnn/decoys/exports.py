"""The same chest CT as another hospital, journal or telephone may send it; the guard must pass it.

Fitted on these looks beside the images as they are, the guard learns anatomy and not the export.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ladnn.decoys.canvas import Grey, Plane, Rng, fractal, to_grey


def restyle(pixels: Grey, seed: int) -> Grey:
    """One foreign look of a chest CT in a lung window, uint8 [H, W] -> uint8 [H', W']."""
    rng = np.random.default_rng(seed)
    plane = pixels.astype(np.float32)
    if rng.random() < 0.35:
        plane = _crop(rng, plane)
    look = (_full_range, _other_window, _gamma, _photograph, _low_resolution)
    plane = look[int(rng.choice(5, p=[0.3, 0.25, 0.15, 0.15, 0.15]))](rng, plane)
    if rng.random() < 0.3:
        plane = _tilt(rng, plane)
    if rng.random() < 0.35:
        plane = _frame(rng, plane)
    if rng.random() < 0.3:
        plane = _letters(rng, plane)
    return to_grey(plane, 0, 255)


def _crop(rng: Rng, plane: Plane) -> Plane:
    height, width = plane.shape
    cut = rng.uniform(0, 0.1, 4)
    top, left = int(cut[0] * height), int(cut[1] * width)
    return plane[top : height - int(cut[2] * height), left : width - int(cut[3] * width)]


def _round_field(rng: Rng, plane: Plane) -> Plane:
    """Put the body with its table in a larger, round field of view."""
    height, width = plane.shape
    side = int(max(height, width) * rng.uniform(1.0, 1.6))
    air = float(np.quantile(plane, 0.02)) * rng.uniform(0.3, 1.0)
    field = np.full((side, side), air, dtype=np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    bed = top + height * rng.uniform(0.95, 1.05) - 0.0005 * (x - side / 2) ** 2
    if rng.random() < 0.6:
        field[np.abs(y - bed) < 2] = float(np.quantile(plane, 0.7))
    field[top : top + height, left : left + width] = plane
    radius = np.hypot(x - side / 2, y - side / 2)
    outside = radius > side / 2 * rng.uniform(1.0, 1.25)
    return np.where(outside, rng.choice([0.0, air]), field).astype(np.float32)


def _full_range(rng: Rng, plane: Plane) -> Plane:
    """Exported over the whole HU range: little contrast between lung, soft tissue and bone."""
    plane = _round_field(rng, plane) if rng.random() < 0.7 else plane
    low, gain = rng.uniform(0, 60), rng.uniform(0.2, 0.7)
    return np.asarray(low + gain * plane, dtype=np.float32)


def _other_window(rng: Rng, plane: Plane) -> Plane:
    """A narrower window: mediastinal (black lungs) or emphysema (white tissue)."""
    low = rng.uniform(0, 150)
    high = low + rng.uniform(70, 160)
    return np.asarray(np.clip((plane - low) * 255 / (high - low), 0, 255), dtype=np.float32)


def _gamma(rng: Rng, plane: Plane) -> Plane:
    return np.asarray(255 * (plane / 255) ** 2 ** rng.uniform(-1.2, 1.2), dtype=np.float32)


def _photograph(rng: Rng, plane: Plane) -> Plane:
    """Photographed from a screen or a film box: shade, moire, grain, a reflection."""
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
    shade = 1 + 0.15 * fractal(rng, plane.shape, 2.5)
    angle = rng.uniform(0, np.pi)
    moire = np.sin((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.3, 2.0))
    grain = rng.standard_normal(plane.shape) * rng.uniform(0, 8)
    lit = rng.uniform(0, 50) + plane * rng.uniform(0.5, 0.9) * shade + moire * rng.uniform(0, 6)
    soft = ndimage.gaussian_filter(lit + grain, rng.uniform(0, 1.2))
    return np.asarray(soft, dtype=np.float32)


def _low_resolution(rng: Rng, plane: Plane) -> Plane:
    side = int(rng.integers(64, 160))
    image = Image.fromarray(to_grey(plane, 0, 255))
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def _tilt(rng: Rng, plane: Plane) -> Plane:
    image = Image.fromarray(to_grey(plane, 0, 255))
    ground = int(np.quantile(plane, 0.02))
    turned = image.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR, fillcolor=ground)
    wide = max(32, int(turned.width * rng.uniform(0.8, 1.25)))
    return np.asarray(turned.resize((wide, turned.height)), dtype=np.float32)


def _frame(rng: Rng, plane: Plane) -> Plane:
    """A border, as figures and viewers have."""
    edge = (np.array(plane.shape).repeat(2).reshape(2, 2) * rng.uniform(0, 0.15, (2, 2))).astype(
        int
    )
    value = float(rng.choice([0.0, 255.0]))
    return np.pad(plane, [tuple(pair) for pair in edge.tolist()], constant_values=value)


def _letters(rng: Rng, plane: Plane) -> Plane:
    image = Image.fromarray(to_grey(plane, 0, 255))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 6))):
        where = rng.uniform(0, image.width * 0.9), rng.uniform(0, image.height * 0.95)
        word = str(
            rng.choice(["A", "B", "R", "L", "2020-02-14", "W:1500 L:-600", "THK 5.0", "Se 3"])
        )
        draw.text(where, word, fill=int(rng.choice([0, 255])))
    return np.asarray(image, dtype=np.float32)
