"""Studies: the slices of one folder or DICOM study make one result."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ladnn.bundle import Card, OperatingPoint, StudyRule
from ladnn.errors import DataError
from ladnn.findings import LESIONS, Decision, Prediction
from ladnn.scoring import Case, Level, combined


@dataclass(frozen=True, kw_only=True)
class StudyPrediction:
    """What the model says of one study.

    Attributes:
        name: the folder, or the DICOM study instance UID.
        slices, assessable: how many were read, and how many of those the guard let through.
        probability: of COVID-19 in [0, 1], by the card's study rule over the assessable slices;
            over all slices, as a number without meaning, when none is assessable.
        decision: not_assessable when no slice is.
        lesions: by the same rule in the order of `LESIONS`; None for a baseline.
    """

    name: str
    slices: int
    assessable: int
    probability: float
    decision: Decision
    operating_point: str
    lesions: tuple[float, ...] | None
    model_name: str
    model_version: str

    def to_json(self) -> dict[str, Any]:
        """The study's line of `ladnn predict --study --json`."""
        lesions = None if self.lesions is None else dict(zip(LESIONS, self.lesions, strict=True))
        return {
            "study": self.name,
            "slices": self.slices,
            "assessable": self.assessable,
            "covid": {
                "probability": self.probability,
                "decision": str(self.decision),
                "operating_point": self.operating_point,
            },
            "lesions": None if lesions is None else {str(k): v for k, v in lesions.items()},
            "model": {"name": self.model_name, "version": self.model_version},
            "research_use_only": True,
        }


def counting(rule: StudyRule, count: int) -> int:
    """How many of `count` slices count: a share `fraction`, `minimum` at least, all at most."""
    return min(count, max(rule.minimum, math.ceil(rule.fraction * count)))


def mean_top(values: Sequence[float], rule: StudyRule) -> float:
    """Mean of the largest values, of as many as are `counting`."""
    count = counting(rule, len(values))
    return math.fsum(sorted(values, reverse=True)[:count]) / count


def study_points(card: Card) -> dict[str, OperatingPoint]:
    """The cuts of a study's probability by name; the image's own where the card has no others."""
    return {**card.operating_points, **card.study_rule.operating_points}


def rule_in_words(rule: StudyRule) -> str:
    """The rule as a sentence's end: "the mean of ..."."""
    what = f"the largest {rule.fraction:.0%}" if rule.fraction < 1 else "all"
    least = f", at least {rule.minimum}" if rule.minimum > 1 and rule.fraction < 1 else ""
    return f"the mean probability of {what} of a patient's assessable images{least}"


def rule_with_origin(rule: StudyRule) -> str:
    """The rule as `rule_in_words`, and whether validation chose it."""
    default = "by default, for validation had too few patients to choose"
    return f"{rule_in_words(rule)}, {'as chosen on validation' if rule.chosen else default}"


def patients(cases: Sequence[Case], card: Card) -> Level:
    """The patients of `cases` by the card's study rule, at its cuts; see `scoring.combined`."""
    points = study_points(card)
    found = combined(
        cases,
        lambda chances: mean_top(chances, card.study_rule),
        {name: point.decide for name, point in points.items()},
    )
    return Level(cases=found, thresholds={name: p.threshold for name, p in points.items()})


def aggregate(
    name: str, predictions: Sequence[Prediction], card: Card, operating_point: str
) -> StudyPrediction:
    """One result for the slices of a study, by the rule in the card.

    Raises DataError for a study without slices, BundleError for an unknown operating point.
    """
    if not predictions:
        raise DataError(f"the study {name} has no slice that could be read: check its files")
    assessable = [prediction for prediction in predictions if prediction.assessable]
    counted = assessable or predictions
    rule = card.study_rule
    probability = mean_top([one.probability for one in counted], rule)
    point = study_points(card).get(operating_point) or card.operating_point(operating_point)
    columns = zip(*(one.lesions or () for one in counted), strict=True)
    lesions = tuple(mean_top(column, rule) for column in columns)
    return StudyPrediction(
        name=name,
        slices=len(predictions),
        assessable=len(assessable),
        probability=probability,
        decision=point.decide(probability) if assessable else Decision.NOT_ASSESSABLE,
        operating_point=operating_point,
        lesions=lesions or None,
        model_name=card.name,
        model_version=card.version,
    )
