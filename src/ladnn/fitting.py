"""What a bundle's card says of its probabilities, fitted on validation and on nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ladnn.bundle import LesionCalibration, OperatingPoint, StudyRule
from ladnn.calibration import fit_temperature, probability
from ladnn.errors import DataError
from ladnn.findings import LESIONS
from ladnn.statistics import roc_auc, threshold_at_sensitivity, youden_threshold
from ladnn.study import mean_top

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SCREENING = 0.95
"""Sensitivity that the screening point keeps on validation."""
BAND = 0.1
"""Share of validation images, those nearest to the threshold, that the band holds."""
ENOUGH = 10
"""Positive and negative images that a lesion's temperature needs."""
MOST_REPEATS = 4
"""How often the images of a small source count at most."""
FRACTIONS = (1.0, 0.5, 0.25)
"""Shares of a study's slices that its result may be made of."""
ENOUGH_STUDIES = 10
"""Studies of several slices, of each class, that the choice of such a share needs."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The validation images and what the graph said of them.

    Attributes:
        logits: float [N, 6], or [N, 1] of a baseline; uncalibrated.
        covid: bool [N].
        lesions: float [N, 5]; 1 is present, 0 absent, NaN unknown.
        sources, patients: of each image.
    """

    logits: Floats
    covid: Bools
    lesions: Floats
    sources: tuple[str, ...]
    patients: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The fitted part of the card; see `bundle.Card`."""

    temperature: float
    lesions: dict[str, LesionCalibration]
    operating_points: dict[str, OperatingPoint]
    study_rule: StudyRule


def fit(scored: Scored) -> Fitted:
    """Fit temperatures, operating points, the band and the study rule.

    Images of small sources are repeated for the temperature and the cuts of an image, so that a
    large collection does not set them alone. The cuts of a study rest on patients as they are.

    Raises:
        DataError: validation without both classes.
    """
    check_classes(scored.covid)
    rows = balanced_rows(scored.sources)
    covid, logits = scored.covid[rows], scored.logits[rows, 0]
    temperature = fit_temperature(covid, logits) or 1.0
    chances = probability(scored.logits[:, 0], temperature)
    return Fitted(
        temperature=temperature,
        lesions=_lesions(scored),
        operating_points=operating_points(covid, chances[rows]),
        study_rule=study_rule(chances, scored),
    )


def check_classes(covid: Bools) -> None:
    """Refuse a validation split on which nothing can be fitted; raises DataError."""
    if covid.all() or not covid.any():
        raise DataError(
            f"the validation split holds {int(covid.sum())} positive of {len(covid)} "
            f"images: give a manifest whose validation split has both classes"
        )


def balanced_rows(sources: Iterable[str]) -> NDArray[np.intp]:
    """Row numbers in which each source is repeated until it is about as large as the largest."""
    names = np.array(list(sources))
    counts = dict(zip(*np.unique(names, return_counts=True), strict=True))
    largest = max(counts.values())
    repeats = [min(round(largest / counts[name]), MOST_REPEATS) for name in names]
    return np.repeat(np.arange(len(names)), repeats)


def operating_points(covid: Bools, chances: Floats) -> dict[str, OperatingPoint]:
    """`balanced` by Youden's index, with the indeterminate band; `screening` by sensitivity.

    Args:
        covid: bool [N], with both classes.
        chances: float [N], calibrated probabilities.
    """
    cut = youden_threshold(covid, chances)
    low, high = _band(chances, cut)
    balanced = OperatingPoint(
        threshold=cut,
        low=low,
        high=high,
        rule=(
            f"Youden's index on validation; the band holds the {BAND:.0%} of validation images "
            f"nearest to the threshold"
        ),
    )
    sure = threshold_at_sensitivity(covid, chances, SCREENING)
    screening = OperatingPoint(
        threshold=sure,
        low=sure,
        high=sure,
        rule=f"the highest threshold with sensitivity {SCREENING:g} on validation; no band",
    )
    return {"balanced": balanced, "screening": screening}


def _band(chances: Floats, cut: float) -> tuple[float, float]:
    # measured in log-odds, where a step means the same near 0 and near a half
    centre, odds = _log_odds(np.array(cut)), _log_odds(chances)
    width = float(np.quantile(np.abs(odds - centre), BAND))
    low, high = (float(probability(centre + step)) for step in (-width, width))
    return min(low, cut), max(high, cut)


def _log_odds(chances: Floats) -> Floats:
    clipped = np.clip(chances, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _lesions(scored: Scored) -> dict[str, LesionCalibration]:
    columns = range(1, scored.logits.shape[1])
    return {
        str(LESIONS[k - 1]): _lesion(scored.lesions[:, k - 1], scored.logits[:, k]) for k in columns
    }


def _lesion(labels: Floats, logits: Floats) -> LesionCalibration:
    known = ~np.isnan(labels)
    truth = labels[known] > 0
    positives, negatives = int(truth.sum()), int((~truth).sum())
    temperature = None
    if min(positives, negatives) >= ENOUGH:
        temperature = fit_temperature(truth, logits[known])
    return LesionCalibration(
        temperature=temperature,
        calibrated=temperature is not None,
        validation_positives=positives,
    )


# ------------------------------------------------------------------ studies


def study_rule(chances: Floats, scored: Scored) -> StudyRule:
    """The share of slices whose mean separates the validation patients best, and its cuts.

    `chances` are the calibrated probabilities of COVID-19, float [N], of the images of `scored`.

    The share is chosen on patients of several slices, the cuts on all, because all are judged by
    them. With few patients of several slices it is the plain mean, at the image's operating points.
    """
    everyone = _by_patient(scored.patients)
    groups = [group for group in everyone if len(group) > 1]
    covid = _covid(groups, scored)
    if min(int(covid.sum()), int((~covid).sum())) < ENOUGH_STUDIES:
        return StudyRule()
    rules = [StudyRule(fraction=fraction) for fraction in FRACTIONS]
    # the first of equals: the larger share rests on more slices
    best = max(rules, key=lambda rule: float(roc_auc(covid, _studies(chances, groups, rule))))
    points = operating_points(_covid(everyone, scored), _studies(chances, everyone, best))
    return StudyRule(fraction=best.fraction, operating_points=points)


def _by_patient(patients: tuple[str, ...]) -> list[NDArray[np.intp]]:
    names = np.array(patients)
    return [np.flatnonzero(names == name) for name in dict.fromkeys(patients)]


def _covid(groups: list[NDArray[np.intp]], scored: Scored) -> Bools:
    return np.array([scored.covid[group].any() for group in groups], dtype=bool)


def _studies(chances: Floats, groups: list[NDArray[np.intp]], rule: StudyRule) -> Floats:
    return np.array([mean_top(chances[group].tolist(), rule) for group in groups])
