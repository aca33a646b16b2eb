"""Fit the guard: chest CTs, as they are and as others may send them, against drawn decoys.

Decoys come from `decoys/` alone, so no sample picture of any package takes part and all of them
can serve as tests. Learning side; the embedding is a callable, so nothing here knows torch.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ladnn.decoys import KINDS, detail, draw, scramble, without_lungs
from ladnn.decoys.exports import restyle
from ladnn.errors import DataError
from ladnn.guard import Guard, distances, standardise
from ladnn.looks import take_look
from ladnn.lungfield import FRAMES, find_lungs, otsu

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Embed = Callable[[Pixels], Floats]

REFUSED = 0.07
"""Share of each source's validation images, foreign looks included, that the threshold gives up.

Hardly an image as it is comes so low: it is foreign looks that are given up.
"""
AXES = 40
_PENALTY = 0.03  # of squared weights beside the mean loss; chosen on leave-kind-out
_BATCH = 64
_CLEAR_LUNGS = 0.1  # share of the image from which they were found whole and can be filled
_FEWEST = 40  # validation looks of a source below which a quantile of it says nothing
_MISSING = (
    "the guard needs training and validation chest CTs and decoys: "
    "give a manifest whose splits hold both"
)


@dataclass(frozen=True, kw_only=True)
class Chest:
    """One chest CT to fit on (`validation` False) or to choose the threshold on (True)."""

    pixels: Pixels
    source: str
    validation: bool


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Features of chests and decoys.

    Attributes:
        evidence: float32 [N, F]. embedding: float32 [N, C].
        group: of each row, a chest's source or a decoy's kind.
        chest, validation, foreign: bool [N]; a foreign row is a chest that `restyle` drew.
    """

    evidence: Floats
    embedding: Floats
    group: NDArray[np.str_]
    chest: Bools
    validation: Bools
    foreign: Bools


@dataclass(frozen=True)
class _Row:
    """A picture and what it stands for."""

    pixels: Pixels
    group: str
    chest: bool
    validation: bool = False
    foreign: bool = False


def fit_guard(
    chests: Sequence[Chest],
    embed: Embed,
    *,
    size: int,
    frame: str = FRAMES[0],
    decoys: int = 60,
) -> Guard:
    """Fit on the training chests and drawn decoys; choose the threshold on the validation chests.

    Drawings and looks are the same each time.

    Args:
        chests: of training and validation, of every source that the network was trained on.
        embed: uint8 [N, R, size] canonical frames -> float32 [N, C], as the bundle's graph does.
        size: of the network's input.
        frame: one of `lungfield.FRAMES`.
        decoys: drawings of each kind.

    Raises:
        DataError: when training or validation chests are missing.
    """
    if not any(c.validation for c in chests) or all(c.validation for c in chests):
        raise DataError(_MISSING)  # before the long gathering
    return fit(gather(chests, embed, size=size, frame=frame, decoys=decoys))


def gather(
    chests: Sequence[Chest],
    embed: Embed,
    *,
    size: int,
    frame: str = FRAMES[0],
    decoys: int = 60,
) -> Samples:
    """Draw, look and embed: all rows that `fit` needs; parameters as of `fit_guard`."""
    evidence, embedding, rows = [], [], []
    stream = _rows(chests, decoys)
    while batch := list(islice(stream, _BATCH)):
        looks = [take_look(row.pixels, size, frame) for row in batch]
        evidence += [look.evidence for look in looks]
        embedding.append(embed(np.stack([look.square for look in looks])))
        rows += [(row.group, row.chest, row.validation, row.foreign) for row in batch]
    group, *flags = zip(*rows, strict=True)
    chest, validation, foreign = (np.array(flag, dtype=bool) for flag in flags)
    return Samples(
        evidence=np.stack(evidence),
        embedding=np.concatenate(embedding).astype(np.float32),
        group=np.array(group),
        chest=chest,
        validation=validation,
        foreign=foreign,
    )


def _rows(chests: Sequence[Chest], decoys: int) -> Iterator[_Row]:
    """Chests, their foreign looks, and decoys of every kind."""
    looks = _looks(chests)
    for number, chest in enumerate(chests):
        yield _Row(chest.pixels, chest.source, True, chest.validation)
        for look in range(looks[chest.source]):
            drawn = restyle(chest.pixels, look * 1_000_003 + number)
            yield _Row(drawn, chest.source, True, chest.validation, True)
    training = [chest.pixels for chest in chests if not chest.validation]
    for kind in KINDS:
        for number in range(decoys):
            yield _Row(draw(kind, number), kind, False)
    picks = np.random.default_rng(0).permutation(len(training))[: 2 * decoys]
    for number in picks.tolist():
        yield _Row(scramble(training[number], number), "scramble", False)
        yield _Row(detail(training[number], number), "detail", False)
        if (filled := _lungless(training[number], number)) is not None:
            yield _Row(filled, "no_lungs", False)


def _looks(chests: Sequence[Chest]) -> dict[str, int]:
    """Foreign looks of each of a source's chests: one, or two where the source is small."""
    sizes = Counter(chest.source for chest in chests)
    largest = max(sizes.values(), default=0)
    return {source: 2 if size < largest / 2 else 1 for source, size in sizes.items()}


def most_rows(chests: Sequence[Chest], decoys: int) -> int:
    """How many images `gather` embeds at most: chests without lungs are not filled."""
    looks = _looks(chests)
    training = sum(not chest.validation for chest in chests)
    shown = sum(1 + looks[chest.source] for chest in chests)
    return shown + len(KINDS) * decoys + 3 * min(2 * decoys, training)


def _lungless(pixels: Pixels, seed: int) -> Pixels | None:
    """A chest CT with its lungs filled, as it is or as others may send it; None without lungs."""
    small = np.asarray(Image.fromarray(pixels).resize((192, 192)))
    lungs = find_lungs(small, otsu(small))
    if lungs.mean() < _CLEAR_LUNGS:
        return None
    filled = without_lungs(pixels, lungs, seed)
    return restyle(filled, seed) if seed % 2 else filled


def fit(samples: Samples) -> Guard:
    """Fit a guard to gathered samples.

    Raises:
        DataError: when training or validation chests, or decoys, are missing.
    """
    chest, training = samples.chest & ~samples.validation, ~samples.validation
    if not chest.any() or samples.chest.all() or not samples.validation.any():
        raise DataError(_MISSING)
    rows = np.concatenate([samples.evidence, samples.embedding], axis=1)
    mean, scale = rows[chest].mean(axis=0), rows[chest].std(axis=0) + 1e-3
    rows = standardise(rows, mean, scale)
    weights = _logistic(rows[training], samples.chest[training], _balance(samples)[training])
    axes, spread, rest = _subspace(rows[chest, : samples.evidence.shape[1]])
    linear = rows[chest] @ weights
    far = distances(rows[chest, : axes.shape[1]], axes, spread, rest)
    guard = Guard(
        mean=mean,
        scale=scale,
        weights=weights,
        axes=axes,
        spread=spread,
        rest=rest,
        linear=(float(linear.mean()), float(linear.std())),
        distance=(float(far.mean()), float(far.std())),
        cut=0.0,
    )
    cut, sources = _cut(samples, guard.margins(samples.evidence, samples.embedding))
    about = {"validation_given_up": REFUSED, "sources": sources, "kinds": _kinds(samples)}
    return replace(guard, cut=cut, about=about)


def _kinds(samples: Samples) -> list[str]:
    return sorted(set(samples.group[~samples.chest].tolist()))


def _balance(samples: Samples) -> Floats:
    """Weights [N] by which chests and decoys count alike, and within them sources and kinds."""
    weights = np.zeros(samples.chest.shape, dtype=np.float32)
    for side in (samples.chest & ~samples.validation, ~samples.chest):
        names, index = np.unique(samples.group[side], return_inverse=True)
        weights[side] = 0.5 / len(names) / np.bincount(index)[index]
    return weights


def _logistic(rows: Floats, chest: Bools, share: Floats) -> Floats:
    """Weights [D] of a penalised logistic regression; the intercept is not kept."""
    from scipy.optimize import minimize  # costs a cold start that only fitting should pay

    sign = np.where(chest, 1, -1).astype(np.float32)

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = point[:-1].astype(np.float32)
        margin = sign * (rows @ weights + np.float32(point[-1]))
        pull = -share * sign * 0.5 * (1 - np.tanh(margin / 2))
        slope = np.append(rows.T @ pull + _PENALTY * 2 * weights, pull.sum())
        value = (share * np.logaddexp(0, -margin)).sum() + _PENALTY * (weights**2).sum()
        return float(value), slope.astype(np.float64)

    start = np.zeros(rows.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x[:-1], dtype=np.float32)


def _subspace(rows: Floats) -> tuple[NDArray[np.float16], Floats, float]:
    """Main axes [K, F] of chests' evidence, the variance along each, and the mean rest."""
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    count = min(AXES, rows.shape[1] - 1)
    axes = vectors[:, ::-1][:, :count].T
    spread = np.maximum(values[::-1][:count], 1e-6).astype(np.float32)
    rest = float(max(values[::-1][count:].sum(), 1e-6))
    return axes.astype(np.float16), spread, rest


def _cut(samples: Samples, margins: Floats) -> tuple[float, dict[str, dict[str, float]]]:
    """The margin that gives up at most `REFUSED` of any source, and what it refuses of each."""
    looks = samples.chest & samples.validation
    names, counts = np.unique(samples.group[looks], return_counts=True)
    enough = names[counts >= min(_FEWEST, counts.max())]
    cut = min(float(np.quantile(margins[looks & (samples.group == n)], REFUSED)) for n in enough)
    shares: dict[str, dict[str, float]] = {}
    for name in names:
        source = looks & (samples.group == name)
        shares[str(name)] = {
            "images": float((source & ~samples.foreign).sum()),
            "refused": float((margins[source & ~samples.foreign] < cut).mean()),
            "refused_foreign_looks": float((margins[source & samples.foreign] < cut).mean()),
        }
    return cut, shares
