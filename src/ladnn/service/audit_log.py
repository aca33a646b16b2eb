"""The audit log: who did what to what, and when; what matters most is chained by hashes.

Views and tests are plain lines: there are many, and they go when their time is over. Everything
else (changes, deletions, downloads, sign-ins) gets a number and a hash that covers the line before
it, so that a line that was changed, removed or moved shows. A chain cannot show by itself that all
of it was written anew: `verify` gives its head, to be noted where whoever runs the database cannot
write.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import BEARER, Principal
from ladnn.service.database import Database, insert_row
from ladnn.service.tables import AuditEvent, now
from ladnn.service.tables_accounts import AuditChain

ZEROS = "0" * 64
VISITS = ("view", "test")
"""Last words of the actions that are not chained."""
TESTS = ("prediction.create",)
"""Actions that are not chained although their last word is another."""
SYSTEM = Principal(role=Role.ADMINISTRATOR, owner="system")
"""The site itself, and whoever works at its command line."""
PURGE = ("retention.purge", "changes")
"""Action and object of the line that tells which chained lines are gone."""
LASTS = timedelta(hours=1)
"""How long a line covers what belongs to what was looked at: as long as browsers keep pictures."""


class Shown(Protocol):
    """What somebody looks at: a case, a contribution, a batch."""

    public_id: Any
    owner: Any


Seen = TypeVar("Seen", bound=Shown)


def record(
    session: Session,
    principal: Principal,
    action: str,
    object: str,  # noqa: A002  # the log's own word
    detail: dict[str, Any],
) -> None:
    """Write one line in the transaction of what it tells of, as the last thing in it.

    Chained lines are written one after the other on all replicas: the chain stays locked until the
    transaction ends. Neither names nor addresses nor what an image shows belong in `detail`.
    """
    event = AuditEvent(
        at=now(),
        actor=principal.owner,
        role=str(principal.role),
        action=action,
        object=object,
        detail=detail,
    )
    if is_chained(action):
        _append(session, event)
    insert_row(session, event)


def name_of(thing: Shown) -> str:
    """What a line calls a thing: its id, unless that alone opens it for whoever reads the log."""
    return _veiled(thing.public_id) if thing.owner == BEARER else str(thing.public_id)


def _veiled(public_id: str) -> str:
    return f"sha256:{hashlib.sha256(public_id.encode()).hexdigest()[:32]}"


def look(
    database: Database, find: Callable[[Session], Seen], principal: Principal, action: str
) -> Seen:
    """What `find` finds; that it was looked at is written in the transaction that finds it."""

    def noted(session: Session) -> Seen:
        found = find(session)
        record(session, principal, action, name_of(found), {})
        return found

    return database.write(noted)


def look_again(
    database: Database,
    find: Callable[[Session], Seen],
    principal: Principal,
    action: str,
    within: Callable[[Session, Seen], Iterable[str]] = lambda session, found: (),
) -> Seen:
    """`look` at what belongs to a page, or is asked for again and again.

    Nothing is written where the same principal has a line, younger than `LASTS`, of viewing it or
    something that it is `within`, by `name_of`: then it is part of that view. All whom nobody
    knows count as one.
    """

    def known(session: Session) -> Seen | None:
        found = find(session)
        shown = [name_of(found), *within(session, found)]
        return found if _was_seen(session, principal, shown) else None

    return database.read(known) or look(database, find, principal, action)


def _was_seen(session: Session, principal: Principal, objects: list[str]) -> bool:
    query = select(AuditEvent.id).where(
        AuditEvent.object.in_(objects),
        AuditEvent.actor == principal.owner,
        AuditEvent.at > now() - LASTS,
        AuditEvent.action.endswith(f".{VISITS[0]}"),
    )
    return session.scalar(query.limit(1)) is not None


def is_chained(action: str) -> bool:
    """Whether lines of that action are part of the chain."""
    return action not in TESTS and action.rsplit(".", 1)[-1] not in VISITS


def _append(session: Session, event: AuditEvent) -> None:
    chain = _chain(session, lock=True)
    event.sequence = chain.head + 1
    event.previous = chain.head_hash
    event.hash = event_hash(event)
    chain.head, chain.head_hash = event.sequence, event.hash


def _chain(session: Session, *, lock: bool = False) -> AuditChain:
    query = select(AuditChain).execution_options(populate_existing=True)
    return session.scalars(query.with_for_update() if lock else query).one()


def event_hash(event: AuditEvent) -> str:
    """sha256 over the hash before and everything that the line says, in one written form."""
    said = {
        "sequence": event.sequence,
        "previous": event.previous,
        "at": event.at.isoformat(timespec="microseconds"),
        "actor": event.actor,
        "role": event.role,
        "action": event.action,
        "object": event.object,
        "detail": event.detail,
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verifying found.

    Attributes:
        lines: how many hold.
        head: `NUMBER:HASH` of the newest line that holds, to be noted elsewhere.
        fault: the key of the sentence about the first line that does not hold; None when all do.
        line: the number that the sentence names.
    """

    lines: int
    head: str
    fault: str | None = None
    line: int = 0


def verify(database: Database, noted: str | None = None) -> Verdict:
    """Walk the chain from end to end, as it is at one moment: others may write meanwhile.

    Args:
        database: of the site.
        noted: a head that was noted earlier, `NUMBER:HASH`: the chain still has to hold it.
    """
    return database.read_one_moment(lambda session: _walk(session, noted))


def _walk(session: Session, noted: str | None) -> Verdict:
    chain = _chain(session)
    number, digest = chain.start, chain.start_hash
    told = (0, ZEROS)
    seen = noted is None or noted == f"{number}:{digest}"
    for event in _lines(session):
        fault = _fault(event, number, digest)
        if fault:
            return _verdict(chain, number, digest, fault, number + 1)
        number, digest = number + 1, str(event.hash)
        told = _told(event) or told
        seen = seen or noted == f"{number}:{digest}"
    if (chain.head, chain.head_hash) != (number, digest):
        return _verdict(chain, number, digest, "audit.fault_end", chain.head)
    if (chain.start, chain.start_hash) != told:
        return _verdict(chain, number, digest, "audit.fault_start", chain.start)
    if noted is not None and not seen:
        line = _number(noted)
        if line is not None and line < chain.start:
            return _verdict(chain, number, digest, "audit.fault_before", line)
        return _verdict(chain, number, digest, "audit.fault_noted")
    return _verdict(chain, number, digest)


def _told(event: AuditEvent) -> tuple[int, str] | None:
    """Where the chain starts by a line that tells of what retention removed; None by any other."""
    if (event.action, event.object) != PURGE or "start" not in event.detail:
        return None
    return event.detail["start"], event.detail["hash"]


def _number(head: str) -> int | None:
    """The number of a head as it was noted; None where it is none."""
    found = re.fullmatch(r"([0-9]{1,18}):[0-9a-f]{64}", head)
    return int(found[1]) if found else None


def _verdict(
    chain: AuditChain, number: int, digest: str, fault: str | None = None, line: int = 0
) -> Verdict:
    head = f"{number}:{digest}"
    return Verdict(lines=number - chain.start, head=head, fault=fault, line=line)


def _lines(session: Session) -> Iterator[AuditEvent]:
    query = select(AuditEvent).where(AuditEvent.sequence.is_not(None))
    yield from session.scalars(
        query.order_by(AuditEvent.sequence).execution_options(yield_per=1000)
    )


def _fault(event: AuditEvent, number: int, digest: str) -> str | None:
    if event.sequence != number + 1:
        return "audit.fault_missing"
    if event.previous != digest or event.hash != event_hash(event):
        return "audit.fault_changed"
    return None


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which lines to show: each field narrows unless it is empty.

    Attributes:
        actor, object: exactly; the object also where a line veils it.
        action: how it begins, such as `account.`.
        since, until: from the first, before the second.
    """

    actor: str = ""
    action: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None


def browse(
    session: Session, wanted: Filter, *, before: int | None = None, limit: int = 100
) -> list[AuditEvent]:
    """The newest lines first; `before` is the key of the last one of the page before."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if wanted.actor:
        query = query.where(AuditEvent.actor == wanted.actor)
    if wanted.object:
        named = (wanted.object, _veiled(wanted.object))
        query = query.where(AuditEvent.object.in_(named))
    if wanted.action:
        query = query.where(AuditEvent.action.startswith(wanted.action, autoescape=True))
    if wanted.since:
        query = query.where(AuditEvent.at >= wanted.since)
    if wanted.until:
        query = query.where(AuditEvent.at < wanted.until)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return list(session.scalars(query))


def forget_visits(session: Session, before: datetime, at_most: int) -> int:
    """Delete plain lines older than that; says how many. The chain is not touched."""
    old = select(AuditEvent.id).where(AuditEvent.sequence.is_(None), AuditEvent.at < before)
    gone = session.execute(delete(AuditEvent).where(AuditEvent.id.in_(old.limit(at_most))))
    return int(gone.rowcount)  # type: ignore[attr-defined]  # a delete has one


def forget_chained(session: Session, before: datetime) -> int:
    """Delete the oldest chained lines; says how many.

    A chained line tells where the chain now starts, so that nobody else shortens it unseen.
    """
    chain = _chain(session, lock=True)
    last = session.scalar(
        select(func.min(AuditEvent.sequence)).where(
            AuditEvent.sequence.is_not(None), AuditEvent.at >= before
        )
    )
    last = chain.head if last is None else last - 1
    if last <= chain.start:
        return 0
    event = session.scalars(select(AuditEvent).where(AuditEvent.sequence == last)).one()
    count = last - chain.start
    chain.start, chain.start_hash = last, str(event.hash)
    session.execute(delete(AuditEvent).where(AuditEvent.sequence <= last))
    session.flush()  # for the chain is read anew where the line is written
    detail = {"count": count, "before": before.isoformat(timespec="seconds")}
    detail |= {"start": last, "hash": chain.start_hash}
    record(session, SYSTEM, *PURGE, detail)
    return count
