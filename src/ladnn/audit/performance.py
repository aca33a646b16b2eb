"""How well the model does on the images examined, per image and per patient."""

from collections.abc import Sequence

from ladnn.audit.answers import Answer, Cell, Table, words
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card, StudyRule
from ladnn.evaluation import score_images
from ladnn.scoring import Group, Scores, Settings
from ladnn.study import rule_in_words, rule_with_origin

_HEADS = (
    "source",
    "per",
    "positive",
    "negative",
    "AUC",
    "average precision",
    "accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "F1",
)
_UNITS = {"per_image": "image", "per_patient": "patient"}


def answer(card: Card, subjects: Sequence[Subject], settings: Settings, *, point: str) -> Answer:
    """Every metric per image and per patient, over all sources and in each."""
    cases = [subject.case for subject in subjects]
    names = tuple(dict.fromkeys(case.source for case in cases))
    groups = {"all": cases} if len(names) > 1 else {}
    groups |= {name: [case for case in cases if case.source == name] for name in names}
    found = {name: score_images(part, card, settings) for name, part in groups.items()}
    rows = [
        _row(name, unit, group.covid[unit], point)
        for name, group in found.items()
        for unit in _UNITS
    ]
    return Answer(
        key="performance",
        title="Performance",
        method=(
            f"Rates are at the {point} threshold. For a patient: {_of_a_patient(card.study_rule)}. "
            "Clusters of near-duplicates stand for patients where those are unknown. The AUC takes "
            "in the images that the model would refuse."
        ),
        findings=tuple(_sentence(name, group) for name, group in found.items()),
        tables=(Table(title="Per image and per patient", heads=_HEADS, rows=tuple(rows)),),
    )


def _of_a_patient(rule: StudyRule) -> str:
    if not rule.chosen:
        return f"{rule_with_origin(rule)}, and the thresholds of an image"
    return f"{rule_in_words(rule)}, and the thresholds of the study rule, both chosen on validation"


def _row(name: str, unit: str, scores: Scores, point: str) -> tuple[Cell, ...]:
    at = scores.at[point]
    rates = (at.accuracy, at.sensitivity, at.specificity, at.precision, at.f1)
    sizes = (scores.positives, scores.negatives)
    return (name, _UNITS[unit], *sizes, scores.auc, scores.average_precision, *rates)


def _sentence(name: str, group: Group) -> str:
    image, patient = group.covid["per_image"], group.covid["per_patient"]
    sentence = (
        f"{name}: AUC {words(image.auc)} over {group.images} images and {words(patient.auc)} over "
        f"{group.patients} patients"
    )
    few = image.caution or patient.caution
    return f"{sentence}; {few}." if few else f"{sentence}."
