"""The in-distribution guard asks whether an image is an axial chest CT in a lung window.

It weighs generic evidence of chest anatomy rather than the distance to one collection: grey
statistics and a thumbnail of the box around the lungs, with all that surrounds them, and the
network's own embedding. A linear classifier of chest CT against everything else is lowered by the
distance to the subspace that the evidence of chest CTs spans. At use that is a few small products
in NumPy; `guard_fitting.py` fits.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ladnn.errors import BundleError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

THRESHOLD = 0.5
"""Every guard's score is scaled so that an image is assessable from here up."""
THUMB = 20
"""Side of the thumbnail of the box among the features."""
SIDE = 96
"""Side at which the grey statistics are taken, whatever the input's size."""
_FIELD_KINDS = ("lung", "body", "full")
_BINS = 16
_CLIP = 6.0  # standard deviations beyond which a feature says no more
_DISTANCE_WEIGHT = 0.5  # of the distance beside the linear classifier, both in standard deviations


class Field(Protocol):
    """What the guard reads of a `lungfield.LungField`; see there."""

    @property
    def box(self) -> tuple[float, float, float, float]: ...  # noqa: D102  # see LungField
    @property
    def kind(self) -> str: ...  # noqa: D102  # see LungField
    @property
    def lung_share(self) -> float: ...  # noqa: D102  # see LungField
    @property
    def body_share(self) -> float: ...  # noqa: D102  # see LungField
    @property
    def lung_grey(self) -> float: ...  # noqa: D102  # see LungField
    @property
    def tissue_grey(self) -> float: ...  # noqa: D102  # see LungField


def features(pixels: Pixels, box: Pixels, field: Field) -> Floats:
    """Grey statistics and a thumbnail of one image.

    Args:
        pixels: uint8 [H, W], the decoded image.
        box: uint8 [SIDE, SIDE], the box around its lungs and all that is in it (`lungfield.cut`):
            what surrounds the lungs tells a chest from other things, though no disease.
        field: where that was cut from.

    Returns:
        float32 [F], the same length for every image.
    """
    whole, inside = _reduce(pixels, SIDE), _reduce(box, SIDE)
    thumb = _blocks(_reduce(box, 2 * THUMB))
    parts = [
        _place(field),
        _statistics(whole),
        _statistics(inside),
        _layout(_blocks(whole)),
        _layout(thumb),
        thumb.ravel(),
    ]
    return np.concatenate(parts, dtype=np.float32)


def _reduce(pixels: Pixels, side: int) -> Floats:
    """Grey in [0, 1] at [side, side]."""
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _blocks(plane: Floats) -> Floats:
    """Means over 2 x 2."""
    height, width = plane.shape
    cells = plane.reshape(height // 2, 2, width // 2, 2)
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def _place(field: Field) -> Floats:
    x0, y0, x1, y1 = field.box
    kind = [float(field.kind == name) for name in _FIELD_KINDS]
    contrast = (field.tissue_grey - field.lung_grey) / 255
    place = [field.lung_share, field.body_share, x1 - x0, y1 - y0, contrast]
    place += [field.lung_grey / 255, abs((x0 + x1) / 2 - 0.5)]
    return np.array(kind + place, dtype=np.float32)


def _statistics(plane: Floats) -> Floats:
    """Histogram, edges at two scales and grain of grey in [0, 1]."""
    counts = np.bincount(
        np.minimum((plane * _BINS).astype(int), _BINS - 1).ravel(), minlength=_BINS
    )
    share = counts / plane.size
    entropy = -float((share * np.log(share + 1e-9)).sum())
    values = [*np.sqrt(share), entropy, float(plane.std())]
    for scale in (plane, _blocks(_blocks(plane))):
        down, right = np.abs(np.diff(scale, axis=0)), np.abs(np.diff(scale, axis=1))
        for edges in (down, right):
            quantiles = np.quantile(edges, (0.5, 0.9))
            values += [float(edges.mean()), float((edges > 0.1).mean()), *np.sqrt(quantiles)]
        values.append(float(((down == 0).mean() + (right == 0).mean()) / 2))
    grain = plane[1:-1, 1:-1] - (plane[:-2, 1:-1] + plane[2:, 1:-1]) / 2
    values += [np.log(float(np.abs(grain).mean()) + 1e-4), np.log(float(grain.std()) + 1e-4)]
    return np.array(values, dtype=np.float32)


def _layout(plane: Floats) -> Floats:
    """Symmetry and how grey the middle, the sides, the rim and the corners are."""
    side = plane.shape[0]
    quarter, edge = side // 4, max(1, side // 12)
    mirrored = _correlation(plane, plane[:, ::-1]), _correlation(plane, plane[::-1])
    turned = _correlation(plane, plane.T)
    columns, rows = plane.mean(axis=0), plane.mean(axis=1)
    corners = [
        plane[:edge, :edge],
        plane[:edge, -edge:],
        plane[-edge:, :edge],
        plane[-edge:, -edge:],
    ]
    rim = [plane[:edge], plane[-edge:], plane[:, :edge], plane[:, -edge:]]
    middle = plane[quarter:-quarter, side // 2 - edge : side // 2 + edge].mean()
    sides = plane[quarter:-quarter, quarter // 2 : quarter + edge].mean()
    values = [*mirrored, turned, float(middle - sides), columns.std(), rows.std()]
    values += [float(part.mean()) for part in corners + rim]
    values += [float(part.std()) for part in rim]
    return np.array(values, dtype=np.float32)


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / (np.sqrt((one**2).sum() * (other**2).sum()) + 1e-6))


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A fitted guard; arrays are float32 unless said.

    Attributes:
        mean, scale: [F + C], of evidence and embedding over the chest CTs.
        weights: [F + C], of the linear classifier; larger is more like a chest CT.
        axes: float16 [K, F], the main directions of chest CTs' standardised evidence.
        spread: [K], the variance along each. rest: mean squared length outside them.
        linear, distance: mean and deviation of the two terms over the chest CTs.
        cut: the combined margin, in deviations, that scores exactly `THRESHOLD`.
        about: how it was fitted, for readers.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    axes: NDArray[np.float16]
    spread: Floats
    rest: float
    linear: tuple[float, float]
    distance: tuple[float, float]
    cut: float
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        """The score from which an image is assessable."""
        return THRESHOLD

    def score(self, evidence: Floats, embedding: Floats) -> float:
        """How much an image looks like an axial chest CT, in [0, 1].

        Args:
            evidence: float32 [F] of `features`.
            embedding: float32 [C] of the bundle's graph.

        Raises:
            BundleError: when the lengths are not those that the guard was fitted on.
        """
        if evidence.size + embedding.size != self.mean.size or evidence.size != self.axes.shape[1]:
            raise BundleError(
                f"the guard was fitted on {self.axes.shape[1]} features and "
                f"{self.mean.size - self.axes.shape[1]} embedding channels, got {evidence.size} "
                f"and {embedding.size}: export the bundle again"
            )
        margin = self.margins(evidence[np.newaxis], embedding[np.newaxis])[0] - self.cut
        return float(0.5 * (1 + np.tanh(margin / 2)))

    def margins(self, evidence: Floats, embedding: Floats) -> Floats:
        """The unscaled margin of many images: [N, F] and [N, C] -> [N], in deviations."""
        rows = standardise(np.concatenate([evidence, embedding], axis=1), self.mean, self.scale)
        linear = (rows @ self.weights - self.linear[0]) / self.linear[1]
        far = distances(rows[:, : self.axes.shape[1]], self.axes, self.spread, self.rest)
        far = (far - self.distance[0]) / self.distance[1]
        return np.asarray(linear - _DISTANCE_WEIGHT * far, dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        """The guard for card.json; arrays as base64 of little-endian values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            "threshold": THRESHOLD,
            **{name: _pack(v) if isinstance(v, np.ndarray) else v for name, v in values.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            BundleError: for a missing part or one of another shape, and for another threshold.
        """
        if data.get("threshold", THRESHOLD) != THRESHOLD:
            raise BundleError(
                f"the guard of card.json has the threshold {data['threshold']!r}, and scores are "
                f"made for {THRESHOLD}: export the bundle again"
            )
        try:
            guard = cls(
                mean=_unpack(data["mean"], np.float32),
                scale=_unpack(data["scale"], np.float32),
                weights=_unpack(data["weights"], np.float32),
                axes=_unpack(data["axes"], np.float16),
                spread=_unpack(data["spread"], np.float32),
                rest=float(data["rest"]),
                linear=(float(data["linear"][0]), float(data["linear"][1])),
                distance=(float(data["distance"][0]), float(data["distance"][1])),
                cut=float(data["cut"]),
                about=dict(data["about"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, binascii.Error) as error:
            raise BundleError(
                f"the guard of card.json cannot be read ({error}): export the bundle again"
            ) from error
        guard._check()
        return guard

    def _check(self) -> None:
        inside, width = self.axes.shape if self.axes.ndim == 2 else (0, 0)
        shapes = {self.mean.shape, self.scale.shape, self.weights.shape}
        if len(shapes) != 1 or self.spread.shape != (inside,) or not 0 < width <= self.mean.size:
            raise BundleError("the guard's arrays in card.json disagree: export the bundle again")
        numbers = (self.rest, *self.linear, *self.distance, self.cut)
        arrays = (self.mean, self.scale, self.weights, self.axes, self.spread)
        if not all(np.isfinite(one).all() for one in (*arrays, np.array(numbers))):
            raise BundleError("the guard of card.json holds no numbers: export the bundle again")


def standardise(rows: Floats, mean: Floats, scale: Floats) -> Floats:
    """Rows [N, D] in deviations from the chest CTs, clipped so that no feature alone decides."""
    return np.asarray(np.clip((rows - mean) / scale, -_CLIP, _CLIP), dtype=np.float32)


def distances(rows: Floats, axes: NDArray[np.float16], spread: Floats, rest: float) -> Floats:
    """Log distances of rows [N, F] inside and outside the subspace of `axes` [K, F], added."""
    along = rows @ axes.astype(np.float32).T
    outside = np.maximum((rows**2).sum(axis=1) - (along**2).sum(axis=1), 1e-6)
    inside = (along**2 / spread).mean(axis=1)
    return np.asarray(np.log(inside + 1e-3) + np.log(outside / rest), dtype=np.float32)


def _pack(array: NDArray[Any]) -> dict[str, Any]:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"shape": list(array.shape), "base64": base64.b64encode(little.tobytes()).decode()}


def _unpack(data: Mapping[str, Any], kind: type[Any]) -> NDArray[Any]:
    raw = base64.b64decode(data["base64"], validate=True)
    array = np.frombuffer(raw, dtype=np.dtype(kind).newbyteorder("<"))
    return np.asarray(array.reshape(data["shape"]), dtype=kind)
