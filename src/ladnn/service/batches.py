"""Batches: what was sent together, how far it is, its worklist; cancelled, tried again, deleted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, case, delete, func, select, update
from sqlalchemy.orm import Session, contains_eager, selectinload

from ladnn.findings import Decision
from ladnn.service import audit_log, blobs
from ladnn.service.accounts.principals import BEARER, Principal
from ladnn.service.context import Services
from ladnn.service.errors import NotFound, require_choice
from ladnn.service.tables import Case, new_id
from ladnn.service.tables_batches import (
    ARRIVING,
    CANCELLED,
    DONE,
    FAILED,
    STATES,
    WAITING,
    Batch,
    BatchFile,
    BatchItem,
    is_deleted,
)

SORTS = ("probability", "name", "arrival")
SHOWN = (*STATES, *(str(decision) for decision in Decision))
"""What a worklist may be narrowed to: a state, or a decision."""

_AT_ONCE = 200  # items deleted in one transaction
_GOING = ":going"  # behind the owner of a batch of which a part is deleted


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many items of a batch are in each state."""

    arriving: int = 0
    waiting: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.arriving + self.waiting + self.done + self.failed + self.cancelled

    @property
    def finished(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.waiting == self.arriving == 0


@dataclass(frozen=True, kw_only=True)
class View:
    """A page of a worklist.

    Attributes:
        sort: of `SORTS`; by probability, what cannot be judged or has no result comes last.
        show: of `SHOWN`, or empty for everything.
    """

    sort: str = "arrival"
    show: str = ""
    limit: int = 100
    offset: int = 0

    def __post_init__(self) -> None:
        require_choice("sort", self.sort, SORTS)
        require_choice("show", self.show, ("", *SHOWN))


class Listed(NamedTuple):
    """A page of a worklist, the numbers of its items, and how many there are on all its pages."""

    items: list[BatchItem]
    numbers: dict[int, int]
    total: int


def begin(site: Services, principal: Principal) -> Batch:
    """A new batch of the principal's, without files."""
    public_id, created = new_id(), site.clock()

    def write(session: Session) -> Batch:
        batch = session.scalar(select(Batch).where(Batch.public_id == public_id))
        if batch is None:
            batch = Batch(public_id=public_id, owner=principal.owner or BEARER, created_at=created)
            batch.role = str(principal.role)
            session.add(batch)
            audit_log.record(session, principal, "batch.create", audit_log.name_of(batch), {})
        return batch

    return site.database.write(write)


def find(session: Session, principal: Principal, public_id: str) -> Batch:
    """The batch of that id if it is the principal's own; NotFound for anyone else."""
    batch = session.scalar(select(Batch).where(Batch.public_id == public_id))
    if batch is None or batch.owner not in (principal.owner, BEARER):
        raise NotFound
    return batch


def look(site: Services, principal: Principal, public_id: str) -> Batch:
    """`find`, the look at it noted once an hour: while it runs it is asked for all the time."""

    def look_up(session: Session) -> Batch:
        return find(session, principal, public_id)

    return audit_log.look_again(site.database, look_up, principal, "batch.view")


def owned(
    session: Session, principal: Principal, *, limit: int, offset: int = 0
) -> tuple[list[tuple[Batch, Progress]], int]:
    """A page of the principal's batches, newest first, and how many they are; none of `bearer`."""
    if not principal.owner:
        return [], 0
    mine = Batch.owner == principal.owner
    total = session.scalar(select(func.count()).select_from(Batch).where(mine)) or 0
    query = select(Batch).where(mine).order_by(Batch.created_at.desc(), Batch.id.desc())
    batches = list(session.scalars(query.limit(limit).offset(offset)))
    states = _progress(session, [batch.id for batch in batches])
    return [(batch, states[batch.id]) for batch in batches], total


def progress(session: Session, batch: Batch) -> Progress:
    """How far the batch is."""
    return _progress(session, [batch.id])[batch.id]


def _progress(session: Session, ids: Sequence[int]) -> dict[int, Progress]:
    columns = (BatchItem.batch_id, BatchItem.state)
    query = select(*columns, func.count()).where(BatchItem.batch_id.in_(ids)).group_by(*columns)
    counted: dict[int, dict[str, int]] = {one: {} for one in ids}
    for batch_id, state, count in session.execute(query):
        counted[batch_id][state] = count
    return {one: Progress(**states) for one, states in counted.items()}


def items(session: Session, batch: Batch, view: View) -> Listed:
    """A page of the worklist, each item with its files and its result."""
    chosen = _of(batch).where(_narrowed(view.show)) if view.show else _of(batch)
    total = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    query = chosen.options(contains_eager(BatchItem.case).selectinload(Case.images))
    query = query.options(selectinload(BatchItem.files)).order_by(*_order(view.sort))
    found = list(session.scalars(query.limit(view.limit).offset(view.offset)))
    return Listed(found, _numbers(session, batch, [item.id for item in found]), total)


def by_keys(session: Session, batch: Batch, keys: Sequence[int]) -> Listed:
    """The items of these internal keys, each with its files and its result, as they came."""
    query = select(BatchItem).where(BatchItem.id.in_(keys)).order_by(BatchItem.id)
    query = query.options(selectinload(BatchItem.case), selectinload(BatchItem.files))
    found = list(session.scalars(query))
    return Listed(found, _numbers(session, batch, keys), len(found))


def _numbers(session: Session, batch: Batch, keys: Sequence[int]) -> dict[int, int]:
    """By their keys, which of the batch's items these are, counted from 1 as they came.

    Many have one name, for folders are dropped. None is ever taken out, so a number stays.
    """
    place = func.row_number().over(order_by=BatchItem.id).label("number")
    counted = select(BatchItem.id, place).where(BatchItem.batch_id == batch.id).subquery()
    query = select(counted.c.id, counted.c.number).where(counted.c.id.in_(keys))
    return dict(session.execute(query).all())


def _of(batch: Batch) -> Select[BatchItem]:
    query = select(BatchItem).outerjoin(BatchItem.case)
    return query.where(BatchItem.batch_id == batch.id)


def _narrowed(show: str) -> ColumnElement[bool]:
    return BatchItem.state == show if show in STATES else Case.decision == show


def _order(sort: str) -> list[ColumnElement[object]]:
    if sort == "name":
        return [BatchItem.name.asc(), BatchItem.id.asc()]  # type: ignore[list-item]  # two types
    if sort == "probability":
        last = case(
            (BatchItem.case_id.is_(None), 2),
            (Case.decision == str(Decision.NOT_ASSESSABLE), 1),
            else_=0,
        )
        return [last.asc(), Case.probability.desc(), BatchItem.id.asc()]  # type: ignore[list-item]
    return [BatchItem.id.asc()]  # type: ignore[list-item]


def missing(session: Session, batch: Batch, digests: Sequence[str]) -> list[str]:
    """Which of these sha256 have to be sent, in their order.

    Not those that are there, unless nothing of them is kept and they have no result, or none any
    more.
    """
    query = (
        select(BatchFile.sha256)
        .join(BatchItem, BatchItem.id == BatchFile.item_id)
        .where(BatchFile.batch_id == batch.id, ~_lost())
    )
    there = set(session.scalars(query))
    return [digest for digest in dict.fromkeys(digests) if digest not in there]


def _lost() -> ColumnElement[bool]:
    """Without a result, and with no bytes to test."""
    resultless = BatchItem.state.not_in((DONE, CANCELLED)) | is_deleted()
    return resultless & BatchFile.blob.is_(None)


def cancel(site: Services, principal: Principal, public_id: str) -> None:
    """Test nothing more of what waits; what is being tested at this moment is discarded."""

    def which(batch: Batch) -> ColumnElement[bool]:
        return (BatchItem.batch_id == batch.id) & BatchItem.state.in_((WAITING, ARRIVING))

    ended = {"state": CANCELLED, "lease_holder": None, "lease_until": None}
    _change(site, principal, public_id, "batch.cancel", which, **ended)


def retry(site: Services, principal: Principal, public_id: str) -> None:
    """Let everything that failed or was cancelled wait again, where its bytes are kept."""
    again = {"state": WAITING, "error": "", "tries": 0, "created_at": site.clock()}
    _change(site, principal, public_id, "batch.retry", _retryable, **again)


def _change(
    site: Services,
    principal: Principal,
    public_id: str,
    action: str,
    which: Callable[[Batch], ColumnElement[bool]],
    **values: object,
) -> None:
    """Change items of a batch; noted only where there were any, or anyone could fill the chain."""

    def write(session: Session) -> None:
        batch = find(session, principal, public_id)
        done = session.execute(update(BatchItem).where(which(batch)).values(**values))
        if done.rowcount:  # type: ignore[attr-defined]  # an update has one
            audit_log.record(session, principal, action, audit_log.name_of(batch), {})

    site.database.write(write)


def can_retry(session: Session, batch: Batch) -> bool:
    """Whether something could be tried again without being sent anew."""
    return session.scalar(select(BatchItem.id).where(_retryable(batch)).limit(1)) is not None


def _retryable(batch: Batch) -> ColumnElement[bool]:
    kept = select(BatchFile.item_id).where(
        BatchFile.batch_id == batch.id, BatchFile.blob.is_not(None)
    )
    ended = BatchItem.state.in_((FAILED, CANCELLED))
    return (BatchItem.batch_id == batch.id) & ended & BatchItem.id.in_(kept)


def remove(site: Services, principal: Principal, public_id: str) -> None:
    """Delete the batch, its results and everything that was kept for it, for good.

    What was tested by itself as well stays, with its link and what clinicians said of it.
    """

    def look(session: Session) -> int:
        batch = find(session, principal, public_id)
        audit_log.record(session, principal, "batch.delete", audit_log.name_of(batch), {})
        return batch.id

    remove_all(site, site.database.write(look, deletes=True))


def since() -> ColumnElement[datetime]:
    """From when a batch is kept: its newest file, or its beginning while it has none."""
    newest = select(func.max(BatchItem.created_at)).where(BatchItem.batch_id == Batch.id)
    return func.coalesce(newest.scalar_subquery(), Batch.created_at)


def remove_all(site: Services, batch_id: int, before: datetime | None = None) -> None:
    """Delete a batch by its key; see `remove`.

    With `before` only a batch that is older and is not at work, and of its results those that are
    older; once it began to go, all of it goes.
    """

    def write(session: Session) -> tuple[int, list[str]]:
        _lock(session, site, batch_id)  # what is being added is there then, or comes too late
        found = _held(session, batch_id)
        if before and not _goes(session, batch_id, before):
            return 0, []
        digests = [file.blob for item in found for file in item.files if file.blob]
        elsewhere = _also_elsewhere(session, found)
        for item in found:
            kept = item.case_id in elsewhere or _stays(item.case, before)
            if item.case and not kept:
                digests += [image.blob for image in item.case.images]
                session.delete(item.case)
            session.delete(item)
        if not found:
            session.execute(delete(Batch).where(Batch.id == batch_id))
        return len(found), digests

    while True:
        count, digests = site.database.write(write, deletes=True)
        blobs.release(site.database, site.blobs, digests)
        if not count:
            return


def is_old(before: datetime) -> ColumnElement[bool]:
    """Whether nothing of a batch came since `before`, and nothing of it is to be tested."""
    busy = BatchItem.state.in_((WAITING, ARRIVING)) & (BatchItem.batch_id == Batch.id)
    return (since() < before) & ~select(BatchItem.id).where(busy).exists()


def _goes(session: Session, batch_id: int, before: datetime) -> bool:
    """Whether a batch goes for its age; it is nobody's from then on, so that nothing joins it."""
    batch = session.get(Batch, batch_id)
    if batch is None or batch.owner.endswith(_GOING):
        return batch is not None
    old = select(Batch.id).where(Batch.id == batch_id, is_old(before))
    if session.scalar(old) is None:
        return False
    batch.owner += _GOING
    return True


def _stays(found: Case | None, before: datetime | None) -> bool:
    """Whether a result outlives its batch: tested by itself, or not as old as is to be deleted."""
    if found is None or before is None:
        return found is not None and found.alone
    return found.alone or (found.renewed_at or found.created_at) >= before


def _lock(session: Session, site: Services, batch_id: int) -> None:
    public_id = session.scalar(select(Batch.public_id).where(Batch.id == batch_id))
    if public_id is not None:
        site.database.lock(session, public_id)


def _held(session: Session, batch_id: int) -> list[BatchItem]:
    """Some items with what a replica has just found of them; none can end one meanwhile."""
    query = select(BatchItem).where(BatchItem.batch_id == batch_id).order_by(BatchItem.id)
    query = query.limit(_AT_ONCE).with_for_update(of=BatchItem)
    query = query.options(selectinload(BatchItem.files), selectinload(BatchItem.case))
    return list(session.scalars(query.execution_options(populate_existing=True)))


def _also_elsewhere(session: Session, items: Sequence[BatchItem]) -> set[int | None]:
    """The cases of these items that another batch shows as well: the same image sent twice."""
    ids = [item.case_id for item in items if item.case_id is not None]
    query = select(BatchItem.case_id).where(BatchItem.case_id.in_(ids))
    others = query.where(BatchItem.batch_id.not_in({item.batch_id for item in items}))
    return set(session.scalars(others))
