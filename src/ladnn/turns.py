"""Things that threads share by turns: who asked first is served first."""

import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Things that threads take and put back.

    A plain queue or lock serves a thread that comes just when one is put back before those that
    wait, so that under load some requests take twice as long as the others.
    """

    def __init__(self, *things: Thing) -> None:
        self._lock = threading.Lock()
        self._free: deque[Thing] = deque(things)
        self._waiting: deque[queue.SimpleQueue[Thing]] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    @contextmanager
    def held(self) -> Iterator[Thing]:
        """One of them, put back at the end; waits behind those who wait already."""
        thing = self.get()
        try:
            yield thing
        finally:
            self.put(thing)

    def get(self, seconds: float | None = None) -> Thing:
        """Take one; waits behind those who wait already.

        Raises TimeoutError when its turn has not come within `seconds`.
        """
        with self._lock:
            if self._free:
                return self._free.popleft()
            turn: queue.SimpleQueue[Thing] = queue.SimpleQueue()
            self._waiting.append(turn)
        try:
            return turn.get(timeout=seconds)
        except queue.Empty:
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                    raise TimeoutError from None
            return turn.get()  # it came at the last moment

    def put(self, thing: Thing) -> None:
        """Put one back, for whoever waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().put(thing)
            else:
                self._free.append(thing)
