"""What an audit says: an answer to each question, its findings sentences with their numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from ladnn.intervals import Difference, Estimate, bootstrap
from ladnn.scoring import Case, Settings, caution
from ladnn.statistics import mean, roc_auc, why_undefined

Cell = str | int | float | Estimate | Difference | None

Item = TypeVar("Item")
Progress = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Passes items on, one by one, under a word for what is done with them; may draw a bar."""


def silently(doing: str, items: Sequence[Item]) -> Iterable[Item]:
    """A `Progress` that shows nothing."""
    del doing
    return items


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under heads.

    Attributes:
        of_images: whether rows name single images; such a table stays in the user's folder.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    of_images: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one question.

    Attributes:
        key: its name in audit.json.
        title: of its section.
        method: how it was asked, in words.
        findings: one sentence each, with its number.
        tables: what the sentences rest on.
        sheets: files of overlays below the audit's folder.
    """

    key: str
    title: str
    method: str
    findings: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    sheets: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One entry of `answers` in audit.json."""
        return asdict(self)


# ------------------------------------------------------------------ numbers


def auc(cases: Sequence[Case], settings: Settings) -> Estimate:
    """AUC of COVID-19 over images, with its patient-clustered interval."""
    labels = [case.label for case in cases]
    chances, patients = [c.probability for c in cases], [c.patient for c in cases]
    return clustered_auc(labels, chances, patients, settings)


def clustered_auc(
    labels: Sequence[bool], scores: Sequence[float], patients: Sequence[str], settings: Settings
) -> Estimate:
    """AUC with its patient-clustered interval; why, where it is not defined."""
    found = bootstrap({"auc": roc_auc}, labels, scores, patients, **asdict(settings))["auc"]
    if found.value is None:
        return Estimate(value=None, reason=why_undefined("auc", labels))
    return found


def average(values: Sequence[float], patients: Sequence[str], settings: Settings) -> Estimate:
    """Mean of one value for each image, with its patient-clustered interval."""
    if not values:
        return Estimate(value=None, reason="no cases")
    labels = [False] * len(values)
    return bootstrap({"mean": mean}, labels, values, patients, **asdict(settings))["mean"]


def few(cases: Sequence[Case]) -> bool:
    """Whether these are of too few patients of a class to conclude from."""
    labels, patients = [case.label for case in cases], [case.patient for case in cases]
    return caution(labels, patients) is not None


# ------------------------------------------------------------------ words


def number(value: float) -> str:
    """Three decimals without the nought before the point, as .912 or -.050."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def words(cell: Cell) -> str:
    """A cell of a table, or a number in a sentence: .912 (.861 to .953)."""
    if isinstance(cell, Estimate | Difference):
        return _interval(cell)
    if isinstance(cell, float):
        return number(cell)
    return "" if cell is None else str(cell)


def _interval(found: Estimate | Difference) -> str:
    if found.value is None:
        return f"undefined ({found.reason})" if found.reason else "not defined"
    if found.low is None or found.high is None:
        return number(found.value)
    if found.low == found.high:
        return f"{number(found.value)} (no spread)"
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def count(items: int, noun: str) -> str:
    """A count with its noun, as 1 image or 20 images."""
    return f"{items:,} {noun if items == 1 else noun + 's'}"
