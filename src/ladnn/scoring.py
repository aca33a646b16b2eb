"""Judged images in, metrics with patient-clustered intervals out: pure, one record per group."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from ladnn.calibration import brier, expected_calibration_error
from ladnn.findings import LESIONS, Decision
from ladnn.intervals import LEVEL, REPLICATES, Estimate, Metric, bootstrap
from ladnn.statistics import (
    THRESHOLD_METRICS,
    BoolArray,
    FloatArray,
    at_threshold,
    average_precision,
    confusion,
    mean,
    roc_auc,
    why_undefined,
)

HALF = "0.5"
"""The name of the threshold of one half, beside the operating points."""

LESION_MINIMUM = 10
"""A lesion's metric is given from this many cases on, of each class that it rests on."""

CAUTION_BELOW = 30
"""With fewer patients of a class, numbers are shown with a caution and not concluded from."""

RANKING: dict[str, Metric] = {
    "auc": roc_auc,
    "average_precision": average_precision,
    "brier": brier,
    "ece": expected_calibration_error,
}
"""The metrics that need no threshold, by the names that result files use."""

Combine = Callable[[Sequence[float]], float]
Decide = Mapping[str, Callable[[float], Decision]]

_RESTS_ON = {"sensitivity": (True,), "specificity": (False,)}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How intervals are made: number of resamples, coverage in (0, 1), seed."""

    replicates: int = REPLICATES
    level: float = LEVEL
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image, or one patient, what is known of it and what the model says.

    Attributes:
        path, source, patient: of the manifest.
        label: COVID-19 is True.
        probability: of COVID-19, calibrated, in [0, 1].
        decisions: by operating point.
        lesion_labels: in the order of `LESIONS`; None is unknown.
        lesion_probabilities: in [0, 1], in that order; None for a baseline.
        in_distribution: score in [0, 1]; None where the guard was not asked.
    """

    path: str
    source: str
    patient: str
    label: bool
    probability: float
    decisions: Mapping[str, Decision]
    lesion_labels: tuple[bool | None, ...] = (None,) * len(LESIONS)
    lesion_probabilities: tuple[float, ...] | None = None
    in_distribution: float | None = None


@dataclass(frozen=True, kw_only=True)
class AtThreshold:
    """Counts and rates where a probability of at least `threshold` is called positive.

    `threshold` is None where the calls are the model's own decisions.
    """

    threshold: float | None
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate
    f1: Estimate
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Every metric of one label over one set of cases (images, or patients).

    Attributes:
        cases, positives, negatives, patients: counts.
        auc, average_precision, brier, ece: without a threshold.
        at: by the name of the threshold, `HALF` or an operating point.
        caution: why not to conclude from these numbers; None where there are enough patients.
    """

    cases: int
    positives: int
    negatives: int
    patients: int
    auc: Estimate
    average_precision: Estimate
    brier: Estimate
    ece: Estimate
    at: dict[str, AtThreshold]
    caution: str | None


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What the model decides at one operating point, band and refusals included.

    Attributes:
        counts: images by decision.
        refusal_rate: share of images that are not assessable.
        indeterminate_rate: share of images that are assessable and fall into the band.
        decided: the rates among the images that are called positive or negative.
    """

    counts: dict[str, int]
    refusal_rate: Estimate
    indeterminate_rate: Estimate
    decided: AtThreshold


@dataclass(frozen=True, kw_only=True)
class Group:
    """All results of one source, or of all sources together.

    Attributes:
        images, patients: counts.
        mixed_patients: patients with images of both labels; they count as positive.
        covid: `per_image` and `per_patient`.
        decisions, patient_decisions: by operating point, of images and of patients.
        lesions, patient_lesions: by lesion, over the images and the patients of whom it is known;
            None for a baseline.
    """

    images: int
    patients: int
    mixed_patients: int
    covid: dict[str, Scores]
    decisions: dict[str, Decisions]
    patient_decisions: dict[str, Decisions]
    lesions: dict[str, Scores] | None
    patient_lesions: dict[str, Scores] | None


@dataclass(frozen=True, kw_only=True)
class Level:
    """Cases of one kind, images or patients, with the cuts that turn them into decisions.

    Attributes:
        cases: of one group; may be empty, and then nothing is defined.
        thresholds: of the operating points by name; each case has a decision for each.
    """

    cases: Sequence[Case]
    thresholds: Mapping[str, float]


def score(
    cases: Sequence[Case],
    thresholds: Mapping[str, float],
    settings: Settings | None = None,
    *,
    patients: Level | None = None,
) -> Group:
    """All metrics of a group of images and of the patients they make.

    Args:
        cases: the images; may be empty, and then nothing is defined.
        thresholds: of the operating points by name; each case has a decision for each.
        settings: of the intervals.
        patients: one case for each patient; by the plain mean, without decisions, if not given.
    """
    chosen = settings or Settings()
    images = Level(cases=cases, thresholds=thresholds)
    patients = patients or Level(cases=combined(cases), thresholds={})
    whole = patients.cases
    positive = {case.patient for case in cases if case.label}
    negative = {case.patient for case in cases if not case.label}
    return Group(
        images=len(cases),
        patients=len(positive | negative),
        mixed_patients=len(positive & negative),
        covid={
            "per_image": covid_scores(images, chosen),
            "per_patient": covid_scores(patients, chosen),
        },
        decisions={name: _decisions(cases, name, chosen) for name in images.thresholds},
        patient_decisions={name: _decisions(whole, name, chosen) for name in patients.thresholds},
        lesions=_lesions(cases, chosen),
        patient_lesions=_lesions(whole, chosen),
    )


def combined(
    cases: Sequence[Case],
    combine: Combine = fmean,
    decide: Decide = MappingProxyType({}),
) -> tuple[Case, ...]:
    """One case for each patient of `cases`, in order of appearance.

    A patient is positive if any image is; a lesion is present if it is on any image, absent if
    known to be absent on all, and unknown otherwise. The images that the guard let through count;
    where there is none, all do and the decision is not_assessable. `combine` makes one probability
    of those of a patient's images; `decide` says, by operating point, what that means.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.patient, []).append(case)
    return tuple(_patient(group, combine, decide) for group in groups.values())


def _patient(group: Sequence[Case], combine: Combine, decide: Decide) -> Case:
    assessable = [case for case in group if Decision.NOT_ASSESSABLE not in case.decisions.values()]
    counted = assessable or group
    chance = combine([case.probability for case in counted])
    columns = zip(*(case.lesion_probabilities or () for case in counted), strict=True)
    decisions = {
        name: point(chance) if assessable else Decision.NOT_ASSESSABLE
        for name, point in decide.items()
    }
    return replace(
        group[0],
        label=any(case.label for case in group),
        probability=chance,
        decisions=decisions,
        lesion_labels=tuple(map(_any_known, zip(*(c.lesion_labels for c in group), strict=True))),
        lesion_probabilities=tuple(combine(column) for column in columns) or None,
    )


def _any_known(labels: Sequence[bool | None]) -> bool | None:
    return True if any(labels) else None if None in labels else False


def covid_scores(level: Level, settings: Settings) -> Scores:
    """Every metric of COVID-19 over the cases of one level."""
    return _scores(
        [case.label for case in level.cases],
        [case.probability for case in level.cases],
        [case.patient for case in level.cases],
        {HALF: 0.5, **level.thresholds},
        settings,
    )


def _lesions(cases: Sequence[Case], settings: Settings) -> dict[str, Scores] | None:
    if any(case.lesion_probabilities is None for case in cases):
        return None
    return {str(name): _lesion(cases, index, settings) for index, name in enumerate(LESIONS)}


def _lesion(cases: Sequence[Case], index: int, settings: Settings) -> Scores:
    known = [case for case in cases if case.lesion_labels[index] is not None]
    labels = [bool(case.lesion_labels[index]) for case in known]
    chances = [case.lesion_probabilities[index] for case in known if case.lesion_probabilities]
    patients = [case.patient for case in known]
    return _scores(labels, chances, patients, {HALF: 0.5}, settings, minimum=LESION_MINIMUM)


# ------------------------------------------------------------------ one set of labels and scores


def _scores(
    labels: Sequence[bool],
    scores: Sequence[float],
    patients: Sequence[str],
    cuts: Mapping[str, float],
    settings: Settings,
    *,
    minimum: int = 0,
) -> Scores:
    truth, values = np.array(labels, dtype=np.bool_), np.array(scores, dtype=np.float64)
    metrics = dict(RANKING)
    for name, cut in cuts.items():
        metrics |= {f"{metric} {name}": at_threshold(metric, cut) for metric in THRESHOLD_METRICS}
    found = _estimates(metrics, truth, values, patients, settings, minimum=minimum)
    return Scores(
        cases=truth.size,
        positives=int(truth.sum()),
        negatives=int((~truth).sum()),
        patients=len(set(patients)),
        **{name: found[name] for name in RANKING},
        at={name: _at(truth, values, cut, name, found) for name, cut in cuts.items()},
        caution=caution(labels, patients),
    )


def _at(
    truth: ArrayLike, values: ArrayLike, cut: float, name: str, found: Mapping[str, Estimate]
) -> AtThreshold:
    counts = confusion(truth, values, cut)
    return AtThreshold(
        threshold=cut,
        true_positive=int(counts.true_positive),
        false_positive=int(counts.false_positive),
        true_negative=int(counts.true_negative),
        false_negative=int(counts.false_negative),
        **{metric: found[f"{metric} {name}"] for metric in THRESHOLD_METRICS},
    )


def _estimates(
    metrics: Mapping[str, Metric],
    truth: BoolArray,
    values: FloatArray,
    patients: Sequence[str],
    settings: Settings,
    *,
    minimum: int = 0,
) -> dict[str, Estimate]:
    """Bootstrapped metrics by name; the first word of a name is the metric's own."""
    withheld = {name: _too_few(name.split()[0], truth, minimum) for name in metrics}
    found = bootstrap(
        {name: metric for name, metric in metrics.items() if not withheld[name]},
        truth,
        values,
        patients,
        replicates=settings.replicates,
        level=settings.level,
        seed=settings.seed,
    )
    out = {name: Estimate(value=None, reason=reason) for name, reason in withheld.items()}
    for name, estimate in found.items():
        undefined = estimate.value is None
        reason = why_undefined(name.split()[0], truth) if undefined else estimate.reason
        out[name] = replace(estimate, reason=reason)
    return out


def _too_few(metric: str, truth: BoolArray, minimum: int) -> str | None:
    """Why this metric is withheld; None where each class that it rests on has enough cases."""
    for label in _RESTS_ON.get(metric, (True, False)):
        count, kind = int((truth == label).sum()), "positive" if label else "negative"
        if count < minimum:
            return f"too few examples: {count} {kind}, at least {minimum} are needed"
    return None


def caution(labels: Sequence[bool], patients: Sequence[str]) -> str | None:
    """Why not to conclude from these: many images of few patients say little; None if enough."""
    people = set(zip(labels, patients, strict=True))
    positives, negatives = (sum(label == kind for label, _ in people) for kind in (True, False))
    if min(positives, negatives) >= CAUTION_BELOW:
        return None
    sizes = f"{positives} positive and {negatives} negative patients"
    return f"{sizes}: fewer than {CAUTION_BELOW} of a class are too few to conclude from"


# ------------------------------------------------------------------ decisions


def _decisions(cases: Sequence[Case], name: str, settings: Settings) -> Decisions:
    taken = [case.decisions[name] for case in cases]
    counts = Counter(taken)
    clear = (Decision.POSITIVE, Decision.NEGATIVE)
    return Decisions(
        counts={str(decision): counts[decision] for decision in Decision},
        refusal_rate=_share(cases, taken, Decision.NOT_ASSESSABLE, settings),
        indeterminate_rate=_share(cases, taken, Decision.INDETERMINATE, settings),
        decided=_decided([case for case in cases if case.decisions[name] in clear], name, settings),
    )


def _share(
    cases: Sequence[Case], taken: Sequence[Decision], wanted: Decision, settings: Settings
) -> Estimate:
    is_wanted = np.array([decision == wanted for decision in taken], dtype=np.bool_)
    patients = [case.patient for case in cases]
    values = is_wanted.astype(np.float64)
    return _estimates({"share": mean}, is_wanted, values, patients, settings)["share"]


def _decided(cases: Sequence[Case], name: str, settings: Settings) -> AtThreshold:
    truth = np.array([case.label for case in cases], dtype=np.bool_)
    calls = np.array([case.decisions[name] == Decision.POSITIVE for case in cases], dtype=float)
    metrics = {f"{metric} {name}": at_threshold(metric, 0.5) for metric in THRESHOLD_METRICS}
    found = _estimates(metrics, truth, calls, [case.patient for case in cases], settings)
    return replace(_at(truth, calls, 0.5, name, found), threshold=None)
