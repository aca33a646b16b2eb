"""What the pages of the versions show: results, curves, history, agreement and drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from ladnn.bundle import MODEL_FILE, Card
from ladnn.gate import Answers
from ladnn.locked_test import Trial, read_trial
from ladnn.registry import Registry, Status, Version
from ladnn.service.watching import Agreement, Week, agreement, drift
from ladnn.statistics import curve

RATES = ("sensitivity", "specificity", "accuracy")
_POINTS = 120


@dataclass(frozen=True, kw_only=True)
class Row:
    """A version with its trial.

    Attributes:
        auc: estimate as in metrics.json; None where the version was never judged.
        rates: `RATES` at the operating point of the trial.
        path: of the ROC curve in a square of 100 x 100, for an SVG path.
    """

    version: Version
    trial: Trial | None
    auc: Mapping[str, Any] | None
    rates: Mapping[str, Mapping[str, Any]]
    path: str


@dataclass(frozen=True, kw_only=True)
class Use:
    """A version in use on this site."""

    agreement: Agreement
    weeks: list[Week]


def rows(registry: Registry) -> list[Row]:
    """Every version: the champion, then the others, the newest first."""
    found = [row(registry, version) for version in registry.versions().values()]
    found.reverse()
    return sorted(found, key=lambda one: one.version.status != Status.CHAMPION)


def row(registry: Registry, version: Version) -> Row:
    """One version with its trial."""
    trial = read_trial(registry, version.label)
    if trial is None:
        return Row(version=version, trial=None, auc=None, rates={}, path="")
    scores = trial.metrics["all"]["covid"]["per_image"]
    at = scores["at"][trial.metrics["operating_point"]]
    return Row(
        version=version,
        trial=trial,
        auc=scores["auc"],
        rates={name: at[name] for name in RATES},
        path=roc_path(trial.answers),
    )


def answering(registry: Registry, card: Card) -> Row | None:
    """The registered version that this card is of; None for a bundle that is in no registry.

    The model's hash decides: the bundle of the settings may have the name of a version.
    """
    version = registry.versions().get(f"{card.name}-{card.version}")
    if version is None or version.added.files.get(MODEL_FILE) != card.sha256:
        return None
    return row(registry, version)


def use(session: Session, name: str, version: str) -> Use:
    """How a version does here."""
    return Use(agreement=agreement(session, name, version), weeks=drift(session, name, version))


def roc_path(answers: Answers) -> str:
    """The ROC curve as an SVG path in a square of 100 x 100 whose origin is its upper left."""
    found = curve(answers.labels, answers.probabilities)
    x, y = 100 * found.false_positive_rate, 100 - 100 * found.sensitivity
    if not np.isfinite([*x, *y]).all():
        return ""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return "M" + " L".join(f"{x[i]:.1f} {y[i]:.1f}" for i in kept)
