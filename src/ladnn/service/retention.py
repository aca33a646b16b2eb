"""How long what is kept: for each kind of data its setting, and how the old is deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from ladnn.service import audit_log, batches, blobs, duties, limits, migrations
from ladnn.service.accounts import guessing, sessions
from ladnn.service.accounts.principals import BEARER, lifetimes_of
from ladnn.service.context import Services
from ladnn.service.contributions import ACCEPTED
from ladnn.service.tables import AuditEvent, Case, CaseImage, OneTimeToken
from ladnn.service.tables_accounts import Duty, Guess
from ladnn.service.tables_batches import Batch
from ladnn.service.tables_contributions import Contribution, Review

DUTY = "retention"
EVERY = timedelta(hours=1)
LEFT_BEHIND = timedelta(days=1)
"""How old stored bytes are that no row names before they are taken for what a crash left."""
_AT_ONCE = 200  # cases or contributions deleted in one transaction: nobody waits long behind it
_LINES_AT_ONCE = 5000  # of the audit log, which are small


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of data.

    Attributes:
        name: of the kind, and of its sentence in the catalogues.
        setting: how many days it is kept; 0 is for ever.
        stock: counts what there is and finds the oldest.
        purge: deletes what is older than a moment, and says how much that was.
        noted: whether `purge` itself writes that into the audit log.
    """

    name: str
    setting: str
    stock: Callable[[Session], tuple[int, datetime | None]]
    purge: Callable[[Services, datetime], int]
    noted: bool = False


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What there is of one kind now; `days` 0 is for ever."""

    name: str
    days: int
    count: int
    oldest: datetime | None


def purge(
    site: Services, told: Callable[[str, int], None] = lambda kind, count: None
) -> dict[str, int]:
    """Delete everything whose time is over; how much of each kind that was.

    Args:
        site: the services.
        told: the same of each kind once it is deleted, for what comes after may fail.

    Raises:
        StorageAway: the rows are deleted, and of their bytes what could be.
    """
    present = site.clock()
    gone = {}
    for kind in KINDS:
        days = getattr(site.settings, kind.setting)
        if days:
            before = present - timedelta(days=days)
            gone[kind.name] = kind.purge(site, before)
            if not kind.noted:
                _note(site, kind.name, gone[kind.name], before)
            told(kind.name, gone[kind.name])
    site.database.write(lambda session: _tidy(session, site, present), deletes=True)
    if migrations.current(site.database) == migrations.head():  # or tables of a newer one name more
        blobs.sweep(site.database, site.blobs, present - LEFT_BEHIND)
    site.database.write(lambda session: duties.finish(session, DUTY, site.clock()))
    return gone


def purge_when_due(site: Services) -> dict[str, int] | None:
    """`purge`, if no replica has done it in the last hour; None if one has."""
    present = site.clock()
    mine = site.database.write(
        lambda session: duties.claim(session, site.database, DUTY, present, EVERY), deletes=True
    )
    if not mine:
        return None
    gone = purge(site)
    if site.database.reserve:
        site.database.reserve.keep()
    return gone


def overview(session: Session, site: Services) -> tuple[list[Stock], datetime | None]:
    """What there is of each kind, and when the old was deleted last."""
    stocks = []
    for kind in KINDS:
        count, oldest = kind.stock(session)
        days = getattr(site.settings, kind.setting)
        stocks.append(Stock(name=kind.name, days=days, count=count, oldest=oldest))
    duty = session.get(Duty, DUTY)
    return stocks, duty.done_at if duty else None


def delete_cases_of(site: Services, owner: str) -> int:
    """Delete all results and batches of one owner; how many results there were."""
    count = _delete_cases(site, Case.owner == owner)
    _delete_batches(site, Batch.owner == owner)
    return count


def _note(site: Services, kind: str, count: int, before: datetime) -> None:
    detail = {"count": count, "before": before.isoformat(timespec="seconds")}
    if count:
        site.database.write(
            lambda session: audit_log.record(
                session, audit_log.SYSTEM, "retention.purge", kind, detail
            ),
            deletes=True,
        )


def _tidy(session: Session, site: Services, present: datetime) -> None:
    """Delete sessions and links that are over, and what limits and guesses no longer need."""
    sessions.forget(session, present, lifetimes_of(site.settings))
    session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at <= present))
    session.execute(delete(Guess).where(Guess.last_at < present - guessing.FORGOTTEN_AFTER))
    limits.forget(session, present)


def _delete_cases(site: Services, which: ColumnElement[bool]) -> int:
    def write(session: Session) -> tuple[int, list[str]]:
        ids = list(session.scalars(select(Case.id).where(which).limit(_AT_ONCE)))
        digests = list(session.scalars(select(CaseImage.blob).where(CaseImage.case_id.in_(ids))))
        # asked again, for one may have been tested once more since; its images go with it
        session.execute(delete(Case).where(Case.id.in_(ids), which))
        return len(ids), digests

    return _by_portions(site, write)


def _delete_contributions(site: Services, before: datetime) -> int:
    """Delete those that nobody accepted, unless they were given or judged after that moment."""
    judged = select(Review.id).where(
        Review.contribution_id == Contribution.id, Review.created_at >= before
    )
    which = _NOT_ACCEPTED & (Contribution.created_at < before) & ~judged.exists()

    def write(session: Session) -> tuple[int, list[str]]:
        query = select(Contribution.id, Contribution.blob).where(which).limit(_AT_ONCE)
        found = session.execute(query).all()
        ids = [row.id for row in found]
        # asked again, for somebody may have accepted one since; reviews and prints go with it
        session.execute(delete(Contribution).where(Contribution.id.in_(ids), which))
        return len(ids), [row.blob for row in found]

    return _by_portions(site, write)


def _by_portions(
    site: Services, write: Callable[[Session], tuple[int, list[str]]], portion: int = _AT_ONCE
) -> int:
    """Delete as often as `write` finds a full portion, and release the bytes that it names."""
    total = 0
    while True:
        count, digests = site.database.write(write, deletes=True)
        blobs.release(site.database, site.blobs, digests)
        total += count
        if count < portion:
            return total


def _delete_visits(site: Services, before: datetime) -> int:
    def write(session: Session) -> tuple[int, list[str]]:
        return audit_log.forget_visits(session, before, _LINES_AT_ONCE), []

    return _by_portions(site, write, _LINES_AT_ONCE)


def _delete_batches(
    site: Services, which: ColumnElement[bool], before: datetime | None = None
) -> int:
    ids = site.database.read(lambda session: list(session.scalars(select(Batch.id).where(which))))
    for one in ids:
        batches.remove_all(site, one, before)
    return len(ids)


def _stock(
    at: ColumnElement[datetime] | InstrumentedAttribute[datetime], which: ColumnElement[bool]
) -> Callable[[Session], tuple[int, datetime | None]]:
    query = select(func.count(), func.min(at)).where(which)

    def count(session: Session) -> tuple[int, datetime | None]:
        number, oldest = session.execute(query).one()
        return number, oldest

    return count


def _cases(name: str, setting: str, which: ColumnElement[bool]) -> Kind:
    """Results: kept as long as any test, counted from when the same was tested last."""

    def purge(site: Services, before: datetime) -> int:
        renewed = Case.renewed_at.is_not(None) & (Case.renewed_at >= before)
        return _delete_cases(site, which & (Case.created_at < before) & ~renewed)

    since = func.coalesce(Case.renewed_at, Case.created_at)
    return Kind(name=name, setting=setting, stock=_stock(since, which), purge=purge)


def _batches(name: str, setting: str, which: ColumnElement[bool]) -> Kind:
    """Batches, counted from their newest file."""

    def purge(site: Services, before: datetime) -> int:
        old = (Batch.created_at < before) & batches.is_old(before)
        return _delete_batches(site, which & old, before)

    return Kind(name=name, setting=setting, stock=_stock(batches.since(), which), purge=purge)


_OF_VISITORS = or_(Case.owner.startswith("visitor:"), Case.owner == BEARER)
_OF_ACCOUNTS = Case.owner.startswith("account:")
_NOT_ACCEPTED = Contribution.state != ACCEPTED
_BATCHES_OF_ACCOUNTS = Batch.owner.startswith("account:")

KINDS = (
    _cases("visitor_cases", "visitor_case_days", _OF_VISITORS),
    _cases("account_cases", "account_case_days", _OF_ACCOUNTS),
    _batches("visitor_batches", "visitor_case_days", ~_BATCHES_OF_ACCOUNTS),
    _batches("account_batches", "account_case_days", _BATCHES_OF_ACCOUNTS),
    Kind(
        name="contributions",
        setting="contribution_days",
        stock=_stock(Contribution.created_at, _NOT_ACCEPTED),
        purge=_delete_contributions,
    ),
    Kind(
        name="visits",
        setting="visit_log_days",
        stock=_stock(AuditEvent.at, AuditEvent.sequence.is_(None)),
        purge=_delete_visits,
    ),
    Kind(
        name="changes",
        setting="change_log_days",
        stock=_stock(AuditEvent.at, AuditEvent.sequence.is_not(None)),
        purge=lambda site, before: site.database.write(
            lambda session: audit_log.forget_chained(session, before), deletes=True
        ),
        noted=True,
    ),
)
"""Every kind of data that has an end; whoever adds a kind adds its row and its setting."""
