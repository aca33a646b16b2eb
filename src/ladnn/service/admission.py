"""Turns at testing what came in, on the event loop: whoever waits for one takes no thread.

Names, which are accounts or addresses, are admitted in turn, so that nobody waits for a whole crowd
of another's.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ladnn.service.errors import Busy, TooMany

AT_ONCE = 24  # of the forty threads of a process: pages and pictures always have some
EACH = 12  # of one name, which keeps all decoders and the network at work
MOST = 64  # of one name, waiting or under way: a hospital may have one address
PATIENCE = 45.0  # seconds that a request waits, fewer than programs wait for an answer
RETRY = 5  # seconds after which one that was refused may come again


@dataclass
class _Name:
    """What is under way for a name, and what waits."""

    under_way: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Admission:
    """Lets some be tested at a time; made once for each process, used on its event loop alone."""

    def __init__(
        self,
        *,
        at_once: int = AT_ONCE,
        each: int = EACH,
        most: int = MOST,
        patience: float = PATIENCE,
    ) -> None:
        """Of one name `each` are under way and `most` may be there; of all `at_once` are."""
        self._free, self._each, self._most, self._patience = at_once, each, most, patience
        self._names: dict[str, _Name] = {}  # with anything under way or waiting
        self._next: OrderedDict[str, None] = OrderedDict()  # whose next is to be admitted, in turn

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            TooMany: as many of that name as may be are there already.
            Busy: there was no turn for too long.
        """
        one = self._names.setdefault(name, _Name())
        if one.under_way + len(one.waiting) >= self._most:
            raise TooMany("error.too_many_at_once", seconds=RETRY)
        if self._free and not one.waiting and one.under_way < self._each:
            self._free -= 1
            one.under_way += 1
        else:
            await self._wait(name, one)
        try:
            yield
        finally:
            self._give_back(name, one)

    async def _wait(self, name: str, one: _Name) -> None:
        turn = asyncio.get_running_loop().create_future()
        one.waiting.append(turn)
        self._line_up(name, one)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn in one.waiting:
                one.waiting.remove(turn)
                self._line_up(name, one)
            elif not turn.cancelled():  # it came at the last moment
                self._give_back(name, one)
            if isinstance(error, TimeoutError):
                raise Busy("error.busy_tests") from None
            raise

    def _give_back(self, name: str, one: _Name) -> None:
        """End a turn; whoever is next has it."""
        self._free += 1
        one.under_way -= 1
        self._line_up(name, one)
        while self._free and self._next:
            name, _ = self._next.popitem(last=False)
            one = self._names[name]
            turn = one.waiting.popleft()
            if not turn.cancelled():  # else whoever waited is gone
                self._free -= 1
                one.under_way += 1
                turn.set_result(None)
            self._line_up(name, one)

    def _line_up(self, name: str, one: _Name) -> None:
        """Put a name among those that come next, or not, or forget it."""
        if one.waiting and one.under_way < self._each:
            self._next.setdefault(name)  # behind the others, unless it stands there already
            return
        self._next.pop(name, None)
        if not one.waiting and not one.under_way:
            del self._names[name]
