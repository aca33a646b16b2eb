"""Axial chest CT phantoms drawn by seeded code: what `make run` and the tests show the network.

No patient's image is in the project, so this file draws a slice in Hounsfield units: body, chest
wall, ribs, spine, mediastinum, two lungs with vessels, and the five lesions. A phantom has a CT's
layout and grey levels; it has no diagnostic meaning.

Lengths are fractions of the body's half width; x points to the picture's right and y downwards
(posterior). Pure NumPy.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import ConfigError
from ladnn.findings import Lesion

Plane: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

AIR, FAT, SOFT, BLOOD, LUNG = -1000.0, -100.0, 45.0, 60.0, -850.0
"""Mean Hounsfield units of the tissues drawn."""

OUTSIDE_FIELD = -2000
"""What scanners write outside their round field of view, in HU."""

_SMALLEST = 32


def hounsfield(
    seed: int = 0,
    *,
    size: tuple[int, int] = (256, 320),
    lesions: Collection[Lesion] = (),
    round_field: bool = False,
) -> NDArray[np.int16]:
    """Draw one axial slice, int16[H, W] in HU; the same arguments always give the same slice.

    `round_field` puts `OUTSIDE_FIELD` outside the inscribed circle. Raises ConfigError for a side
    under 32 pixels.
    """
    if min(size) < _SMALLEST:
        raise ConfigError(
            f"a phantom of {size[0]} x {size[1]} pixels is too small to draw: "
            f"give at least {_SMALLEST} pixels a side"
        )
    rng = np.random.default_rng(seed)
    body = _Body.random(rng, size)
    plane = _chest_wall(body, rng)
    lung = body.lungs()
    inside = _lung_tissue(body, rng)
    for lesion in Lesion:
        if lesion in lesions:
            inside = _LESIONS[lesion](inside, body, rng)
    plane = np.where(lung, inside, plane)
    plane = _mediastinum(plane, body)
    plane = _table(plane, body)
    plane = _blur(plane, 0.9) + _noise(rng, size)
    if round_field:
        plane[~body.field_of_view()] = OUTSIDE_FIELD
    return np.clip(plane, OUTSIDE_FIELD, 3071).round().astype(np.int16)


def thorax(
    seed: int = 0,
    *,
    size: tuple[int, int] = (256, 320),
    lesions: Collection[Lesion] = (),
    window: tuple[float, float] = (-600.0, 1500.0),
    round_field: bool = False,
) -> NDArray[np.uint8]:
    """Draw `hounsfield` through a window (level, width) in HU: uint8[H, W], black to white."""
    values = hounsfield(seed, size=size, lesions=lesions, round_field=round_field)
    level, width = window
    grey = (values.astype(np.float32) - (level - width / 2)) * (255.0 / width)
    return np.asarray(np.clip(grey, 0, 255).round(), np.uint8)


@dataclass(frozen=True, kw_only=True)
class _Body:
    """The geometry of one patient: coordinate planes and the few sizes that differ by seed."""

    x: Plane
    y: Plane
    depth: float  # half height of the body
    wall: float  # thickness of the chest wall
    heart: tuple[float, float, float]  # x and y of its middle, radius
    wobble: Plane  # a smooth field around 0 that keeps outlines from being ellipses

    @classmethod
    def random(cls, rng: np.random.Generator, size: tuple[int, int]) -> "_Body":
        height, width = size
        scale = min(width / 2, height / 2 / 0.78) * rng.uniform(0.86, 0.95)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        x = (columns - width / 2 - rng.uniform(-0.02, 0.02) * width) / scale
        y = (rows - height / 2 + 0.03 * height) / scale
        return cls(
            x=x,
            y=y,
            depth=rng.uniform(0.64, 0.72),
            wall=rng.uniform(0.13, 0.18),
            heart=(rng.uniform(0.06, 0.12), rng.uniform(-0.2, -0.12), rng.uniform(0.2, 0.27)),
            wobble=_smooth(rng, size, 6) * 0.02,
        )

    def box(self, x: tuple[float, float], y: tuple[float, float]) -> tuple[slice, slice]:
        """The rows and columns between two places, so that small things are drawn there alone."""
        columns, rows = np.searchsorted(self.x[0], x), np.searchsorted(self.y[:, 0], y)
        return slice(rows[0], rows[1]), slice(columns[0], columns[1])

    def inner(self, margin: float) -> Mask:
        """Fill the body outline shrunk by `margin`."""
        return self.rim(margin) < 1

    def rim(self, margin: float) -> Plane:
        """Squarish distance from the middle: 1 on the outline shrunk by `margin`."""
        x = np.abs(self.x) / (1.0 - margin)
        y = np.abs(self.y) / (self.depth - margin)
        return np.asarray((x**2.3 + y**2.3) ** (1 / 2.3) + self.wobble, np.float32)

    def disc(self, x: float, y: float, rx: float, ry: float) -> Mask:
        """Fill an ellipse with slightly uneven edges."""
        squared = ((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2
        return np.asarray(squared + 6 * self.wobble < 1)

    def lungs(self) -> Mask:
        """Fill the two lungs: the thoracic cavity without mediastinum, heart and spine."""
        hx, hy, radius = self.heart
        waist = 0.045 + 0.16 * np.exp(-(((self.y + 0.02) / 0.2) ** 2))
        strip = np.abs(self.x) < waist + self.wobble
        heart = self.disc(hx, hy, radius * 1.15, radius)
        spine = self.disc(0, self.depth - 0.27, 0.19, 0.2)
        return np.asarray(self.inner(self.wall) & ~(strip | heart | spine))

    def field_of_view(self) -> Mask:
        """Fill the inscribed circle of the picture."""
        height, width = self.x.shape
        rows, columns = np.ogrid[:height, :width]
        squared = (rows - height / 2 + 0.5) ** 2 + (columns - width / 2 + 0.5) ** 2
        return np.asarray(squared <= (min(height, width) / 2) ** 2)


def _chest_wall(body: _Body, rng: np.random.Generator) -> Plane:
    """Skin, fat, muscle, ribs, breast bone, shoulder blades and the vertebra."""
    plane = np.full(body.x.shape, AIR, np.float32)
    plane[body.inner(0.0)] = SOFT - 30
    plane[body.inner(0.012)] = FAT
    plane[body.inner(rng.uniform(0.035, 0.07))] = SOFT
    plane[body.inner(body.wall - 0.02) & ~body.inner(body.wall - 0.006)] = FAT * 0.5
    beneath = body.inner(0.03)
    for bone in _bones(body, rng):
        _draw_bone(plane, body, beneath, bone)
    spine = body.depth - 0.25
    plane[body.disc(0, spine, 0.135, 0.115)] = 420
    plane[body.disc(0, spine, 0.115, 0.097)] = 190 + 40 * rng.standard_normal()
    plane[body.disc(0, spine + 0.15, 0.06, 0.05)] = 25
    return plane


@dataclass(frozen=True, kw_only=True)
class _Bone:
    """One bone cut across: middle, half length, half thickness and angle in radians."""

    x: float
    y: float
    along: float
    across: float
    turn: float = 0.0


def _bones(body: _Body, rng: np.random.Generator) -> Iterator[_Bone]:
    """Ribs, shoulder blades and vertebral processes of both sides, then the middle ones."""
    margin, depth = body.wall - 0.045, body.depth
    for side in (-1, 1):
        for angle in np.linspace(-1.05, 1.15, 6) + rng.uniform(-0.06, 0.06, 6):
            x, y = side * np.cos(angle) * (1 - margin), np.sin(angle) * (depth - margin)
            turn = float(np.arctan2(np.cos(angle) * depth, -np.sin(angle) * side))
            yield _Bone(x=x, y=y, along=rng.uniform(0.08, 0.13), across=0.027, turn=turn)
        yield _Bone(x=side * 0.62, y=depth - 0.2, along=0.17, across=0.022, turn=side * -0.75)
        yield _Bone(x=side * 0.19, y=depth - 0.15, along=0.1, across=0.035, turn=side * 0.25)
    yield _Bone(x=0, y=0.06 - depth, along=0.11, across=0.033)
    yield _Bone(x=0, y=depth - 0.05, along=0.02, across=0.06)


def _draw_bone(plane: Plane, body: _Body, beneath: Mask, bone: _Bone) -> None:
    """Draw a bone, dense outside and spongy inside, where `beneath` the skin it lies."""
    reach = bone.along + bone.across
    box = body.box((bone.x - reach, bone.x + reach), (bone.y - reach, bone.y + reach))
    x, y = body.x[box] - bone.x, body.y[box] - bone.y
    u = (x * np.cos(bone.turn) + y * np.sin(bone.turn)) / bone.along
    v = (y * np.cos(bone.turn) - x * np.sin(bone.turn)) / bone.across
    radius = u**2 + v**2
    plane[box][(radius < 1) & beneath[box]] = 750
    plane[box][(radius < 0.35) & beneath[box]] = 220


def _mediastinum(plane: Plane, body: _Body) -> Plane:
    """Heart, great vessels, windpipe's two branches and fat, drawn over the middle."""
    hx, hy, radius = body.heart
    plane = plane.copy()
    middle = body.inner(body.wall) & ~body.lungs()
    plane[middle & (np.abs(body.x) < 0.2) & (body.y < 0.12)] = FAT * 0.6
    plane[body.disc(hx, hy, radius * 1.08, radius * 0.93)] = BLOOD
    plane[body.disc(0.13, body.depth - 0.4, 0.075, 0.075)] = BLOOD + 20
    plane[body.disc(-0.03, 0.0, 0.11, 0.07)] = BLOOD
    for side in (-1, 1):
        plane[body.disc(side * 0.085, 0.06, 0.045, 0.035)] = AIR + 20
    return plane


def _lung_tissue(body: _Body, rng: np.random.Generator) -> Plane:
    """Aerated lung, slightly denser posteriorly, with vessels that taper from the hila."""
    plane = LUNG + 50 * body.y + 25 * _smooth(rng, body.x.shape, 10)
    vessels = np.zeros(body.x.shape, np.float32)
    for side in (-1, 1):
        for angle in np.linspace(-1.35, 1.35, 8) + rng.uniform(-0.15, 0.15, 8):
            heading = float(angle if side > 0 else np.pi - angle)
            tip = _Tip(x=side * 0.2, y=0.03, heading=heading, radius=rng.uniform(0.01, 0.018))
            _branch(vessels, body, rng, tip)
    x = np.where(rng.random(260) < 0.5, -1, 1) * rng.uniform(0.15, 0.85, 260)
    for px, py, r in zip(
        x, rng.uniform(-0.6, 0.6, 260), rng.uniform(0.003, 0.008, 260), strict=True
    ):
        _tube(vessels, body, (px, py), (px + r, py + r), r)
    return plane + vessels * (SOFT - plane)


@dataclass(frozen=True, kw_only=True)
class _Tip:
    """Where a growing vessel or airway ends: place, heading in radians, radius."""

    x: float
    y: float
    heading: float
    radius: float


def _branch(planes: Plane, body: _Body, rng: np.random.Generator, tip: _Tip) -> None:
    """Draw a wandering tube that thins and forks until it is too thin to see."""
    x, y, heading, radius = tip.x, tip.y, tip.heading, tip.radius
    while radius > 0.003:
        heading += rng.normal(0, 0.16)
        step = rng.uniform(0.04, 0.08)
        end = (x + step * np.cos(heading), y + step * np.sin(heading))
        if max(abs(end[0]), abs(end[1])) > 1:
            return
        _tube(planes, body, (x, y), end, radius)
        x, y = end
        if rng.random() < 0.35:
            fork = heading + rng.choice((-0.7, 0.7))
            _branch(planes, body, rng, _Tip(x=x, y=y, heading=fork, radius=radius * 0.6))
        radius *= 0.82


def _tube(
    planes: Plane, body: _Body, start: tuple[float, float], end: tuple[float, float], radius: float
) -> None:
    """Raise `planes` towards 1 along one segment, computed in the segment's own small box only."""
    margin = 3 * radius + 0.01
    box = body.box(
        (min(start[0], end[0]) - margin, max(start[0], end[0]) + margin),
        (min(start[1], end[1]) - margin, max(start[1], end[1]) + margin),
    )
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = body.x[box] - start[0], body.y[box] - start[1]
    along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    squared = (x - along * dx) ** 2 + (y - along * dy) ** 2
    planes[box] = np.maximum(planes[box], np.exp(-squared / radius**2))


def _patches(body: _Body, rng: np.random.Generator, count: int, reach: float) -> Plane:
    """Weights in [0, 1] of `count` ragged patches, most of them peripheral and posterior."""
    ragged = _smooth(rng, body.x.shape, 14)
    weight = np.zeros(body.x.shape, np.float32)
    for _ in range(count):
        side = rng.choice((-1, 1))
        angle = rng.uniform(-0.4, 0.9)
        radius = rng.uniform(0.6, reach)
        x = side * max(0.35, np.cos(angle) * (0.95 - body.wall) * 0.9)
        y = np.sin(angle) * (body.depth - body.wall) * 0.9
        squared = ((body.x - x) ** 2 + (body.y - y) ** 2) / (0.2 * radius) ** 2
        weight = np.maximum(weight, _inside(6 * (1 - squared - 0.5 * ragged)))
    return weight


def _ground_glass(plane: Plane, body: _Body, rng: np.random.Generator) -> Plane:
    """Hazy density through which vessels stay visible."""
    haze = -560 + 70 * _smooth(rng, plane.shape, 24)
    weight = _patches(body, rng, int(rng.integers(3, 6)), 1.3)
    return np.asarray(plane + weight * np.maximum(haze - plane, 0.15 * (SOFT - plane)))


def _consolidation(plane: Plane, body: _Body, rng: np.random.Generator) -> Plane:
    """Soft-tissue density that hides the vessels."""
    weight = _patches(body, rng, 2, 1.0) ** 0.5
    return plane + weight * (SOFT - 15 - plane)


def _crazy_paving(plane: Plane, body: _Body, rng: np.random.Generator) -> Plane:
    """Ground glass crossed by a fine net of thickened lines."""
    weight = _patches(body, rng, 3, 1.4)
    haze = plane + weight * np.maximum(-600 - plane, 0)
    return np.asarray(haze + weight * _net(body, rng, 900, 0.006) * np.maximum(-200 - haze, 0))


def _air_bronchogram(plane: Plane, body: _Body, rng: np.random.Generator) -> Plane:
    """Consolidation in which air-filled branches stay dark."""
    side = int(rng.choice((-1, 1)))
    x, y = side * 0.5, rng.uniform(0.12, 0.24)
    ragged = _smooth(rng, plane.shape, 14)
    squared = ((body.x - x) / 0.26) ** 2 + ((body.y - y) / 0.2) ** 2
    weight = _inside(8 * (1 - squared - 0.3 * ragged))
    airways = np.zeros(plane.shape, np.float32)
    for turn in (-0.35, 0.1, 0.5):
        heading = turn if side > 0 else np.pi - turn
        tip = _Tip(x=x - side * 0.2, y=y - 0.06, heading=heading, radius=0.014)
        _branch(airways, body, rng, tip)
    solid = plane + weight * (SOFT - 10 - plane)
    return solid + weight * airways * (AIR + 60 - solid)


def _septal(plane: Plane, body: _Body, rng: np.random.Generator) -> Plane:
    """Thicken a coarse net of septa under the pleura, with clear lung between."""
    near_pleura = np.clip((body.rim(body.wall) - 0.62) / 0.15, 0, 1)
    region = np.clip(1.2 * _smooth(rng, plane.shape, 3) + 0.6, 0, 1)
    weight = near_pleura * region * _net(body, rng, 320, 0.007)
    return np.asarray(plane + weight * np.maximum(-150 - plane, 0))


_LESIONS = {
    Lesion.GGO: _ground_glass,
    Lesion.CSLD: _consolidation,
    Lesion.CRPA: _crazy_paving,
    Lesion.AIRBR: _air_bronchogram,
    Lesion.INSEPTHI: _septal,
}


def _inside(margin: Plane) -> Plane:
    """Turn a signed distance into a soft edge: 0 far outside, 1 far inside."""
    return np.asarray(1 / (1 + np.exp(-np.clip(margin, -30, 30))), np.float32)


def _net(body: _Body, rng: np.random.Generator, cells: int, width: float) -> Plane:
    """Draw the borders of random Voronoi cells: 1 on a line, falling to 0 over `width`."""
    points = rng.uniform((-1, -0.72), (1, 0.72), (cells, 2)).astype(np.float32)
    first = np.full(body.x.shape, np.inf, np.float32)
    second = first.copy()
    for x, y in points:
        rows = np.searchsorted(body.y[:, 0], (y - 0.3, y + 0.3))
        columns = np.searchsorted(body.x[0], (x - 0.3, x + 0.3))
        box = (slice(rows[0], rows[1]), slice(columns[0], columns[1]))
        distance = np.hypot(body.x[box] - x, body.y[box] - y)
        second[box] = np.minimum(second[box], np.maximum(first[box], distance))
        first[box] = np.minimum(first[box], distance)
    gap = second - np.minimum(first, 1)
    return np.asarray(np.exp(-((gap / (2 * width)) ** 2)), np.float32)


def _table(plane: Plane, body: _Body) -> Plane:
    """Draw the scanner's curved table: two thin shells under the back."""
    curve = body.y - (body.depth + 0.05) + 0.1 * body.x**2
    shell = (np.abs(curve) < 0.008) | (np.abs(curve - 0.07) < 0.008)
    return np.where(shell & (np.abs(body.x) < 0.75) & (plane <= AIR), -350, plane)


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> Plane:
    """Scanner noise of about 25 HU, correlated over neighbouring pixels."""
    grain = rng.standard_normal(size).astype(np.float32)
    return 35 * _blur(grain, 0.6)


def _smooth(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Plane:
    """Draw a smooth random field of about unit deviation, `cells` bumps along each side."""
    grid = rng.standard_normal((cells + 1, cells + 1)).astype(np.float32)
    for axis, length in enumerate(size):
        place = np.linspace(0, cells, length, endpoint=False, dtype=np.float32)
        low = place.astype(int)
        part = place - low
        part = part * part * (3 - 2 * part)
        part = part[:, None] if axis == 0 else part
        first, after = np.take(grid, low, axis), np.take(grid, low + 1, axis)
        grid = first * (1 - part) + after * part
    return grid * np.float32(1.3)


def _blur(plane: Plane, sigma: float) -> Plane:
    """Blur by a Gaussian in Fourier space; the edges are air, so its wrapping is unseen."""
    rows = np.fft.fftfreq(plane.shape[0])[:, None]
    columns = np.fft.rfftfreq(plane.shape[1])[None, :]
    gain = np.exp(-2 * (np.pi * sigma) ** 2 * (rows**2 + columns**2))
    return np.fft.irfft2(np.fft.rfft2(plane) * gain, s=plane.shape).astype(np.float32)
