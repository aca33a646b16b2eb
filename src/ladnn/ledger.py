"""The events of a registry, what follows from them, and where they are kept as files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from ladnn.errors import RegistryError
from ladnn.storage import Store

EVENTS = "events"


class Status(StrEnum):
    """What a version is at this moment."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"
    RETIRED = "retired"


class Kind(StrEnum):
    """What an event did."""

    ADD = "add"
    JUDGE = "judge"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RETIRE = "retire"
    """What a rollback was to the version that it took back; no ledger holds one."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One transition: what, of which version, who, when and why.

    Attributes:
        number: from 1, without a gap.
        label: of the version that was added or judged, or that became champion; empty where a
            rollback left none.
        files: of `ADD` and `JUDGE`: sha256 by file name.
        folder: of `ADD` and `JUDGE`: where the files lie.
    """

    number: int
    kind: Kind
    label: str
    by: str
    at: datetime
    why: str
    files: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` is its inverse."""
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Event":
        """Read what `to_json` wrote; raises ValueError, TypeError or KeyError for anything else."""
        at = datetime.fromisoformat(data["at"])
        return cls(**{**data, "kind": Kind(data["kind"]), "at": at})


@dataclass(frozen=True, kw_only=True)
class Version:
    """One bundle of the registry.

    Attributes:
        added: the event that brought it, with its files.
        events: all that happened to it since, the newest last.
    """

    label: str
    status: Status
    added: Event
    events: tuple[Event, ...] = ()

    def brought(self, name: str) -> Event | None:
        """The event that brought a file, the newest where there are several; None where none."""
        return next((e for e in (*self.events[::-1], self.added) if name in e.files), None)


class Ledger(Protocol):
    """Where the events are kept."""

    def events(self) -> list[Event]:
        """All events by number."""
        ...

    def append(self, event: Event) -> None:
        """Keep the event, whole, unless its number is taken: then raise `Taken`."""
        ...


def versions(events: Sequence[Event]) -> dict[str, Version]:
    """Every version by label, in the order in which they were added."""
    line = champions(events)
    now = line[-1] if line else None
    found: dict[str, Version] = {}
    told = list(_told(events))
    for added in (event for event in events if event.kind == Kind.ADD):
        happened = tuple(e for e in told if e.label == added.label and e.kind != Kind.ADD)
        served = any(e.kind != Kind.JUDGE for e in happened)
        status = Status.RETIRED if served else Status.CANDIDATE
        status = Status.CHAMPION if added.label == now else status
        found[added.label] = Version(label=added.label, status=status, added=added, events=happened)
    return found


def _told(events: Sequence[Event]) -> Iterator[Event]:
    """The events, a rollback also as one of the version that it took back."""
    line: list[str] = []
    for event in events:
        if event.kind == Kind.ROLLBACK:
            yield replace(event, kind=Kind.RETIRE, label=line[-1])
        _follow(line, event)
        yield event


def champions(events: Sequence[Event]) -> list[str]:
    """The champion last, before it the one that a rollback would bring back, and so on."""
    line: list[str] = []
    for event in events:
        _follow(line, event)
    return line


def _follow(line: list[str], event: Event) -> None:
    if event.kind == Kind.PROMOTE:
        line.append(event.label)
    elif event.kind == Kind.ROLLBACK:
        line.pop()


class FileLedger:
    """The events as files of a folder or of S3, one each, never changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Event] = {}  # by file: one that was read never changes

    def events(self) -> list[Event]:
        """All events by number; raises RegistryError for a file that is none, or a gap."""
        found = []
        for number, name in enumerate(sorted(self._store.names(EVENTS)), start=1):
            event = self._known.get(name) or self._read(name)
            self._known[name] = event
            if event.number != number:
                raise RegistryError(f"the event {number} of the registry is missing: restore it")
            found.append(event)
        return found

    def _read(self, name: str) -> Event:
        try:
            return Event.from_json(json.loads(self._store.read(f"{EVENTS}/{name}")))
        except (ValueError, TypeError, KeyError) as error:
            raise RegistryError(
                f"the event {name} of the registry is damaged: restore it"
            ) from error

    def append(self, event: Event) -> None:
        """Write the event as a file that was not there; raises Taken when it was."""
        text = json.dumps(event.to_json(), indent=2, ensure_ascii=False) + "\n"
        self._store.create(f"{EVENTS}/{event.number:06d}.json", text.encode())
