"""What the drawings share: smooth noise, soft shapes on a wobbling grid, and a scan's finish."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grey = NDArray[np.uint8]
Plane = NDArray[np.float32]
Rng = np.random.Generator
Size = tuple[int, int]
Pair = Sequence[float] | NDArray[np.float64]


def fractal(rng: Rng, size: Size, slope: float) -> Plane:
    """Noise with amplitude 1/f**slope, mean 0 and deviation 1; 0 is white, 1 a cloud, 2 a blur."""
    rows = np.fft.fftfreq(size[0])[:, None]
    columns = np.fft.rfftfreq(size[1])[None, :]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(size))
    spectrum = np.fft.rfft2(rng.standard_normal(size)) / frequency**slope
    spectrum[0, 0] = 0
    plane = np.fft.irfft2(spectrum, s=size)
    return np.asarray(plane / (plane.std() + 1e-9), dtype=np.float32)


def to_grey(
    plane: NDArray[np.floating], low: float | None = None, high: float | None = None
) -> Grey:
    """The plane with [low, high] (its own range by default) stretched to [0, 255]."""
    low = float(plane.min()) if low is None else low
    high = float(plane.max()) if high is None else high
    scaled = (plane - low) * (255 / max(high - low, 1e-6))
    grey: Grey = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey


class Scene:
    """A float plane with coordinates in [-1, 1] along its longer side.

    The coordinates are wobbled, so that an ellipse becomes an organ.
    """

    def __init__(self, rng: Rng, size: Size, *, wobble: float = 0.05, ground: float = 0.0) -> None:
        self.rng = rng
        self.size = size
        half = max(size) / 2
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        self.x = (x - size[1] / 2) / half + wobble * 0.5 * fractal(rng, size, 2.2)
        self.y = (y - size[0] / 2) / half + wobble * 0.5 * fractal(rng, size, 2.2)
        self.plane = np.full(size, ground, dtype=np.float32)

    def distance(
        self,
        centre: Pair,
        radii: Pair,
        angle: float = 0.0,
        power: float = 2.0,
    ) -> Plane:
        """0 at the centre, 1 on the (super-)ellipse; centre and radii are (x, y), angle in rad."""
        x, y = self.x - centre[0], self.y - centre[1]
        across = np.abs(x * np.cos(angle) + y * np.sin(angle)) / max(radii[0], 1e-3)
        along = np.abs(y * np.cos(angle) - x * np.sin(angle)) / max(radii[1], 1e-3)
        return np.asarray((across**power + along**power) ** (1 / power), dtype=np.float32)

    def ellipse(
        self,
        centre: Pair,
        radii: Pair,
        value: float,
        *,
        angle: float = 0.0,
        inner: float = 0.0,
    ) -> NDArray[np.bool_]:
        """Paint an ellipse, or a ring whose inside is left when `inner` (in radii) is given."""
        distance = self.distance(centre, radii, angle)
        inside = (distance < 1) & (distance >= inner)
        self.plane[inside] = value
        return inside

    def chord(self, centre: Pair, radii: Pair, angle: float = 0.0) -> Plane:
        """Relative thickness in [0, 1] of an ellipsoid seen through by X-rays."""
        distance = self.distance(centre, radii, angle)
        return np.sqrt(np.clip(1 - distance**2, 0, None))


def jitter(rng: Rng, value: float, share: float = 0.15) -> float:
    """The value scaled by a random factor of deviation `share`."""
    return float(value * (1 + share * rng.standard_normal()))


def scan(rng: Rng, plane: Plane, level: float, width: float) -> Grey:
    """A plane in HU (or any unit) windowed, with a scanner's blur and noise."""
    soft = ndimage.gaussian_filter(plane, rng.uniform(0.3, 1.2))
    grain = ndimage.gaussian_filter(rng.standard_normal(plane.shape), rng.uniform(0, 1.2))
    soft = soft + grain.astype(np.float32) * width * rng.uniform(0, 0.06)
    return to_grey(soft, level - width / 2, level + width / 2)


def vary(rng: Rng, picture: Grey) -> Grey:
    """The picture as it may reach us: other contrast, turned over, framed, blurred."""
    plane: NDArray[Any] = picture.astype(np.float32)
    if rng.random() < 0.2:  # a closer cut
        height, width = plane.shape
        top, left = (rng.uniform(0, 0.2, 2) * (height, width)).astype(int)
        plane = plane[top : height - top // 2, left : width - left // 2]
    if rng.random() < 0.4:
        plane = 255 * (plane / 255) ** rng.uniform(0.5, 2.0)
    if rng.random() < 0.3:
        plane = rng.uniform(0, 80) + plane * rng.uniform(0.3, 0.9)
    if rng.random() < 0.2:
        plane = ndimage.gaussian_filter(plane, rng.uniform(0.5, 2.0))
    if rng.random() < 0.15:
        edge = int(rng.integers(2, max(3, min(plane.shape) // 8)))
        plane = np.pad(plane, edge, constant_values=rng.choice([0.0, 255.0]))
    return to_grey(plane, 0, 255)
