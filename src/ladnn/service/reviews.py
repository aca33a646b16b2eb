"""Reviews: a curator accepts, corrects or rejects; where one disagrees, a second one decides."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, selectinload

from ladnn.findings import LesionLabels
from ladnn.service import audit_log
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.contributions import ACCEPTED, DISPUTED, REJECTED, WAITING, find
from ladnn.service.errors import BadRequest, NotAllowed, require_choice
from ladnn.service.tables_contributions import Contribution, Review

ACCEPT, CORRECT, REJECT = "accept", "correct", "reject"
ACCEPT_CONTRIBUTED, ACCEPT_CORRECTION = "accept_contributed", "accept_correction"
VERDICTS = (ACCEPT, ACCEPT_CONTRIBUTED, ACCEPT_CORRECTION, CORRECT, REJECT)
ACCEPTING = (ACCEPT, ACCEPT_CONTRIBUTED, ACCEPT_CORRECTION)
STATES = (WAITING, DISPUTED, ACCEPTED, REJECTED)
MAX_REASON = 2000


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a reviewer says.

    Attributes:
        verdict: one of `VERDICTS`. `ACCEPT` is for what nobody has disagreed with; who comes after
            a reader who did says whose labels are accepted.
        covid, lesions: the labels that are right; read for `CORRECT` alone.
        reason: why; needed for all that are not `ACCEPTING`.
        seen: how many opinions of other readers the page showed; None where nobody says.
    """

    verdict: str
    covid: bool | None = None
    lesions: LesionLabels = field(default_factory=LesionLabels)
    reason: str = ""
    seen: int | None = None

    def check(self) -> None:
        """Raise BadRequest where the verdict is none or a reason is missing."""
        if self.verdict not in VERDICTS:
            raise BadRequest("review.error_verdict")
        if self.verdict == CORRECT and self.covid is None:
            raise BadRequest("contribute.error_covid")
        if self.verdict not in ACCEPTING and not self.reason:
            raise BadRequest("review.error_reason")
        if len(self.reason) > MAX_REASON or "\0" in self.reason:
            raise BadRequest("review.error_reason")


def queue(
    session: Session, principal: Principal, count: int, before: int = 0
) -> list[Contribution]:
    """What this reviewer may judge: the disputed first, then the oldest."""
    query = (
        select(Contribution)
        .where(*_may_judge(principal))
        .order_by(Contribution.state, Contribution.id)
        .options(selectinload(Contribution.reviews))
    )
    return list(session.scalars(query.offset(before).limit(count)))


def count_queue(session: Session, principal: Principal) -> int:
    """How long `queue` is in all."""
    query = select(func.count()).select_from(Contribution).where(*_may_judge(principal))
    return int(session.scalar(query) or 0)


def _may_judge(principal: Principal) -> tuple[ColumnElement[bool], ...]:
    read = select(Review.contribution_id).where(Review.reviewer == principal.owner)
    return (
        Contribution.state.in_((WAITING, DISPUTED)),
        Contribution.owner != principal.owner,
        Contribution.id.not_in(read),
    )


def in_state(session: Session, state: str, count: int, before: int = 0) -> list[Contribution]:
    """The newest contributions of one of `STATES`, whoever gave them and judged them."""
    require_choice("state", state, STATES)
    query = select(Contribution).where(Contribution.state == state)
    newest = query.order_by(Contribution.id.desc())
    return list(session.scalars(newest.offset(before).limit(count)))


def look(
    session: Session, principal: Principal, count: int, before: int = 0, state: str = ""
) -> list[Contribution]:
    """`queue`, or `in_state`, for somebody who looks: a line of the audit log names all of it."""
    chosen = in_state(session, state, count, before) if state else None
    found = queue(session, principal, count, before) if chosen is None else chosen
    detail = {"shown": [one.public_id for one in found]}
    audit_log.record(session, principal, "review.view", "", detail)
    return found


def counts(session: Session) -> dict[str, int]:
    """How many contributions there are in each state."""
    query = select(Contribution.state, func.count()).group_by(Contribution.state)
    found = {row[0]: int(row[1]) for row in session.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


def judge(site: Services, principal: Principal, public_id: str, judgement: Judgement) -> str:
    """Keep a judgement and return the state that it leads to.

    The first reader's acceptance settles it. A correction or a rejection disagrees with the
    contributor, so a second reader, who sees both, decides, and says whose labels are accepted:
    who accepts without saying so may have seen the contributor's alone.

    Raises:
        NotFound: no such contribution.
        NotAllowed: an own one, or one that this reviewer has judged before.
        BadRequest: one that is settled, one that somebody judged since the page was opened, a
            correction that changes nothing, or a judgement that does not hold.
    """
    judgement.check()

    def write(session: Session) -> str:
        site.database.lock(session, f"review {public_id}"[:16])
        found = find(session, principal, public_id)
        _check(found, principal, judgement)
        kept = _keep(found, principal, judgement)
        if found.state == WAITING and kept.verdict != ACCEPT:
            found.state = DISPUTED
        else:
            _settle(found, kept)
        detail = {"verdict": judgement.verdict, "state": found.state}
        audit_log.record(session, principal, "contribution.review", public_id, detail)
        return found.state

    return site.database.write(write)


def correction(found: Contribution) -> Review | None:
    """What the first reader corrected, where a second one is to decide on it."""
    corrected = [review for review in found.reviews if review.verdict == CORRECT]
    return corrected[0] if corrected and found.state == DISPUTED else None


def given(found: Contribution) -> tuple[bool | None, list[Any] | None]:
    """Flag and lesions as they were given; None where that is not known any more.

    Until a case is settled they are its labels, also where a site of an older version took it in.
    """
    if found.state in (WAITING, DISPUTED):
        return found.covid, found.lesions
    return found.given_covid, found.given_lesions


def labels_to_judge(found: Contribution) -> tuple[bool, list[bool | None]]:
    """Flag and lesions that are on the table: as the first reader corrected them, or as given."""
    last = correction(found) or found
    return last.covid, last.lesions


def said_by(found: Contribution) -> list[tuple[Review, str]]:
    """The opinions in their order, each with its verdict; a second reader's says whose labels."""
    return [
        (review, _whose(review, found.reviews[:number]))
        for number, review in enumerate(found.reviews)
    ]


def _whose(review: Review, before: list[Review]) -> str:
    stands = review.covid, review.lesions
    if review.verdict != ACCEPT or not before:
        return review.verdict
    if any(one.verdict == CORRECT and (one.covid, one.lesions) == stands for one in before):
        return ACCEPT_CORRECTION
    return ACCEPT_CONTRIBUTED


def _check(found: Contribution, principal: Principal, judgement: Judgement) -> None:
    if found.state not in (WAITING, DISPUTED):
        raise BadRequest("review.error_settled")
    if found.owner == principal.owner:
        raise NotAllowed("review.error_own")
    if any(review.reviewer == principal.owner for review in found.reviews):
        raise NotAllowed("review.error_twice")
    if judgement.seen not in (None, len(found.reviews)):
        raise BadRequest("review.error_meanwhile")
    if judgement.verdict == ACCEPT and found.state == DISPUTED:
        raise BadRequest("review.error_whose")
    if judgement.verdict == ACCEPT_CORRECTION and correction(found) is None:
        raise BadRequest("review.error_no_correction")
    if judgement.verdict == CORRECT:
        said = judgement.covid, list(judgement.lesions.values)
        if said in ((found.covid, found.lesions), labels_to_judge(found)):
            raise BadRequest("review.error_same")


def _keep(found: Contribution, principal: Principal, judgement: Judgement) -> Review:
    """Add the judgement, with the labels that it stands for."""
    covid, lesions = found.covid, found.lesions
    if judgement.verdict == CORRECT:
        covid, lesions = bool(judgement.covid), list(judgement.lesions.values)
    elif judgement.verdict == ACCEPT_CORRECTION:
        covid, lesions = labels_to_judge(found)
    kept = Review(
        reviewer=principal.owner,
        verdict=ACCEPT if judgement.verdict in ACCEPTING else judgement.verdict,
        covid=covid,
        lesions=lesions,
        reason=judgement.reason,
    )
    found.reviews.append(kept)
    return kept


def _settle(found: Contribution, last: Review) -> None:
    """Let the last judgement stand, with its labels; what was given stays beside them."""
    found.given_covid, found.given_lesions = given(found)
    found.state = REJECTED if last.verdict == REJECT else ACCEPTED
    found.covid, found.lesions = last.covid, last.lesions
