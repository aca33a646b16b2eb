"""Slows down whoever guesses passwords or codes: counted in the database, so on every replica.

A browser in which the account has signed in before is counted by itself. So strangers who guess at
an account, from however many addresses, together get no more than one stranger, and its owner, at
a browser of theirs, does not wait for them.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from ladnn.service.database import Database
from ladnn.service.errors import TooMany
from ladnn.service.tables_accounts import Guess

FREE = {"account": 5, "browser": 5, "address": 20}
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


@dataclass(frozen=True, kw_only=True)
class Guesser:
    """Who tries.

    Attributes:
        email: of the account that is tried, whether it is there or not.
        address: where from.
        browser: its own name where this account has signed in with it before; empty elsewhere.
    """

    email: str
    address: str
    browser: str = ""

    @property
    def account_key(self) -> tuple[str, str]:
        """Under which key and kind wrong ones at the account count: its own, or the browser's."""
        if self.browser:
            return _key("browser", f"{self.browser} {self.email}")
        return _key("account", self.email)

    @property
    def address_key(self) -> tuple[str, str]:
        """Under which key and kind wrong ones from the address count."""
        return _key("address", self.address)


def attempt(session: Session, database: Database, present: datetime, who: Guesser) -> None:
    """Count one attempt as wrong before it is made; `forget` takes it back when it was right.

    Counting first means that a hundred attempts at the same time count a hundred.

    Raises TooMany while account, browser or address has to wait; that attempt is not made.
    """
    keys = sorted((who.account_key, who.address_key))
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


def forget(session: Session, who: Guesser, *, counted: bool = True) -> None:
    """A right password or code: the account's count begins anew, the address's is one less.

    So an attacker's own account does not buy guesses at others from the same address, nor does the
    owner at a known browser buy strangers guesses at the account. The address's stays where
    `attempt` counted nothing: a provider or a link let them in.
    """
    session.execute(delete(Guess).where(Guess.key == who.account_key[0]))
    guess = session.get(Guess, who.address_key[0]) if counted else None
    if guess is not None:
        guess.count = max(0, guess.count - 1)


def _remaining(guess: Guess | None, kind: str, present: datetime) -> timedelta:
    if guess is None:
        return timedelta(0)
    return max(timedelta(0), guess.last_at + wait_after(guess.count, FREE[kind]) - present)


def _key(kind: str, name: str) -> tuple[str, str]:
    return hashlib.sha256(f"{kind} {name}".encode()).hexdigest(), kind
