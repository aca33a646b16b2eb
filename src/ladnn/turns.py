"""Things that threads share by turns: names in turn, and of a name who asked first."""

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Things that threads take and put back.

    A plain queue or lock serves a thread that comes just when one is put back before those that
    wait, so that under load some requests take twice as long as the others. Whoever asks under a
    name of their own waits for one of each other name at most, however many wait under that.
    """

    def __init__(self, *things: Thing) -> None:
        self._lock = threading.Lock()
        self._free: deque[Thing] = deque(things)
        self._names: OrderedDict[str, deque[queue.SimpleQueue[Thing]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        with self._lock:
            return sum(map(len, self._names.values()))

    @contextmanager
    def held(self, name: str = "") -> Iterator[Thing]:
        """One of them, put back at the end; waits for its turn as `get` does."""
        thing = self.get(name=name)
        try:
            yield thing
        finally:
            self.put(thing)

    def get(self, seconds: float | None = None, *, name: str = "") -> Thing:
        """Take one; waits behind those of the same name, and for one of every other name.

        Raises TimeoutError when its turn has not come within `seconds`.
        """
        with self._lock:
            if self._free:
                return self._free.popleft()
            turn: queue.SimpleQueue[Thing] = queue.SimpleQueue()
            self._names.setdefault(name, deque()).append(turn)
        try:
            return turn.get(timeout=seconds)
        except queue.Empty:
            with self._lock:
                if turn in self._names.get(name, ()):
                    self._leave(name, turn)
                    raise TimeoutError from None
            return turn.get()  # it came at the last moment

    def put(self, thing: Thing) -> None:
        """Put one back, for who waits longest of the name that was served longest ago."""
        with self._lock:
            if not self._names:
                self._free.append(thing)
                return
            name, waiting = next(iter(self._names.items()))
            turn = waiting[0]
            self._leave(name, turn)
            if waiting:
                self._names.move_to_end(name)
            turn.put(thing)

    def _leave(self, name: str, turn: queue.SimpleQueue[Thing]) -> None:
        """Wait no more; a name under which nobody waits is forgotten."""
        waiting = self._names[name]
        waiting.remove(turn)
        if not waiting:
            del self._names[name]
