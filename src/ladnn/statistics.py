"""How well scores tell two classes apart: ROC, precision-recall, confusion counts, thresholds.

Every metric takes `labels` bool[N] (True is the positive class), `scores` float[N] and, where it
can be resampled, `weights`, float[N] or float[R, N]: how often each row counts, in each of R
resamples. It answers one number per resample (a scalar without the axis R). What is not defined,
as an AUC of one class alone, is NaN and never an exception; `why_undefined` gives the words.
A row is called positive when its score is at least the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ladnn.errors import DataError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def checked(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Labels, scores and weights (ones when None) as arrays of fitting shape.

    Raises:
        DataError: for lengths that differ, a label that is neither 0 nor 1, a score that is not a
            number, or a weight that is negative or not a number.
    """
    given, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    counts = np.ones(values.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.ndim != 1 or given.shape != values.shape or counts.shape[-1:] != values.shape:
        raise DataError(
            f"labels {given.shape}, scores {values.shape} and weights {counts.shape} do not fit: "
            "give one label, one score and one weight per row"
        )
    if not np.isin(given, (0, 1)).all():
        raise DataError("a label is neither 0 nor 1: leave out rows whose label is unknown")
    if np.isnan(values).any():
        raise DataError("a score is not a number: leave out rows that were not scored")
    if not (counts >= 0).all():
        raise DataError("a weight is negative or not a number: give counts of 0 or more")
    return given.astype(np.bool_), values, counts


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Element-wise quotient, NaN where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator)
    out = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def mean(_: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Mean of the scores whatever the labels, ready to be resampled; NaN without rows."""
    values = np.asarray(scores, dtype=np.float64)
    counts = np.ones(values.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    return ratio(counts @ values, counts.sum(axis=-1))


# ------------------------------------------------------------------ curves


def _by_score(
    labels: BoolArray, scores: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores [K] descending, and the weight of positives and of negatives at each.

    K is 0 without rows.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    new = np.concatenate([[True], ranked[1:] != ranked[:-1]])[: ranked.size]
    starts = np.flatnonzero(new)
    heavy, positive = weights[..., order], labels[order]
    everyone, positives = heavy, heavy * positive
    if starts.size < scores.size:
        everyone = np.add.reduceat(everyone, starts, axis=-1)
        positives = np.add.reduceat(positives, starts, axis=-1)
    return ranked[starts], positives, everyone - positives


def roc_auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Area under the ROC curve: chance that a positive outscores a negative, a tie counting half.

    Hanley and McNeil 1982; equal to the Mann-Whitney U over the number of pairs. In [0, 1]; NaN
    where a class is absent. Raises DataError as `checked`.
    """
    _, positives, negatives = _by_score(*checked(labels, scores, weights))
    above = np.cumsum(positives, axis=-1)
    wins = ((above - positives / 2) * negatives).sum(axis=-1)
    return ratio(wins, positives.sum(axis=-1) * negatives.sum(axis=-1))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> FloatArray:
    """Precision averaged over the steps in sensitivity: sum of (R_n - R_n-1) P_n, not interpolated.

    In [0, 1]; NaN without positives. Raises DataError as `checked`.
    """
    _, positives, negatives = _by_score(*checked(labels, scores, weights))
    hits = np.cumsum(positives, axis=-1)
    called = hits + np.cumsum(negatives, axis=-1)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return ratio((precision * positives).sum(axis=-1), positives.sum(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One point per distinct score, from the highest threshold to the lowest.

    Attributes:
        thresholds: float[K + 1]; the first is infinity, where nothing is called positive.
        sensitivity: true positive rate (recall) in [0, 1], not decreasing.
        false_positive_rate: 1 - specificity in [0, 1], not decreasing.
        precision: in [0, 1]; 1 by convention at the first point.
    """

    thresholds: FloatArray
    sensitivity: FloatArray
    false_positive_rate: FloatArray
    precision: FloatArray


def curve(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """ROC and precision-recall curve in one record; rates of an absent class are NaN.

    `weights` is float[N] or None. Raises DataError as `checked`, and for weights of two axes.
    """
    truth, values, counts = checked(labels, scores, weights)
    if counts.ndim != 1:
        raise DataError("a curve takes one weight per row: give weights of one axis")
    cuts, positives, negatives = _by_score(truth, values, counts)
    hits = np.concatenate([[0.0], np.cumsum(positives)])
    alarms = np.concatenate([[0.0], np.cumsum(negatives)])
    precision = ratio(hits, hits + alarms)
    precision[hits + alarms == 0] = 1.0
    return Curve(
        thresholds=np.concatenate([[np.inf], cuts]),
        sensitivity=ratio(hits, hits[-1]),
        false_positive_rate=ratio(alarms, alarms[-1]),
        precision=precision,
    )


def sensitivity_at(
    labels: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    false_positive_rates: ArrayLike,
) -> FloatArray:
    """Height of the ROC curve, points joined by straight lines, at G false positive rates.

    Float[G], or float[R, G] for weights [R, N]; NaN where a class is absent. Raises DataError as
    `checked`.
    """
    truth, values, counts = checked(labels, scores, weights)
    _, positives, negatives = _by_score(truth, values, counts)
    hits, alarms = (_shares(column) for column in (positives, negatives))
    places = np.asarray(false_positive_rates, dtype=np.float64)
    rows = zip(np.atleast_2d(alarms), np.atleast_2d(hits), strict=True)
    # A rate of an absent class is NaN, which np.interp would overlook; else the last one is 1.
    found = [np.interp(places, x, y) * x[-1] for x, y in rows]
    return np.reshape(found, (*counts.shape[:-1], places.size))


def precision_at(
    labels: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    sensitivities: ArrayLike,
) -> FloatArray:
    """Precision at the highest threshold whose sensitivity reaches each of G rates in (0, 1].

    Float[G], or float[R, G] for weights [R, N]; NaN without positives. Raises DataError as
    `checked`.
    """
    truth, values, counts = checked(labels, scores, weights)
    _, positives, negatives = _by_score(truth, values, counts)
    hits, alarms = np.cumsum(positives, axis=-1), np.cumsum(negatives, axis=-1)
    precision = np.atleast_2d(ratio(hits, hits + alarms))
    # The same hair of tolerance as in `threshold_at_sensitivity`.
    places = np.asarray(sensitivities, dtype=np.float64) - 1e-9
    found = [
        row[np.searchsorted(reached[1:], places)] if np.isfinite(reached[-1]) else places * np.nan
        for row, reached in zip(precision, np.atleast_2d(_shares(positives)), strict=True)
    ]
    return np.reshape(found, (*counts.shape[:-1], places.size))


def _shares(column: FloatArray) -> FloatArray:
    """Running sums over the last axis as shares of their end, from 0 on; NaN where that is 0."""
    nothing = np.zeros((*column.shape[:-1], 1))
    sums = np.cumsum(np.concatenate([nothing, column], axis=-1), axis=-1)
    return ratio(sums, sums[..., -1:])


# ------------------------------------------------------------------ at a threshold


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts (or summed weights) at one threshold, each a scalar or float[R]; rates in [0, 1]."""

    true_positive: FloatArray
    false_positive: FloatArray
    true_negative: FloatArray
    false_negative: FloatArray

    @property
    def sensitivity(self) -> FloatArray:
        """Share of positives called positive (recall); NaN without positives."""
        return ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> FloatArray:
        """Share of negatives called negative; NaN without negatives."""
        return ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def precision(self) -> FloatArray:
        """Share of positives among those called positive; NaN when none is called positive."""
        return ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def f1(self) -> FloatArray:
        """2 TP / (2 TP + FP + FN); NaN when there is neither a positive nor a call of one."""
        twice = 2 * self.true_positive
        return ratio(twice, twice + self.false_positive + self.false_negative)

    @property
    def accuracy(self) -> FloatArray:
        """Share of rows called right; NaN without rows."""
        right = self.true_positive + self.true_negative
        return ratio(right, right + self.false_positive + self.false_negative)


def confusion(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Confusion:
    """Confusion counts where a score of at least `threshold` is a call of positive.

    Raises DataError as `checked`.
    """
    truth, values, counts = checked(labels, scores, weights)
    called = values >= threshold
    cells = (truth & called, ~truth & called, ~truth & ~called, truth & ~called)
    sums = counts @ np.stack(cells, axis=1).astype(np.float64)
    return Confusion(
        true_positive=sums[..., 0],
        false_positive=sums[..., 1],
        true_negative=sums[..., 2],
        false_negative=sums[..., 3],
    )


def net_benefit(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    thresholds: ArrayLike,
) -> FloatArray:
    """Net benefit of calling positive from each threshold on (Vickers and Elkin 2006).

    TP / n - FP / n * p / (1 - p) at a threshold probability p in (0, 1): true positives per case,
    less false positives at the price that p puts on them. Calling everyone is worth
    `net_benefit(labels, ones)`, calling no one 0. Float[G], or float[R, G] for weights [R, N]; NaN
    without rows.

    Raises:
        DataError: for a threshold outside (0, 1), and as `checked`.
    """
    truth, values, counts = checked(labels, probabilities, weights)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if not ((cuts > 0) & (cuts < 1)).all():
        raise DataError("a threshold probability lies outside (0, 1): its odds are not defined")
    called = values[:, None] >= cuts
    worth = np.where(truth[:, None], 1.0, -cuts / (1 - cuts)) * called
    return ratio(counts @ worth, counts.sum(axis=-1)[..., None])


THRESHOLD_METRICS: dict[str, Callable[[Confusion], FloatArray]] = {
    "sensitivity": lambda counts: counts.sensitivity,
    "specificity": lambda counts: counts.specificity,
    "precision": lambda counts: counts.precision,
    "f1": lambda counts: counts.f1,
    "accuracy": lambda counts: counts.accuracy,
}
"""The metrics of one threshold, by the names that result files use."""


def at_threshold(
    name: str, threshold: float
) -> Callable[[ArrayLike, ArrayLike, ArrayLike | None], FloatArray]:
    """The metric `name` of `THRESHOLD_METRICS` at a fixed threshold, ready to be resampled.

    Raises:
        DataError: for a name that is not in `THRESHOLD_METRICS`.
    """
    if name not in THRESHOLD_METRICS:
        raise DataError(f"no metric is called {name!r}: take one of {', '.join(THRESHOLD_METRICS)}")

    def metric(
        labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
    ) -> FloatArray:
        return THRESHOLD_METRICS[name](confusion(labels, scores, threshold, weights))

    return metric


def why_undefined(name: str, labels: ArrayLike) -> str:
    """Words for a metric that is NaN on these labels."""
    truth = np.asarray(labels, dtype=np.bool_)
    if not truth.size:
        return "no cases"
    if not truth.any() and name != "specificity":
        return "no positive cases"
    if truth.all() and name in ("specificity", "auc"):
        return "no negative cases"
    return "no case was called positive" if name == "precision" else "not defined for these cases"


# ------------------------------------------------------------------ choosing a threshold


def _between(cuts: FloatArray, chosen: int) -> float:
    """A threshold that admits cuts[:chosen + 1]: halfway to the next score below.

    Halfway is as good on the rows at hand and less tied to one of them than an observed score.
    """
    upper = float(cuts[chosen])
    if chosen + 1 == cuts.size:
        return upper
    middle = (upper + float(cuts[chosen + 1])) / 2
    # Neighbouring floats have no number between them; rounding down would admit one row more.
    return middle if float(cuts[chosen + 1]) < middle else upper


def youden_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold of the largest sensitivity + specificity - 1 (Youden 1950).

    Of several, the one with the highest sensitivity, because a missed case costs more than a
    second look; placed halfway between two observed scores. NaN where a class is absent. Raises
    DataError as `checked`.
    """
    truth, values, counts = checked(labels, scores)
    if truth.all() or not truth.any():
        return float("nan")
    cuts, positives, negatives = _by_score(truth, values, counts)
    hits, alarms = np.cumsum(positives), np.cumsum(negatives)
    # In whole numbers, so that equal gains compare equal.
    gain = hits * alarms[-1] - alarms * hits[-1]
    return _between(cuts, int(np.flatnonzero(gain == gain.max())[-1]))


def threshold_at_sensitivity(labels: ArrayLike, scores: ArrayLike, target: float) -> float:
    """The highest threshold whose sensitivity is at least `target`, a rate in (0, 1].

    Placed halfway to the next score below. NaN without positives.

    Raises:
        DataError: for a target outside (0, 1], and as `checked`.
    """
    if not 0 < target <= 1:
        raise DataError(f"a target sensitivity of {target} cannot be: give a rate in (0, 1]")
    truth, values, counts = checked(labels, scores)
    if not truth.any():
        return float("nan")
    cuts, positives, _ = _by_score(truth, values, counts)
    # A hair of tolerance: 19 of 20 is 95 percent although .95 * 20 is not exactly 19 in floats.
    enough = np.cumsum(positives) >= target * positives.sum() - 1e-9
    return _between(cuts, int(np.argmax(enough)))
