"""Images that are the same, or nearly: an exact hash, a fingerprint, near pairs and clusters.

Axial CTs all resemble each other, so plain thumbnails do not tell patients apart. A fingerprint
joins two views of the body (cropped to its bounding box): the whole at 32 x 32, and the fine
structure at 64 x 64 with the smooth part taken away. Similarity is the mean of the two Pearson
correlations, in [-1, 1].

Thresholds are calibrated on known pairs (docs/how-to/data.md has the table): in COVID-CT's train
and validation parts the most alike images of two patients that are truly two reach .74, and of
1.54 million pairs of a positive with a negative SARS-CoV-2 CT image 10 reach .77 and none .79.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEAR = 0.79
"""From this similarity on two images count as near-duplicates."""

NEIGHBOUR = 0.55
"""From this similarity on two images numbered at most `REACH` apart count as of one series."""

REACH = 3

COARSE, FINE = 32, 64
SMOOTH = 3.0
"""Standard deviation in pixels of the fine view of what is taken away from it."""

_BLOCK = 1024

Floats = NDArray[np.float32]


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """Hash of decoded pixels, uint8[H, W]: 64 hexadecimal digits.

    It is the SHA-256 of height and width as unsigned 32-bit little-endian integers and then the
    rows of 8-bit grey values, top to bottom, as `imaging.read_image` gives them. Two files that
    decode to the same picture have the same hash whatever their format and metadata.
    """
    height, width = pixels.shape
    size = np.asarray([height, width], dtype="<u4").tobytes()
    return hashlib.sha256(size + np.ascontiguousarray(pixels, np.uint8).tobytes()).hexdigest()


def fingerprint(pixels: NDArray[np.uint8]) -> Floats:
    """Fingerprint of an image, uint8[H, W]: float32[5120] of length 1, or 0 for a flat image.

    Of a tiny image the coarse or the fine half alone may be flat: then its length is sqrt(1/2).

    The dot product of two fingerprints is their similarity.
    """
    from scipy.ndimage import gaussian_filter

    image = _without_field_of_view(Image.fromarray(pixels))
    box = _body_box(image)
    coarse = _thumbnail(image, COARSE, box)
    fine = _thumbnail(image, FINE, box)
    fine = fine - gaussian_filter(fine, SMOOTH)
    joined = np.concatenate([_unit(coarse), _unit(fine)])
    return np.asarray(joined / np.sqrt(2), dtype=np.float32)


def near_pairs(prints: Floats, threshold: float = NEAR) -> list[tuple[int, int, float]]:
    """All pairs (i < j) of rows of `prints`, float32[N, D], whose similarity is >= `threshold`."""
    return [pair for block in _pairs(prints, threshold) for pair in block]


def clusters(prints: Floats, places: Sequence[tuple[str, int] | None]) -> NDArray[np.intp]:
    """Cluster of each image, intp[N], numbered by first appearance.

    Two images are linked where their similarity is at least `NEAR`, or where it is at least
    `NEIGHBOUR` and their places (series, number) are at most `REACH` apart: exporters number
    slices in their order, so neighbours in number are far likelier of one patient than images
    are in general, and less evidence suffices. An image numbered between two of one cluster joins
    it. Linked images and whatever they are linked to (single linkage) form a cluster, so no near
    pair is ever torn apart; `NEAR` is high enough for this not to chain into one giant.
    """
    links = [(i, j) for i, j, _ in near_pairs(prints)]
    links += _neighbour_links(prints, places)
    found = _components(len(prints), links)
    return _components(len(prints), links + _fillings(found, places))


def place_of(path: Path) -> tuple[str, int] | None:
    """Series and number that a file name ends in, such as `Covid (12).jpg`; None without one.

    The series is the folder and the name before the number.
    """
    match = re.fullmatch(r"(.*?)(\d+)\D?", path.stem)
    return (f"{path.parent}/{match[1]}", int(match[2])) if match else None


def _thumbnail(image: Image.Image, size: int, box: tuple[float, float, float, float]) -> Floats:
    small = image.resize((size, size), Image.Resampling.BOX, box=box)
    return np.asarray(small, dtype=np.float32)


def _without_field_of_view(image: Image.Image) -> Image.Image:
    """Raise what is darker than air to air, so that the scanner's round field of view vanishes.

    In an image over the full HU range that disc is the strongest structure there is, and makes
    the slices of any two patients look alike.
    """
    small = np.asarray(image.resize((128, 128), Image.Resampling.BOX))
    rest = small[small > int(small.min()) + 4]
    air = int(np.percentile(rest, 5)) if len(rest) > 1000 else 0
    return image.point([max(value, air) for value in range(256)])


def _body_box(image: Image.Image) -> tuple[float, float, float, float]:
    """Bounding box in pixels of what is brighter than the dark surround; all, if that is tiny."""
    small = np.asarray(image.resize((128, 128), Image.Resampling.BOX), dtype=np.float32)
    low, high = np.percentile(small, [2, 98])
    bright = small > low + 0.25 * (high - low)
    rows = np.flatnonzero(bright.mean(axis=1) > 0.05)
    columns = np.flatnonzero(bright.mean(axis=0) > 0.05)
    if len(rows) < 20 or len(columns) < 20:
        return (0.0, 0.0, float(image.width), float(image.height))
    x, y = image.width / 128, image.height / 128
    return (
        float(columns[0] * x),
        float(rows[0] * y),
        float((columns[-1] + 1) * x),
        float((rows[-1] + 1) * y),
    )


def _unit(view: Floats) -> Floats:
    flat = view.ravel() - view.mean()
    length = np.linalg.norm(flat)
    return np.asarray(flat / length if length > 1e-3 else flat * 0, dtype=np.float32)


def _pairs(prints: Floats, threshold: float) -> Iterator[list[tuple[int, int, float]]]:
    for start in range(0, len(prints), _BLOCK):
        similar = prints[start : start + _BLOCK] @ prints[start:].T
        rows, columns = np.nonzero(similar >= threshold)
        upper = columns > rows
        yield [
            (start + int(i), start + int(j), float(similar[i, j]))
            for i, j in zip(rows[upper], columns[upper], strict=True)
        ]


def _neighbour_links(
    prints: Floats, places: Sequence[tuple[str, int] | None]
) -> list[tuple[int, int]]:
    by_place = {place: i for i, place in enumerate(places) if place is not None}
    return [
        (i, j)
        for (series, number), i in by_place.items()
        for step in range(1, REACH + 1)
        if (j := by_place.get((series, number + step))) is not None
        and prints[i] @ prints[j] >= NEIGHBOUR
    ]


def _fillings(
    found: NDArray[np.intp], places: Sequence[tuple[str, int] | None]
) -> list[tuple[int, int]]:
    """Links of each image to a cluster that has members numbered closely below and above it."""
    by_place = {place: i for i, place in enumerate(places) if place is not None}
    links = []
    for (series, number), i in by_place.items():
        near = range(1, REACH + 1)
        below = [by_place[p] for step in near if (p := (series, number - step)) in by_place]
        above = [by_place[p] for step in near if (p := (series, number + step)) in by_place]
        shared = {found[j] for j in below} & {found[j] for j in above}
        links += [(i, j) for j in below if found[j] in shared][:1]
    return links


def _components(size: int, links: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Connected components, numbered by first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.asarray(links, dtype=np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.intp)
