"""The model's versions on a site: their events in the database, their files in the storage."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ladnn.ledger import Event, Kind, Version
from ladnn.registry import MAX_LABEL, Registry
from ladnn.runtime import Bundle, load_bundle
from ladnn.service import audit_log
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.database import Database
from ladnn.service.errors import NotFound
from ladnn.service.settings import Settings
from ladnn.service.tables import new_id, now
from ladnn.service.tables_models import ModelEvent
from ladnn.storage import Store, Taken

FOLDER = "models"
"""Below the storage of the site."""


class DatabaseLedger:
    """The events as rows; the primary key lets one of two writers win.

    Whoever changes the versions, the audit log has it in the same transaction.
    """

    def __init__(self, database: Database, principal: Principal = audit_log.SYSTEM) -> None:
        self._database, self._principal = database, principal

    def events(self) -> list[Event]:
        """All events by number."""
        query = select(ModelEvent).order_by(ModelEvent.number)
        return self._database.read(lambda s: [_event(row) for row in s.scalars(query)])

    def append(self, event: Event) -> None:
        """Insert the event; raises Taken when another has its number."""
        token = new_id()

        def insert(session: Session) -> None:
            found = session.get(ModelEvent, event.number)
            if found is None:
                session.add(_row(event, token))
                session.flush()  # the loser of two writers leaves no line
                audit_log.record(
                    session,
                    self._principal,
                    f"model.{event.kind}",
                    event.label,
                    {"why": event.why},
                )
            elif found.token != token:  # the same token: an earlier commit arrived after all
                raise Taken

        try:
            self._database.write(insert)
        except IntegrityError:
            raise Taken from None


def site_registry(
    settings: Settings,
    database: Database,
    clock: Callable[[], datetime] = now,
    principal: Principal = audit_log.SYSTEM,
) -> Registry:
    """The registry of a site, changed in the name of the principal."""
    store = Store(f"{settings.storage.rstrip('/')}/{FOLDER}", settings.s3_endpoint)
    return Registry(store, DatabaseLedger(database, principal), clock)


def known(versions: Mapping[str, Version], label: str) -> Version:
    """The version of that label; NotFound, which names it, where there is none."""
    if label not in versions:
        raise NotFound("models.unknown", label=label[:MAX_LABEL])
    return versions[label]


def registry_of(site: Services, principal: Principal = audit_log.SYSTEM) -> Registry:
    """The registry of the site that answers, changed in the name of the principal."""
    return site_registry(site.settings, site.database, site.clock, principal)


def open_bundle(settings: Settings, registry: Registry, label: str) -> Bundle:
    """The bundle of a version; of the settings where the label is empty."""
    return registry.open(label) if label else load_bundle(settings.bundle)


def _event(row: ModelEvent) -> Event:
    return Event(
        number=row.number,
        kind=Kind(row.kind),
        label=row.label,
        by=row.by,
        at=row.at,
        why=row.why,
        files=row.files,
        folder=row.folder,
    )


def _row(event: Event, token: str) -> ModelEvent:
    return ModelEvent(
        number=event.number,
        token=token,
        kind=event.kind,
        label=event.label,
        by=event.by,
        at=event.at,
        why=event.why,
        files=dict(event.files),
        folder=event.folder,
    )
