"""Leases on the items of batches: one replica works on an item, another when the first is dead.

A lease is two columns of the row itself. It is taken with SKIP LOCKED on PostgreSQL and within
BEGIN IMMEDIATE on SQLite, prolonged while the work goes on, and free again once it has run out.
While slices of an item still arrive, the request that brings them has its lease.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session, selectinload

from ladnn.service.tables_batches import ARRIVING, DONE, FAILED, WAITING, Batch, BatchItem

LEASE = timedelta(seconds=12)
RENEWAL = timedelta(seconds=3)
TRIES = 10
"""After so many replicas died over an item it is given up."""


class LeaseLostError(Exception):
    """The item was cancelled, or another replica has taken it up: what was found is discarded."""


def any_free(session: Session, present: datetime) -> bool:
    """Whether an item waits for a replica; a look that holds up no writer."""
    query = select(BatchItem.id).where(_free(present)).limit(1)
    return session.scalar(query) is not None


def claim(session: Session, holder: str, present: datetime, count: int) -> list[BatchItem]:
    """Take up to `count` items that wait, with their batches and files.

    Of each owner the oldest first, of owners drawn by lot: behind a huge batch none waits for all
    of it. What is left of `count` are the oldest of all.
    """
    oldest = select(func.min(BatchItem.id)).join(BatchItem.batch).where(_free(present))
    drawn = oldest.group_by(Batch.owner).order_by(func.random()).limit(count)
    items = _take(session, present, BatchItem.id.in_(list(session.scalars(drawn))), count)
    if len(items) < count:
        others = BatchItem.id.not_in([item.id for item in items])
        items += _take(session, present, others, count - len(items))
    for item in items:
        item.state, item.tries = WAITING, item.tries + 1
        item.lease_holder, item.lease_until = holder, present + LEASE
    return items


def _take(
    session: Session, present: datetime, which: ColumnElement[bool], count: int
) -> list[BatchItem]:
    """Lock such items, unless another replica has; the oldest first."""
    query = select(BatchItem).where(_free(present), which).order_by(BatchItem.id).limit(count)
    query = query.options(selectinload(BatchItem.batch), selectinload(BatchItem.files))
    return list(session.scalars(query.with_for_update(skip_locked=True, of=BatchItem)))


def _free(present: datetime) -> ColumnElement[bool]:
    lapsed = BatchItem.lease_until < present
    waits = (BatchItem.state == WAITING) & or_(BatchItem.lease_until.is_(None), lapsed)
    return waits | ((BatchItem.state == ARRIVING) & lapsed)


def hold(item: BatchItem, holder: str, until: datetime) -> None:
    """Give the item to a request that brings slices of it; what others are finding is discarded.

    Should the request break off, the item is tested after `until` with what had come.
    """
    item.state, item.lease_holder, item.lease_until = ARRIVING, holder, until


def leave_open(session: Session, batch_id: int, holder: str, until: datetime) -> None:
    """Let go of the items that a request held; they wait for another one, until that moment."""
    held = _arriving(batch_id) & (BatchItem.lease_holder == holder)
    session.execute(update(BatchItem).where(held).values(lease_holder=None, lease_until=until))


def close(session: Session, batch_id: int, holder: str, *, left_open: bool) -> None:
    """Let the items be tested that a request held, and those that others left open."""
    mine = BatchItem.lease_holder == holder
    which = or_(mine, BatchItem.lease_holder.is_(None)) if left_open else mine
    session.execute(
        update(BatchItem)
        .where(_arriving(batch_id), which)
        .values(state=WAITING, lease_holder=None, lease_until=None)
    )


def _arriving(batch_id: int) -> ColumnElement[bool]:
    return (BatchItem.batch_id == batch_id) & (BatchItem.state == ARRIVING)


def renew(session: Session, holder: str, ids: Sequence[int], present: datetime) -> None:
    """Prolong the leases that `holder` still has on these items."""
    session.execute(
        update(BatchItem)
        .where(BatchItem.id.in_(ids), BatchItem.lease_holder == holder)
        .values(lease_until=present + LEASE)
    )


def give_back(session: Session, holder: str, ids: Sequence[int]) -> None:
    """Let others take these items at once: the replica stops, or something it needs is away.

    That is no try: nobody died over them.
    """
    session.execute(
        update(BatchItem)
        .where(BatchItem.id.in_(ids), BatchItem.lease_holder == holder)
        .values(lease_holder=None, lease_until=None, tries=BatchItem.tries - 1)
    )


def settle(
    session: Session, holder: str, item_id: int, *, case_id: int | None = None, error: str = ""
) -> list[str]:
    """End the work on an item with its case or with the reason why there is none.

    Returns:
        the names of the bytes that waited and are no longer needed.

    Raises LeaseLostError when it is no longer this holder's to end.
    """
    query = select(BatchItem).where(BatchItem.id == item_id).with_for_update()
    item = session.scalar(query.options(selectinload(BatchItem.files)))
    if item is None or item.lease_holder != holder or item.state != WAITING:
        raise LeaseLostError
    item.lease_holder = item.lease_until = None
    item.case_id, item.error = case_id, error
    item.state = FAILED if error else DONE
    return [] if error else free(item)  # else its bytes stay, so that it can be tried again


def free(item: BatchItem) -> list[str]:
    """The names of the bytes that waited with an item, which has them no more."""
    digests = [file.blob for file in item.files if file.blob]
    for file in item.files:
        file.blob = None
    return digests
