"""Slows down whoever guesses passwords or codes: counted in the database, so on every replica."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from ladnn.service.database import Database
from ladnn.service.errors import TooMany
from ladnn.service.tables_accounts import Guess

FREE = {"account": 5, "address": 20}
"""How many wrong ones go by without a wait: behind one address may be a whole hospital."""
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)


def wait_after(count: int, free: int) -> timedelta:
    """How long nothing is tried after so many wrong ones: nothing, then 5 s, 10 s, ... 15 min."""
    if count < free:
        return timedelta(0)
    doubled: int = 2 ** min(count - free, 20)
    return min(LONGEST_WAIT, FIRST_WAIT * doubled)


def attempt(
    session: Session, database: Database, present: datetime, *, email: str, address: str
) -> None:
    """Count one attempt as wrong before it is made; `forget` takes it back when it was right.

    Counting first means that a hundred attempts at the same time count a hundred.

    Raises TooMany while account or address has to wait; that attempt is not made.
    """
    keys = sorted((_key(kind, name), kind) for kind, name in _names(email, address))
    for key, _ in keys:
        database.lock(session, key)
    kept = [(session.get(Guess, key), key, kind) for key, kind in keys]
    waits = [_remaining(guess, kind, present) for guess, _, kind in kept]
    if any(waits):
        raise TooMany(seconds=int(max(waits).total_seconds()) + 1)
    for guess, key, _ in kept:
        if guess is None:
            session.add(Guess(key=key, count=1, last_at=present))
        else:
            guess.count = 1 if present - guess.last_at > FORGOTTEN_AFTER else guess.count + 1
            guess.last_at = present


def forget(session: Session, *, email: str, address: str) -> None:
    """A right password or code: the account's count begins anew, the address's is one less.

    So an attacker's own account does not buy guesses at others from the same address.
    """
    session.execute(delete(Guess).where(Guess.key == _key("account", email)))
    guess = session.get(Guess, _key("address", address))
    if guess is not None:
        guess.count = max(0, guess.count - 1)


def _remaining(guess: Guess | None, kind: str, present: datetime) -> timedelta:
    if guess is None:
        return timedelta(0)
    return max(timedelta(0), guess.last_at + wait_after(guess.count, FREE[kind]) - present)


def _names(email: str, address: str) -> list[tuple[str, str]]:
    return [("account", email), ("address", address)]


def _key(kind: str, name: str) -> str:
    return hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
