"""How far probabilities can be taken at their word, and the temperature that makes them better.

Metrics take labels bool[N], probabilities in [0, 1] float[N] and optional weights, float[N] or
float[R, N], as those of `statistics` do, and answer one number per resample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ladnn.errors import DataError
from ladnn.statistics import BoolArray, FloatArray, checked, ratio

BINS = 10
"""Bins of the expected calibration error, of equal width and closed on the right."""

COLDEST, HOTTEST = 0.05, 20.0
"""The range of temperatures in 1 that a fit may give; beyond it a probability says nothing."""


def _checked(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> tuple[BoolArray, FloatArray, FloatArray]:
    truth, values, counts = checked(labels, probabilities, weights)
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError("a probability lies outside [0, 1]: give probabilities, not logits")
    return truth, values, counts


def brier(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> FloatArray:
    """Mean squared difference of probability and outcome (Brier 1950), in [0, 1]; 0 is best.

    NaN without rows. Raises DataError for shapes that differ, labels other than 0 and 1 and
    probabilities outside [0, 1].
    """
    truth, values, counts = _checked(labels, probabilities, weights)
    return ratio(counts @ (values - truth) ** 2, counts.sum(axis=-1))


def _members(values: FloatArray) -> NDArray[np.bool_]:
    """Which bin each of N probabilities lies in: [N, BINS]."""
    bin_of = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], values, side="left")
    return np.asarray(bin_of[:, None] == np.arange(BINS))


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> FloatArray:
    """Mean over bins of |observed rate - mean probability|, weighted by the bin's share of rows.

    Guo et al. 2017, equation 3, for the probability of the positive class, over `BINS` bins of
    equal width closed on the right. In [0, 1]; 0 is best; NaN without rows. With few rows it is
    biased upward, and resampling adds to that: read it beside the Brier score. Raises DataError as
    `brier`.
    """
    truth, values, counts = _checked(labels, probabilities, weights)
    gaps = np.abs(counts @ (_members(values) * (truth - values)[:, None]))
    return ratio(gaps.sum(axis=-1), counts.sum(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What a reliability diagram draws, one entry per bin; empty bins have NaN means.

    Attributes:
        edges: float[BINS + 1], probabilities.
        counts: int[BINS], rows in each bin.
        predicted: float[BINS], mean probability.
        observed: float[BINS], share of positives.
    """

    edges: FloatArray
    counts: NDArray[np.int64]
    predicted: FloatArray
    observed: FloatArray


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
    """The bins of `expected_calibration_error`, for labels and probabilities [N].

    Raises DataError as it does.
    """
    truth, values, _ = _checked(labels, probabilities)
    member = _members(values).astype(np.float64)
    rows = member.sum(axis=0)
    return Reliability(
        edges=np.linspace(0, 1, BINS + 1),
        counts=rows.astype(np.int64),
        predicted=ratio(member.T @ values, rows),
        observed=ratio(member.T @ truth, rows),
    )


def observed_rates(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> FloatArray:
    """Share of positives in each bin of `reliability`: float[BINS], or [R, BINS]; NaN if empty.

    Raises DataError as `expected_calibration_error`.
    """
    truth, values, counts = _checked(labels, probabilities, weights)
    member = _members(values).astype(np.float64)
    return ratio(counts @ (member * truth[:, None]), counts @ member)


# ------------------------------------------------------------------ temperature


def probability(logits: ArrayLike, temperature: float = 1.0) -> FloatArray:
    """Logistic function of logits over temperature, in [0, 1], without overflow.

    Raises:
        DataError: for a temperature that is not above 0.
    """
    if not temperature > 0:
        raise DataError(f"a temperature of {temperature} cannot be: give a number above 0")
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(logits, dtype=np.float64) / temperature / 2)))


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """The temperature of the least negative log-likelihood on labels bool[N] and logits float[N].

    Guo et al. 2017, section 4.2, for one logit. One parameter and no bias (Platt scaling has
    one): a bias would learn how common the disease is among the validation images, which no other
    hospital shares, and would move the point where the probability is one half. A temperature
    changes neither the order of the images nor that point. With 1/T as the unknown the loss is
    convex, so halving finds the root of its derivative.

    Returns:
        What logits are divided by, in [COLDEST, HOTTEST]; None without both classes.

    Raises:
        DataError: for shapes that differ, labels other than 0 and 1, logits that are not finite.
    """
    truth, scores = np.asarray(labels, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape or not np.isfinite(scores).all():
        raise DataError("labels and logits do not fit: give one finite logit per label")
    if not np.isin(truth, (0, 1)).all():
        raise DataError("a label is neither 0 nor 1: leave out rows whose label is unknown")
    if not truth.size or truth.min() == truth.max():
        return None
    return _best_temperature(truth, scores)


def _best_temperature(truth: FloatArray, scores: FloatArray) -> float:
    def slope(sharpness: float) -> float:
        return float(((probability(scores, 1 / sharpness) - truth) * scores).sum())

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)
