"""A version in use: what clinicians say of it, and whether its inputs and answers drift."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from ladnn.findings import Decision
from ladnn.service.tables import Case, CaseImage, Feedback

REFERENCE_DAYS = 28
WEEKS = 26
FEWEST = 20
"""Cases of a week, and of the reference, from which on they are compared."""

ALARM = 0.01
"""From this p-value down a week is marked."""

MOST = 20_000
"""Images that are read of the reference, of the time after it, and of the newest week."""

_REMEMBERED = 32  # versions

Tested = tuple[datetime, int, float, float, str]
"""When an image was tested, its case and that one's probability, its score and its decision."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What was said of a version's results.

    Attributes:
        agree, disagree: judgements, one for each clinician and case: two may disagree on one.
        right, wrong: cases that were decided positive or negative and have a PCR result; where
            clinicians entered different ones, the latest counts, for a patient has one.
        undecided: indeterminate and not assessable cases with a PCR result.
    """

    agree: int = 0
    disagree: int = 0
    right: int = 0
    wrong: int = 0
    undecided: int = 0


@dataclass(frozen=True, kw_only=True)
class Week:
    """One week of a version, beside its reference period.

    Attributes:
        start: a Monday.
        images: number.
        probability, score: means over cases in [0, 1]; a case has the mean score of its images.
        refused: share of images that were not assessable.
        p_probability, p_score: of the two-sample Kolmogorov-Smirnov test against the reference,
            over cases; None in the reference, and where either has fewer than `FEWEST` of them.
        reference: whether the week belongs to the reference period.
    """

    start: date
    images: int
    probability: float
    score: float
    refused: float
    p_probability: float | None
    p_score: float | None
    reference: bool

    @property
    def drifted(self) -> bool:
        """Whether the inputs or the answers are unlike those of the reference."""
        found = (self.p_probability, self.p_score)
        return any(p is not None and p <= ALARM for p in found)


def agreement(session: Session, name: str, version: str) -> Agreement:
    """What clinicians said of the results of a version that were not retracted."""
    of_version = (
        Case.id == Feedback.case_id,
        Case.model_name == name,
        Case.model_version == version,
        Case.state == "active",
    )
    counts = {"agree": 0, "disagree": 0, "right": 0, "wrong": 0, "undecided": 0}
    judged = select(Feedback.agreement, func.count()).where(*of_version)
    said = Feedback.agreement.in_(("agree", "disagree"))
    for row in session.execute(judged.where(said).group_by(Feedback.agreement)):
        counts[str(row[0])] = row[1]
    for decision, pcr, number in session.execute(_by_pcr(*of_version)):
        decided = decision in (Decision.POSITIVE, Decision.NEGATIVE)
        outcome = "right" if decision == pcr else "wrong"
        counts[outcome if decided else "undecided"] += number
    return Agreement(**counts)


def _by_pcr(*of_version: ColumnElement[bool]) -> Select[str, str, int]:
    """How many cases there are of each decision and PCR result, of each case the latest one."""
    newest = (Feedback.changed_at.desc(), Feedback.id.desc())
    place = func.row_number().over(partition_by=Feedback.case_id, order_by=newest)
    said = select(Case.decision, Feedback.pcr, place.label("place"))
    latest = said.where(*of_version, Feedback.pcr.is_not(None)).subquery()
    columns = latest.c.decision, latest.c.pcr
    return select(*columns, func.count()).where(latest.c.place == 1).group_by(*columns)


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """What is compared, one value for each of N cases: the slices of a study resemble each other.

    Attributes:
        probability: of the case, float64 [N].
        score: mean over its images, float64 [N].
    """

    probability: NDArray[np.float64]
    score: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Past:
    """The weeks before the newest one.

    Attributes:
        key: changes with every case that comes to these weeks or is deleted from them.
        usual: the cases of the reference.
    """

    key: tuple[object, ...]
    weeks: list[Week]
    usual: _Sample


class Watcher:
    """Tells how a version's inputs and answers drift; made once for each process.

    Weeks that are over are remembered, so that a view reads the newest week alone. What they were
    computed from is asked for each time, so that every replica tells the same at once.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], _Past] = OrderedDict()
        self._lock = threading.Lock()

    def drift(self, session: Session, name: str, version: str) -> list[Week]:
        """The weeks in which a version was used, the newest last, `WEEKS` after the reference.

        The reference is the first `REFERENCE_DAYS` days of the version's cases that are kept, or
        the first `MOST` images of them: retention moves it on. After it the newest `MOST` images
        count, in whole weeks, and the newest `MOST` of the newest week.
        """
        of_version = Case.model_name == name, Case.model_version == version
        span = select(func.min(Case.created_at), func.max(Case.created_at)).where(*of_version)
        first, last = session.execute(span).one()
        if first is None or last is None:
            return []
        end, monday = _reference_end(first), _monday(last)
        past = self._past(session, (name, version), end, monday)
        newest = _images(name, version).where(Case.created_at >= _begin(monday))
        rows = _tested(session.execute(newest.order_by(Case.created_at.desc())))[::-1]
        found = [*past.weeks]
        if rows:  # unless they were deleted just now
            found.append(_week(monday, rows, past.usual, monday < end))
        return _shown(found)

    def _past(self, session: Session, of: tuple[str, str], end: date, monday: date) -> _Past:
        """The weeks before that Monday, computed anew where they are not those remembered."""
        name, version = of
        before = Case.created_at < _begin(monday)
        columns = (Case.id, Case.created_at)
        bounds = [bound(column) for column in columns for bound in (func.min, func.max)]
        query = select(func.count(), *bounds).where(
            Case.model_name == name, Case.model_version == version, before
        )
        key = (end, monday, *session.execute(query).one())
        with self._lock:
            past = self._known.get(of)
        if past is None or past.key != key:
            rows = _read(session, of, end, monday)
            usual = _by_case([row for row in rows if _monday(row[0]) < end])
            past = _Past(key=key, weeks=_by_week(rows, usual, end), usual=usual)
        with self._lock:
            self._known[of] = past
            self._known.move_to_end(of)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return past


def _read(session: Session, of: tuple[str, str], end: date, monday: date) -> list[Tested]:
    """The images of the reference and of the whole weeks after it, up to that Monday."""
    query = _images(*of).where(Case.created_at < _begin(monday))
    usual = query.where(Case.created_at < _begin(end)).order_by(Case.created_at)
    newest = query.where(Case.created_at >= _begin(end)).order_by(Case.created_at.desc())
    later = _tested(session.execute(newest))[::-1]
    if len(later) == MOST:  # its oldest week is cut off somewhere, unless it is the only one
        cut, last = _monday(later[0][0]), _monday(later[-1][0])
        later = [row for row in later if cut == last or _monday(row[0]) > cut]
    return _tested(session.execute(usual)) + later


def _images(name: str, version: str) -> Select[datetime, int, float, float, str]:
    """`MOST` images of a version."""
    of_case = Case.created_at, Case.id, Case.probability
    query = select(*of_case, CaseImage.score, CaseImage.decision)
    query = query.join(Case, Case.id == CaseImage.case_id)
    return query.where(Case.model_name == name, Case.model_version == version).limit(MOST)


def _tested(rows: Iterable[Any]) -> list[Tested]:
    return [(moment, case, chance, score, said) for moment, case, chance, score, said in rows]


def _by_case(rows: Iterable[Tested]) -> _Sample:
    chances: dict[int, float] = {}
    scores: dict[int, list[float]] = {}
    for _, case, chance, score, _ in rows:
        chances[case] = chance
        scores.setdefault(case, []).append(score)
    return _Sample(
        probability=np.array(list(chances.values()), dtype=np.float64),
        score=np.array([np.mean(some) for some in scores.values()], dtype=np.float64),
    )


def _by_week(rows: Sequence[Tested], reference: _Sample, end: date) -> list[Week]:
    by_week: dict[date, list[Tested]] = {}
    for row in rows:
        by_week.setdefault(_monday(row[0]), []).append(row)
    return [_week(start, some, reference, start < end) for start, some in by_week.items()]


def _shown(found: Sequence[Week]) -> list[Week]:
    """The reference and the newest weeks after it."""
    later = [one for one in found if not one.reference]
    return [one for one in found if one.reference] + later[-WEEKS:]


def _week(start: date, rows: Sequence[Tested], reference: _Sample, is_reference: bool) -> Week:
    found = _by_case(rows)

    def p_value(mine: NDArray[np.float64], usual: NDArray[np.float64]) -> float | None:
        if is_reference or min(mine.size, usual.size) < FEWEST:
            return None
        return float(ks_2samp(mine, usual).pvalue)

    refused = sum(said == Decision.NOT_ASSESSABLE for *_, said in rows)
    return Week(
        start=start,
        images=len(rows),
        probability=float(found.probability.mean()),
        score=float(found.score.mean()),
        refused=refused / len(rows),
        p_probability=p_value(found.probability, reference.probability),
        p_score=p_value(found.score, reference.score),
        reference=is_reference,
    )


def _reference_end(first: datetime) -> date:
    """The Monday after the reference that begins in the week of the first image."""
    return _monday(first) + timedelta(days=REFERENCE_DAYS)


def _monday(moment: datetime) -> date:
    return moment.date() - timedelta(days=moment.weekday())


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
