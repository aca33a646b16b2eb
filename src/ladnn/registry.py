"""Bundles by version: candidate, champion, retired; every transition is one numbered event.

The events are the truth: whoever appends number N + 1 first has made the transition, and whoever
comes second looks again. So a transition is one transaction, on any store that can refuse to
write what is already there: a folder, S3, or the database of a site.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ladnn.bundle import CARD_FILE, MODEL_FILE, Bundle, load_bundle
from ladnn.errors import DamagedError, OvertakenError, RegistryError
from ladnn.ledger import Event, FileLedger, Kind, Ledger, Version, champions, versions
from ladnn.runtime import Predictor
from ladnn.storage import Store, Taken

VERSIONS = "versions"
MAX_LABEL = 80
"""Characters of a label."""
_ATTEMPTS = 50
_LABEL = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_LABEL - 1}}}")


def label_of(name: str, version: str) -> str:
    """What a registry calls a bundle; RegistryError where that cannot be a folder's name."""
    label = f"{name}-{version}"
    if not _LABEL.fullmatch(label):
        raise RegistryError(f"{label!r} cannot name a version: use letters, digits, . _ and -")
    return label


def _require_reason(why: str) -> None:
    if not why.strip():
        raise RegistryError("a change of the registry needs a reason: say why")


def _expected(events: Sequence[Event], instead_of: str | None, which: str) -> str:
    """The champion, "" for none; OvertakenError where it is not the one that was looked at."""
    line = champions(events)
    now = line[-1] if line else ""
    if instead_of is not None and now != instead_of:
        raise OvertakenError(
            f"the champion is {now or 'none'} by now and no longer {instead_of or 'none'}, {which}",
            now,
        )
    return now


class Registry:
    """The versions: their files in a store, their events in a ledger."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open a registry; without a ledger of its own the events lie beside the files."""
        self._store, self._clock = store, clock
        self.ledger = ledger or FileLedger(store)

    def versions(self) -> dict[str, Version]:
        """Every version by label."""
        return versions(self.ledger.events())

    def champion(self) -> str | None:
        """The label of the champion; None before the first promotion."""
        line = self.line()
        return line[-1] if line else None

    def line(self) -> list[str]:
        """See `champions`."""
        return champions(self.ledger.events())

    def add(
        self,
        folder: Path | str,
        evidence: Mapping[str, bytes],
        *,
        by: str,
        why: str,
        check: Callable[[], None] = lambda: None,
    ) -> str:
        """Take in a bundle as a candidate, with what was measured of it.

        Args:
            folder: of the bundle, or a shipped name.
            evidence: more files by name.
            by: who adds it.
            why: for which reason.
            check: raises what forbids the evidence beside the events of the moment.

        Returns:
            Its label, the bundle's name and version.

        Raises:
            BundleError: a folder that is no sound bundle.
            RegistryError: a version that is already there, or a name that cannot be a label.
        """
        bundle, label = self.check_addition(folder, why=why)
        files = {
            CARD_FILE: (bundle.path / CARD_FILE).read_bytes(),
            MODEL_FILE: bundle.model,
            **evidence,
        }
        kept = self._keep(label, files)

        def decide(events: Sequence[Event]) -> dict[str, Any]:
            self._refuse_double(label, events)
            check()
            return {"kind": Kind.ADD, "label": label, **kept}

        self._append(decide, by=by, why=why)
        return label

    def judge(
        self,
        label: str,
        evidence: Mapping[str, bytes],
        *,
        by: str,
        why: str,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep what was measured of a version that is there without it; arguments as of `add`.

        Raises:
            RegistryError: no such version, or one that has such a file.
        """
        kept = self._keep(label, evidence)

        def decide(events: Sequence[Event]) -> dict[str, Any]:
            for name in evidence:
                self._refuse_second(label, name, events)
            check()
            return {"kind": Kind.JUDGE, "label": label, **kept}

        self._append(decide, by=by, why=why)

    def check_judging(self, label: str, name: str, *, why: str) -> None:
        """Raise what `judge` would for a file of that name, before anything is judged."""
        _require_reason(why)
        self._refuse_second(label, name, self.ledger.events())

    def check_addition(self, folder: Path | str, *, why: str) -> tuple[Bundle, str]:
        """The bundle and its label; raises what `add` would, before anything is judged."""
        _require_reason(why)
        bundle = load_bundle(folder)
        label = label_of(bundle.card.name, bundle.card.version)
        self._refuse_double(label, self.ledger.events())
        return bundle, label

    def promote(self, label: str, *, by: str, why: str, instead_of: str | None = None) -> None:
        """Make a version the champion; the champion so far retires, in the same transaction.

        Args:
            label: of a candidate or a retired version.
            instead_of: the champion that it was compared with, "" for none; another one by now is
                an error. None is not asked.
            by: who promotes it.
            why: for which reason.

        Raises:
            OvertakenError: another champion by now.
            RegistryError: no such version, one whose files are missing or altered, or the champion
                itself.
            BundleError: a version that this program cannot run.
        """
        self._try(label)

        def decide(events: Sequence[Event]) -> dict[str, Any]:
            self._known(label, events)
            now = _expected(events, instead_of, f"with which {label} was compared: compare again")
            if now == label:
                raise RegistryError(f"{label} is the champion already: promote another")
            return {"kind": Kind.PROMOTE, "label": label}

        self._append(decide, by=by, why=why)

    def rollback(self, *, by: str, why: str, instead_of: str | None = None) -> str:
        """Bring back the champion before this one and say its label; this one retires.

        Before the first champion there was none, and the label is empty: a site then answers with
        the bundle of its settings.

        Args:
            instead_of: the champion that is not to answer any more, as of `promote`.
            by: who rolls back.
            why: for which reason.

        Raises:
            OvertakenError: another champion by now.
            RegistryError: no champion, or files of the one before are missing or altered.
            BundleError: the one before cannot be run by this program.
        """

        def decide(events: Sequence[Event]) -> dict[str, Any]:
            _expected(events, instead_of, "which was to be rolled back: look again")
            line = champions(events)
            if not line:
                raise RegistryError("there is no champion to go back from: promote one first")
            label = line[-2] if len(line) > 1 else ""
            if label:
                self._try(label)
            return {"kind": Kind.ROLLBACK, "label": label}

        return self._append(decide, by=by, why=why).label

    def _try(self, label: str) -> None:
        """Raise what a site would that opens the version: each that starts later would fail."""
        Predictor(self.open(label), threads=1)

    def open(self, label: str) -> Bundle:
        """The bundle of a version, every byte checked against the hashes of its event.

        Raises RegistryError for an unknown version or an altered file.
        """
        with TemporaryDirectory(prefix="ladnn-") as scratch:
            for name in (CARD_FILE, MODEL_FILE):
                (Path(scratch) / name).write_bytes(self.read(label, name))
            return load_bundle(Path(scratch))

    def read(self, label: str, name: str) -> bytes:
        """One file of a version; raises RegistryError where it has none, or when it was altered."""
        version = self._known(label, self.ledger.events())
        brought = version.brought(name)
        if brought is None:
            there = {one for event in (version.added, *version.events) for one in event.files}
            raise RegistryError(f"{label} has no {name}: it has {', '.join(sorted(there))}")
        data = self._store.read(f"{brought.folder}/{name}")
        if hashlib.sha256(data).hexdigest() != brought.files[name]:
            raise DamagedError(
                f"{name} of {label} is not the file that was added: restore it from a backup, or "
                "promote another version"
            )
        return data

    def _keep(self, label: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Write the files where their hashes say; an event's `files` and `folder`."""
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        whole = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
        place = f"{VERSIONS}/{label}@{whole[:12]}"
        for name, data in files.items():
            self._store.write(f"{place}/{name}", data)
        return {"files": hashes, "folder": place}

    def _append(
        self, decide: Callable[[Sequence[Event]], dict[str, Any]], *, by: str, why: str
    ) -> Event:
        _require_reason(why)
        for _ in range(_ATTEMPTS):
            events = self.ledger.events()
            event = Event(
                number=len(events) + 1, by=by, at=self._clock(), why=why, **decide(events)
            )
            try:
                self.ledger.append(event)
            except Taken:
                continue  # somebody was faster: decide again on what is true now
            return event
        raise RegistryError("the registry is too busy to be changed: try again")

    def _known(self, label: str, events: Sequence[Event]) -> Version:
        found = versions(events)
        if label not in found:
            there = ", ".join(found) or "none"
            raise RegistryError(f"there is no version {label!r}: the registry has {there}")
        return found[label]

    def _refuse_double(self, label: str, events: Sequence[Event]) -> None:
        if label in versions(events):
            raise RegistryError(f"{label} is there already: export with another name or version")

    def _refuse_second(self, label: str, name: str, events: Sequence[Event]) -> None:
        if self._known(label, events).brought(name):
            raise RegistryError(f"{label} has its {name} already: judge a version without one")
