"""How much of bodies with files one process holds at once, of one address and of all.

They lie in files until their request is answered, and are read before it is known who sends them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import HTTPException

EACH, ALL = 3, 16
"""How many of the largest uploads there may be at once: the page of batches sends three."""

RETRY = {"retry-after": "10"}  # seconds


class Uploads:
    """Counts the bytes that are under way; used on one event loop alone."""

    def __init__(self, largest: int) -> None:
        """`largest` is what one body may have, in bytes."""
        self._each, self._most = EACH * largest, ALL * largest
        self._bytes: dict[str, int] = {}  # by address
        self._all = 0

    @contextmanager
    def under_way(self, address: str) -> Iterator[Callable[[int], None]]:
        """While a body is there; yields what is told how large it is, or says that it will be.

        That raises HTTPException, 429 where it is too much for the address and 503 for all,
        because FastAPI lets no other out of the reading of a body.
        """
        taken = 0

        def reach(size: int) -> None:
            nonlocal taken
            more = size - taken
            if more <= 0:
                return
            if self._bytes.get(address, 0) + more > self._each:
                raise HTTPException(429, headers=RETRY)
            if self._all + more > self._most:
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
