"""Sessions: who has signed in on which browser, until when; the database has a hash alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, contains_eager

from ladnn.service.accounts.tokens import hash_of, new_token
from ladnn.service.tables import Account, SignIn

TOUCH = timedelta(minutes=1)
"""A last use is written at most this often: not every request costs a write."""
_AGENT = 200  # characters kept of what a browser says it is


@dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """How long sessions live.

    Attributes:
        idle: without any request.
        whole: in all, whatever happens.
    """

    idle: timedelta
    whole: timedelta


def begin(
    session: Session, account: Account, agent: str, present: datetime, lifetimes: Lifetimes
) -> str:
    """A new session; gives the token for the browser's cookie, which is nowhere else."""
    token = new_token()
    session.add(
        SignIn(
            token_hash=hash_of(token),
            account_id=account.id,
            agent=agent[:_AGENT],
            created_at=present,
            seen_at=present,
            expires_at=present + lifetimes.whole,
        )
    )
    return token


def find(session: Session, token: str, present: datetime, lifetimes: Lifetimes) -> SignIn | None:
    """The session of a token with its account.

    None when it is unknown, over or idle for too long, or when the account may not sign in.
    """
    query = (
        select(SignIn)
        .join(SignIn.account)
        .options(contains_eager(SignIn.account))
        .where(
            SignIn.token_hash == hash_of(token),
            SignIn.expires_at > present,
            SignIn.seen_at > present - lifetimes.idle,
            Account.status == "active",
        )
    )
    return session.scalars(query).one_or_none()


def is_stale(found: SignIn, present: datetime, lifetimes: Lifetimes) -> bool:
    """Whether its last use is to be written again: in time, however soon it would be over."""
    return present - found.seen_at > min(TOUCH, lifetimes.idle / 2)


def touch(session: Session, key: int, present: datetime) -> None:
    """Write that the session was used just now."""
    found = session.get(SignIn, key)
    if found is not None:
        found.seen_at = present


def of_account(session: Session, account_id: int) -> list[SignIn]:
    """All sessions of an account, the one used last first."""
    query = select(SignIn).where(SignIn.account_id == account_id)
    return list(session.scalars(query.order_by(SignIn.seen_at.desc())))


def end(session: Session, account_id: int, public_id: str) -> bool:
    """End one session of an account; whether there was one."""
    gone = delete(SignIn).where(SignIn.account_id == account_id, SignIn.public_id == public_id)
    return bool(session.execute(gone).rowcount)  # type: ignore[attr-defined]  # a delete has one


def end_all(session: Session, account_id: int, but: int | None = None) -> int:
    """End every session of an account, except the one with that key; says how many."""
    gone = delete(SignIn).where(SignIn.account_id == account_id, SignIn.id != (but or 0))
    return int(session.execute(gone).rowcount)  # type: ignore[attr-defined]


def forget(session: Session, present: datetime, lifetimes: Lifetimes) -> int:
    """Delete the sessions that are over; says how many."""
    over = (SignIn.expires_at <= present) | (SignIn.seen_at <= present - lifetimes.idle)
    return int(session.execute(delete(SignIn).where(over)).rowcount)  # type: ignore[attr-defined]


def end_one(session: Session, key: int) -> None:
    """End the session with that key."""
    session.execute(delete(SignIn).where(SignIn.id == key))
