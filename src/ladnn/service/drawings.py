"""Turns at drawing pictures and PDFs, on the event loop: whoever waits for one takes no thread."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool

from ladnn.service.errors import Busy

AT_ONCE = 4  # of the forty threads of a process, which answer everything else as well
PATIENCE = 20.0  # seconds that a request waits


class Drawings:
    """Lets a few be drawn at a time; made once for each process."""

    def __init__(self, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        self._free, self._patience = asyncio.Semaphore(at_once), patience

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it; Busy where there is none for too long."""
        try:
            await asyncio.wait_for(self._free.acquire(), self._patience)
        except TimeoutError:
            raise Busy from None
        try:
            yield
        finally:
            self._free.release()

    async def one_by_one(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of a long file, each drawn in a turn of its own, however long it waits."""
        while True:
            async with self._free:
                piece = await run_in_threadpool(next, pieces, None)
            if piece is None:
                return
            yield piece
