"""What is shown of the versions: results, curves, history, agreement and drift."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ladnn.bundle import MODEL_FILE, Card
from ladnn.errors import BundleError, DamagedError, RegistryError, UnreachableError
from ladnn.findings import LESIONS
from ladnn.gate import Answers, Verdict
from ladnn.ledger import Event, Status, Version
from ladnn.locked_test import Trial, compare_versions, read_trial
from ladnn.registry import Registry
from ladnn.service.context import Services
from ladnn.service.models import known, registry_of
from ladnn.service.watching import Agreement, Week, agreement
from ladnn.service.wording import Say
from ladnn.statistics import curve

RATES = ("sensitivity", "specificity", "accuracy")
_POINTS = 120
_RIGHT_CALLS = re.compile(  # as `gate` and `locked_test.subgroups` name them
    r"right calls in (?:images with (\w+)|(?:(.+), )?(positives|negatives)|(.+))"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A version with its trial.

    Attributes:
        auc: estimate as in metrics.json; None where the version was never judged.
        rates: `RATES` at the default operating point.
        path: of the ROC curve in a square of 100 x 100, for an SVG path.
        damaged: whether the trial is missing or was altered, which is as if there were none.
    """

    version: Version
    trial: Trial | None
    auc: Mapping[str, Any] | None
    rates: Mapping[str, Mapping[str, Any]]
    path: str
    damaged: bool = False

    @property
    def history(self) -> tuple[Event, ...]:
        """All that happened to the version, the newest last."""
        return (self.version.added, *self.version.events)


@dataclass(frozen=True, kw_only=True)
class Use:
    """A version in use on this site."""

    agreement: Agreement
    weeks: list[Week]


@dataclass(frozen=True, kw_only=True)
class Whole:
    """All that is known of a version; without card and use where it cannot be opened."""

    row: Row
    card: Card | None
    use: Use | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two versions; the verdict is None where they were not both judged on the same test."""

    pair: tuple[Row, Row]
    verdict: Verdict | None


def in_order(registry: Registry) -> list[Version]:
    """Every version: the champion, then the others, the newest first."""
    newest = reversed(registry.versions().values())
    return sorted(newest, key=lambda one: one.status != Status.CHAMPION)


def whole(site: Services, label: str) -> Whole:
    """A version with its card and its use; NotFound where there is none of that label."""
    registry = registry_of(site)
    version = known(registry.versions(), label)
    try:
        card = registry.open(label).card
    except (DamagedError, BundleError):  # gone, altered, or of a newer program
        return Whole(row=row(registry, version), card=None, use=None)
    return Whole(row=row(registry, version), card=card, use=use(site, card))


def comparison(registry: Registry, first: str, second: str) -> Comparison:
    """The second version beside the first; NotFound where one of the labels is unknown."""
    versions = registry.versions()
    one, other = (row(registry, known(versions, label)) for label in (first, second))
    try:
        verdict = compare_versions(registry, first, second)
    except UnreachableError:  # which says nothing of the two
        raise
    except RegistryError:  # one was never judged, or they were judged on different tests
        verdict = None
    return Comparison(pair=(one, other), verdict=verdict)


def doubt(registry: Registry, label: str) -> str:
    """What speaks against promoting a version, as a key of the catalogues; "" where nothing does.

    Raises NotFound for an unknown version.
    """
    champion = registry.champion()
    if champion is None or champion == label:
        return ""
    verdict = comparison(registry, champion, label).verdict
    if verdict is None:
        return "models.unproven"
    return "" if verdict.passed else "models.below_gate"


def row(registry: Registry, version: Version) -> Row:
    """One version with its trial."""
    damaged = False
    try:
        trial = read_trial(registry, version.label)
    except DamagedError:  # the others are shown, and can be promoted
        trial, damaged = None, True
    if trial is None:
        return Row(version=version, trial=None, auc=None, rates={}, path="", damaged=damaged)
    return Row(
        version=version,
        trial=trial,
        auc=trial.metrics["all"]["covid"]["per_image"]["auc"],
        rates={name: trial.rates[name] for name in RATES},
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


def use(site: Services, card: Card) -> Use:
    """How the version of that card does here."""
    name, version = card.name, card.version
    return site.database.read(
        lambda session: Use(
            agreement=agreement(session, name, version),
            weeks=site.watcher.drift(session, name, version),
        )
    )


def check_in_words(say: Say, name: str) -> str:
    """What the gate compares, for a row of a table; a name that is not known as it is."""
    if name == "sensitivity":
        return say("models.rate.sensitivity")
    found = _RIGHT_CALLS.fullmatch(name)
    if found is None:
        return name
    lesion, source, flag, group = found.groups()
    if lesion in LESIONS:
        return say("models.right_with", lesion=say(f"output.{lesion}"))
    if flag is not None and source is None:
        return say(f"models.right_all_{flag}")
    if flag is not None:
        return say(f"models.right_{flag}", source=source)
    return say("models.right", group=group or f"images with {lesion}")


def roc_path(answers: Answers) -> str:
    """The ROC curve as an SVG path in a square of 100 x 100 whose origin is its upper left."""
    found = curve(answers.labels, answers.probabilities)
    x, y = 100 * found.false_positive_rate, 100 - 100 * found.sensitivity
    if not np.isfinite([*x, *y]).all():
        return ""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return "M" + " L".join(f"{x[i]:.1f} {y[i]:.1f}" for i in kept)
