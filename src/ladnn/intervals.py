"""How sure a metric is: patient-clustered bootstrap, DeLong, Student.

Images of one patient resemble each other, so patients are drawn, not images: an interval that
drew images would be too narrow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ladnn.errors import DataError
from ladnn.statistics import BoolArray, FloatArray, checked

Metric = Callable[[ArrayLike, ArrayLike, ArrayLike | None], FloatArray]
"""(labels [N], scores [N], weights [N] or [R, N] or None) -> a scalar, or float[R]."""

REPLICATES = 2000
LEVEL = 0.95
_CELLS = 2_000_000  # of one block of weights: 16 MB, however many rows and replicates
_DEFINED = 0.9  # of the replicates; with fewer, the rest would be a selection


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its interval; `reason` says why either is None, or not to be relied on."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """First minus second, with its interval and a two-sided p-value; None where not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None


def _codes(clusters: Sequence[object], rows: int) -> NDArray[np.intp]:
    """Number of the cluster of each row, in order of first appearance."""
    if len(clusters) != rows:
        raise DataError(f"{len(clusters)} patients for {rows} rows: give one per row")
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in clusters], dtype=np.intp)


def _blocks(codes: NDArray[np.intp], replicates: int, seed: int) -> Iterator[FloatArray]:
    """Weights float[r, N] of resamples that draw whole clusters with replacement."""
    generator = np.random.default_rng(seed)
    clusters = int(codes.max()) + 1
    block = max(1, _CELLS // codes.size)
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        drawn = generator.integers(clusters, size=(size, clusters))
        drawn += np.arange(size)[:, None] * clusters
        counts = np.bincount(drawn.ravel(), minlength=size * clusters).reshape(size, clusters)
        yield counts[:, codes].astype(np.float64)


def check_settings(replicates: int, level: float) -> None:
    """Raise DataError unless the level is in (0, 1) and a resample is left for either tail."""
    if not 0 < level < 1:
        raise DataError(f"a level of {level} cannot be: give a share in (0, 1), as 0.95")
    fewest = ceil(round(2 / (1 - level), 6))  # 40 of 95%, which is 40.000..04 in binary
    if replicates < fewest:
        raise DataError(
            f"{replicates} resamples make no interval of {100 * level:g}%: give {fewest} or more"
        )


def _percentiles(draws: FloatArray, level: float) -> tuple[float, float] | None:
    """Equal-tailed percentiles of the defined draws; None where too few are defined."""
    defined = draws[np.isfinite(draws)]
    if defined.size < _DEFINED * draws.size:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap(
    metrics: Mapping[str, Metric],
    labels: ArrayLike,
    scores: ArrayLike,
    clusters: Sequence[object],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Each metric with its percentile interval over resamples of whole clusters.

    All metrics see the same resamples. The interval needs two clusters and a metric that is
    defined in nine of ten resamples; `value` is the metric of the rows as they are.

    Args:
        metrics: by name; each takes weights float[R, N] (see `Metric`).
        labels: bool[N].
        scores: float[N].
        clusters: the patient of each row; any hashable, equal for rows of one patient.
        replicates: how many resamples.
        level: coverage in (0, 1).
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        DataError: for lengths that differ, and what the metrics refuse.
    """
    check_settings(replicates, level)
    truth = np.asarray(labels)
    codes = _codes(clusters, truth.size)
    values = {name: float(metric(truth, scores, None)) for name, metric in metrics.items()}
    wanted = [name for name, value in values.items() if np.isfinite(value)]
    if codes.size == 0 or codes.max() == 0 or not wanted:
        return {name: _without_interval(values[name]) for name in metrics}
    draws: dict[str, list[FloatArray]] = {name: [] for name in wanted}
    for weights in _blocks(codes, replicates, seed):
        for name in wanted:
            draws[name].append(metrics[name](truth, scores, weights))
    return {
        name: _estimate(values[name], np.concatenate(draws[name]), level)
        if name in draws
        else _without_interval(values[name])
        for name in metrics
    }


def _without_interval(value: float) -> Estimate:
    if not np.isfinite(value):
        return Estimate(value=None, reason="not defined for these cases")
    return Estimate(value=value, reason="no interval: all cases are of one patient")


def _estimate(value: float, draws: FloatArray, level: float) -> Estimate:
    bounds = _percentiles(draws, level)
    if bounds is None:
        reason = "no interval: not defined in more than one of ten resamples"
        return Estimate(value=value, reason=reason)
    # A rate of 0 or 1 stays so in every resample, however few cases it is made of.
    flat = "no spread: every resample gives this value, so the true interval is wider"
    spread = bounds[0] < bounds[1]
    return Estimate(value=value, low=bounds[0], high=bounds[1], reason=None if spread else flat)


def bands(
    curve: Callable[[ArrayLike, ArrayLike, ArrayLike], FloatArray],
    labels: ArrayLike,
    scores: ArrayLike,
    clusters: Sequence[object],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Pointwise percentile band of a curve over resamples of whole clusters.

    Args:
        curve: of labels [N], scores [N] and weights [R, N]: the heights float[R, G] at G places.
        labels: bool[N].
        scores: float[N].
        clusters: the patient of each row.
        replicates: how many resamples; those of `bootstrap` with the same seed.
        level: coverage in (0, 1) at each place.
        seed: of the resampling.

    Returns:
        Lower and upper ends, float[G]; NaN where the curve is undefined in more than one of ten
        resamples, and everywhere where all rows are of one cluster or there are none.

    Raises:
        DataError: as `bootstrap`.
    """
    check_settings(replicates, level)
    truth = np.asarray(labels)
    codes = _codes(clusters, truth.size)
    if codes.size == 0 or codes.max() == 0:
        places = curve(truth, scores, np.ones((1, truth.size))).shape[-1]
        return np.full(places, np.nan), np.full(places, np.nan)
    heights = [curve(truth, scores, weights) for weights in _blocks(codes, replicates, seed)]
    ends = [_percentiles(column, level) for column in np.concatenate(heights).T]
    bounds = [(np.nan, np.nan) if end is None else end for end in ends]
    low, high = np.array(bounds, dtype=np.float64).T
    return low, high


def paired_bootstrap(
    metric: Metric,
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    clusters: Sequence[object],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference:
    """Difference of a metric between two models on the same rows, whole clusters resampled.

    Both models see the same resamples, so what they share cancels. The p-value is twice the
    smaller share of resamples on one side of zero, counting one more on each side, so it is never
    zero: with R replicates at least 2 / (R + 1). Arguments and errors as `bootstrap`.
    """
    check_settings(replicates, level)
    truth = np.asarray(labels)
    codes = _codes(clusters, truth.size)
    value = float(metric(truth, first, None) - metric(truth, second, None))
    if not np.isfinite(value):
        return Difference(value=None, reason="not defined for these cases")
    if codes.max() == 0:
        return Difference(value=value, reason="no interval: all cases are of one patient")
    draws = np.concatenate(
        [
            metric(truth, first, weights) - metric(truth, second, weights)
            for weights in _blocks(codes, replicates, seed)
        ]
    )
    bounds = _percentiles(draws, level)
    if bounds is None:
        reason = "no interval: not defined in more than one of ten resamples"
        return Difference(value=value, reason=reason)
    defined = draws[np.isfinite(draws)]
    smaller = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    p_value = min(1.0, 2 * (smaller + 1) / (defined.size + 1))
    return Difference(value=value, low=bounds[0], high=bounds[1], p_value=p_value)


# ------------------------------------------------------------------ DeLong


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1 along the last axis of [K, N]; ties share the mean of theirs."""
    ranks = np.empty(values.shape)
    for row, out in zip(values, ranks, strict=True):
        _, member, counts = np.unique(row, return_inverse=True, return_counts=True)
        out[:] = (np.cumsum(counts) - (counts - 1) / 2)[member]
    return ranks


def _delong(positive: BoolArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """AUC float[K] and covariance float[K, K] of K models' scores [K, N]; NaN if not defined."""
    models = values.shape[0]
    cases, controls = int(positive.sum()), int((~positive).sum())
    if not cases or not controls:
        return np.full(models, np.nan), np.full((models, models), np.nan)
    together = _midranks(values)
    # The placement of each case among the controls, and of each control among the cases.
    of_cases = (together[:, positive] - _midranks(values[:, positive])) / controls
    of_controls = 1 - (together[:, ~positive] - _midranks(values[:, ~positive])) / cases
    if min(cases, controls) < 2:
        return of_cases.mean(axis=1), np.full((models, models), np.nan)
    spread = np.cov(of_cases) / cases + np.cov(of_controls) / controls
    return of_cases.mean(axis=1), np.reshape(spread, (models, models))


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Difference:
    """Paired test of two models' AUC on the same rows (DeLong 1988, by the ranks of Sun 2014).

    Labels are bool[N], scores float[N]; `value` is the first AUC minus the second. It takes images
    as independent: for several images per patient prefer `paired_bootstrap`. Where a class is
    absent or has one case, and where the difference has no variance, there is no test and `reason`
    says so.

    Raises:
        DataError: shapes that differ, labels other than 0 and 1, scores that are not numbers.
    """
    (positive, one, _), (_, two, _) = checked(labels, first), checked(labels, second)
    auc, covariance = _delong(positive, np.stack([one, two]))
    value = float(auc[0] - auc[1])
    if not np.isfinite(value):
        return Difference(value=None, reason="both classes are needed")
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # Rounding leaves a variance of 1e-18 where the two rank alike; that is none.
    if not variance > 1e-15:
        return Difference(value=value, reason="no test: the difference has no variance")
    error = sqrt(variance)
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    p_value = erfc(abs(value) / error / sqrt(2))
    return Difference(value=value, low=value - half, high=value + half, p_value=p_value)


def student_interval(values: Sequence[float]) -> Estimate:
    """The mean of a share over repetitions, as of seeds, with Student's interval cut to [0, 1].

    It says how sure the mean over seeds is and nothing of other patients.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0 or not np.isfinite(numbers).all():
        return Estimate(value=None, reason="not defined for every repetition")
    mean = float(numbers.mean())
    if numbers.size == 1:
        return Estimate(value=mean, reason="no interval: one repetition")
    from scipy.special import stdtrit

    half = float(stdtrit(numbers.size - 1, (1 + LEVEL) / 2) * numbers.std(ddof=1))
    half /= sqrt(numbers.size)
    return Estimate(value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half))
