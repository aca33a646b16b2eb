"""Work that one replica does every so often, and the thread that looks whether some is due."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ladnn.service.database import Database
from ladnn.service.logs import log
from ladnn.service.tables_accounts import Duty

LOOK_SECONDS = 60.0


def claim(
    session: Session, database: Database, name: str, present: datetime, every: timedelta
) -> bool:
    """Whether the duty is due and now this replica's; it is due again after `every`.

    A replica that dies over it leaves it until then.
    """
    database.lock(session, f"duty {name}")
    duty = session.get(Duty, name)
    if duty is None:
        session.add(Duty(name=name, due_at=present + every))
        return True
    if duty.due_at > present:
        return False
    duty.due_at = present + every
    return True


def finish(session: Session, name: str, present: datetime) -> None:
    """Note that the duty was done."""
    duty = session.get(Duty, name)
    if duty is not None:
        duty.done_at = present


class Caretaker:
    """A thread that calls each of the duties every minute; each decides whether it is due."""

    def __init__(self, *duties: Callable[[], object]) -> None:
        self._duties = duties
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)

    def start(self) -> None:
        """Begin, the first look being a minute away."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is under way, if that takes no more than a few seconds."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for duty in self._duties:
                try:
                    duty()
                except Exception as error:  # the next look may do better
                    log().error("duty", exc_info=error)
