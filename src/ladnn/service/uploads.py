"""How much of bodies with files one process holds at once, of one address and of all; their pace.

They lie in files until their request is answered, and are read before it is known who sends them.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fastapi import HTTPException
from starlette.types import Message, Receive

EACH, ALL = 3, 16
"""How many of the largest uploads there may be at once: the page of batches sends three."""

RETRY = {"retry-after": "10"}  # seconds

PIECE, SILENCE = 64 << 10, 30.0
"""Of a body so many bytes come in so many seconds, or its end: until then what came is held."""


class Reach(Protocol):
    """Told how much of a body came, and how much it says is still to come."""

    def __call__(self, size: int, *, ahead: int = 0) -> None:
        """Count what came; refuse also where what is ahead could not be taken in now."""
        ...


class Uploads:
    """Counts the bytes that are under way; used on one event loop alone."""

    def __init__(self, largest: int) -> None:
        """`largest` is what one body may have, in bytes."""
        self._each, self._most = EACH * largest, ALL * largest
        self._bytes: dict[str, int] = {}  # by address
        self._all = 0

    @contextmanager
    def under_way(self, address: str) -> Iterator[Reach]:
        """While a body is there; yields what is told how much of it came.

        That raises HTTPException, 429 where it is too much for the address and 503 for all,
        because FastAPI lets no other out of the reading of a body. What is only announced holds no
        share: a few callers that announce much and send little would keep out everybody else.
        """
        taken = 0

        def reach(size: int, *, ahead: int = 0) -> None:
            nonlocal taken
            more = size - taken
            if self._bytes.get(address, 0) + more + ahead > self._each:
                raise HTTPException(429, headers=RETRY)
            if self._all + more + ahead > self._most:
                raise HTTPException(503, headers=RETRY)
            self._add(address, more)
            taken = size

        try:
            yield reach
        finally:
            self._add(address, -taken)

    def _add(self, address: str, more: int) -> None:
        self._all += more
        held = self._bytes.get(address, 0) + more
        if held:
            self._bytes[address] = held
        else:
            self._bytes.pop(address, None)


class Pace:
    """How fast one body comes; what the site itself takes between two pieces does not count."""

    def __init__(self) -> None:
        self._came, self._waited = 0, 0.0

    async def hear(self, receive: Receive) -> Message:
        """What comes next; HTTPException where too little does for too long."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(SILENCE - self._waited):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, headers={"connection": "close"}) from None
        self._waited += time.monotonic() - start
        self._came += len(message.get("body", b""))
        if self._came >= PIECE:
            self._came, self._waited = 0, 0.0
        return message
