"""How much one account or address may ask for: a bucket of tokens for each.

All requests are counted by each worker process for itself, because a count in the database would
cost every one a write: that limit guards the process. Tests and what visitors send, all of which is
stored, are counted for the whole site, in the database: a process takes a block of tokens at a time
from there, and so writes seldom.
"""

import hashlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from ladnn.service.accounts.permissions import Permission
from ladnn.service.addresses import read_address
from ladnn.service.database import Database
from ladnn.service.errors import BadRequest, TooMany
from ladnn.service.settings import Settings
from ladnn.service.tables_accounts import Allowance

HEALTH, READY = "/healthz", "/readyz"
_MINUTE, _DAY = 60.0, 86_400.0  # seconds
MOST_BUCKETS = 50_000  # some 10 MB; the one that was quiet longest goes first
BLOCKS = 50
"""Into how many blocks a limit is cut; so much of it may be left over in each process."""


class Limiter:
    """Allows `most` of something to each name within a minute, all at once, refilled evenly.

    In this process alone.
    """

    def __init__(self, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`most` 0 allows everything; `clock` gives seconds."""
        self._most, self._clock = float(most), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take a token of that name.

        Raises TooMany, with the seconds until there is one, when none is left.
        """
        if not self._most:
            return
        rate, present = self._most / _MINUTE, self._clock()
        with self._lock:
            tokens, then = self._buckets.pop(name, (self._most, present))
            tokens = min(self._most, tokens + (present - then) * rate)
            enough = tokens >= 1
            self._buckets[name] = (tokens - 1 if enough else tokens, present)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        if not enough:
            raise TooMany(seconds=int((1 - tokens) / rate) + 1)


@dataclass
class _Held:
    """What a process knows of a name.

    Attributes:
        tokens: that it took from the database and has not given out.
        until: when they are void: the bucket is full again by then.
        left, seen: the most that the database had when it had too few, and when that was.
    """

    tokens: float
    until: datetime
    left: float | None = None
    seen: datetime | None = None


class SharedLimiter:
    """Allows `most` of something to each name within `seconds`, on all processes of the site.

    What one process took and did not give out another cannot: up to a block (`BLOCKS`) of each.
    """

    def __init__(
        self,
        kind: str,
        most: float,
        seconds: float,
        database: Database,
        clock: Callable[[], datetime],
    ) -> None:
        """`most` 0 allows everything; `kind` tells the buckets of several limits apart."""
        self._kind, self._most, self._seconds = kind, float(most), seconds
        self._rate, self._block = most / seconds, most / BLOCKS
        self._database, self._clock = database, clock
        self._names: OrderedDict[str, _Held] = OrderedDict()
        self._lock, self._asking = threading.Lock(), threading.Lock()

    async def take(self, name: str, amount: float = 1, key: str | None = None) -> None:
        """Take so many tokens of that name; never more than all of them are asked for.

        Raises:
            TooMany: fewer are left; it has the sentence `key` and the seconds until there are more.
            DatabaseAway: they cannot be counted now.
        """
        amount = min(amount, self._most)
        if amount and not self._give(name, amount, key):
            await run_in_threadpool(self.take_now, name, amount, key)

    def take_now(self, name: str, amount: float = 1, key: str | None = None) -> None:
        """`take`, waiting for the database where need be."""
        amount = min(amount, self._most)
        if not amount:
            return
        with self._asking:  # of several at once, one asks, and the others find what it brought
            while not self._give(name, amount, key):
                self._fetch(name, amount)

    def _give(self, name: str, amount: float, key: str | None) -> bool:
        """Whether there was enough in this process; TooMany where there can be nowhere else."""
        present = self._clock()
        with self._lock:
            held = self._names.get(name)
            if held is None:
                return False
            self._names.move_to_end(name)
            if held.until < present:
                held.tokens = 0.0
            if held.tokens >= amount:
                held.tokens -= amount
                return True
            short = amount - held.tokens
        if held.left is not None and held.seen is not None:
            passed = max(0.0, (present - held.seen).total_seconds())
            short -= held.left + passed * self._rate
            if short > 0:
                raise TooMany(key, seconds=int(short / self._rate) + 1)
        return False

    def _fetch(self, name: str, amount: float) -> None:
        """Get a block from the database, or learn how little there is."""
        present = self._clock()
        with self._lock:
            held = self._names.setdefault(name, _Held(0.0, present))
            self._names.move_to_end(name)
            short = amount - held.tokens
            if len(self._names) > MOST_BUCKETS:
                self._names.popitem(last=False)
        key = hashlib.sha256(f"{self._kind} {name}".encode()).hexdigest()
        got, left = self._database.write(lambda session: self._draw(session, key, short, present))
        with self._lock:
            held.tokens += got
            held.until = present + timedelta(seconds=self._seconds)
            held.left, held.seen = (None, None) if got else (left, present)

    def _draw(
        self, session: Session, key: str, short: float, present: datetime
    ) -> tuple[float, float]:
        """What the bucket gives, nothing where it has less than `short`, and what is left in it."""
        self._database.lock(session, key)
        kept = session.get(Allowance, key)
        if kept is None:
            kept = Allowance(key=key, tokens=self._most, at=present)
            session.add(kept)
        passed = max(0.0, (present - kept.at).total_seconds())
        tokens = min(self._most, kept.tokens + passed * self._rate)
        if tokens < short:
            return 0.0, tokens
        got = min(tokens, max(short, self._block))
        kept.tokens, kept.at = tokens - got, max(present, kept.at)
        return got, kept.tokens


def forget(session: Session, present: datetime) -> None:
    """Delete the buckets that are full again, which is as if there were none."""
    session.execute(delete(Allowance).where(Allowance.at < present - timedelta(seconds=_DAY)))


class Limits:
    """The limits of the settings: on all requests, and on tests by accounts and by visitors.

    Of visitors it is also counted how much they send, because all of it is stored.
    """

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], datetime]
    ) -> None:
        def shared(kind: str, most: float, seconds: float = _MINUTE) -> SharedLimiter:
            return SharedLimiter(kind, most, seconds, database, clock)

        self._requests = Limiter(settings.requests_per_minute)
        self._tests = shared("tests", settings.tests_per_minute)
        self._visitor_tests = shared("visitor tests", settings.visitor_tests_per_minute)
        self._visitor_bytes = shared("visitor bytes", settings.visitor_mib_per_day << 20, _DAY)

    def count(self, owner: str, request: Request) -> None:
        """Count a request for its account, or for its address where `owner` is empty.

        Who watches the site is never turned away for what others at the same address ask for:
        health costs nothing, and readiness, which asks the stores, counts by itself.

        Raises TooMany where there were too many in the last minute.
        """
        path = request.scope["path"]
        if path != HEALTH:
            name = owner or address_of(request)
            self._requests.take(f"{READY} {name}" if path == READY else name)

    async def take(self, owner: str, permission: Permission, request: Request) -> None:
        """Count a test for its account, or for its address where `owner` is empty.

        Raises:
            TooMany: there were too many in the last minute, or a visitor sent too much in a day.
            DatabaseAway: tests cannot be counted now, nor could their results be kept.
        """
        if permission is not Permission.TEST or request.method != "POST":
            return
        name = owner or address_of(request)
        await (self._tests if owner else self._visitor_tests).take(name)
        if not owner:
            sent = getattr(request.state, "received", 0)
            await self._visitor_bytes.take(name, sent, "error.too_much")

    def take_bytes(self, address: str, amount: int) -> None:
        """Count what a visitor's files come to beyond what was sent; TooMany as `take` does."""
        if address:
            self._visitor_bytes.take_now(address, amount, "error.too_much")


class Room:
    """What the files of one request may come to as they are kept: a few KiB may unpack to GiB.

    It counts for its visitor's day as what was sent does, or as what is kept where that is more.
    """

    def __init__(self, limits: Limits, address: str, *, sent: int, most: int, key: str) -> None:
        """`address` is empty for an account; beyond `most` bytes the sentence `key` refuses."""
        self._limits, self._address, self._most, self._key = limits, address, most, key
        self._paid, self._kept, self._lock = sent, 0, threading.Lock()

    def take(self, size: int) -> None:
        """Count so many bytes more; from any thread.

        Raises:
            BadRequest: it is more than one request may bring.
            TooMany: it is more than a visitor may bring today.
        """
        with self._lock:
            self._kept += size
            if self._kept > self._most:
                raise BadRequest(self._key, limit=self._most >> 20)
            owed = max(0, self._kept - self._paid)
            self._paid += owed
        if owed:
            self._limits.take_bytes(self._address, owed)


def address_of(request: HTTPConnection) -> str:
    """The address of the caller, of IPv6 the network of 64 bits that one line usually has.

    Uvicorn puts there what a trusted proxy says of it, and the proxy itself for any other.
    """
    host = request.client.host if request.client else ""
    address = read_address(host)
    if address is None or address.version == 4:
        return str(address or host)  # a socket's name
    return str(ipaddress.ip_network((address, 64), strict=False))
