"""A batch that is deleted while replicas and requests are at work on it leaves nothing behind."""

import threading
import time
from collections.abc import Callable
from types import ModuleType

import pytest
from sites import MakeSite, PostgreSql, Site
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from test_site_batches import add, begin, drain, packed, scans

from ladnn.service import batch_intake, batches, leases
from ladnn.service.database import Database
from ladnn.service.tables import Case
from ladnn.service.tables_batches import Batch, BatchItem

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def wait_for_another(database: Database) -> None:
    """Return once another transaction waits for what this one holds."""
    deadline = time.monotonic() + 20
    while not database.read(lambda session: session.scalar(_WAITING)):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def left(site: Site) -> list[int | None]:
    """How many batches, items, results and stored files there are."""
    counts = [
        site.services.database.read(lambda s, one=one: s.scalar(select(func.count(one.id))))
        for one in (Batch, BatchItem, Case)
    ]
    return [*counts, len(site.services.blobs.names())]


def deleting(
    site: Site, monkeypatch: pytest.MonkeyPatch, where: ModuleType, name: str
) -> Callable[[], None]:
    """Delete the batch within a step of some work, which goes on once the deletion waits for it.

    Returns what waits for the end of the deletion.
    """
    database, step = site.services.database, getattr(where, name)
    key = database.read(lambda session: session.scalar(select(Batch.id)))
    threads: list[threading.Thread] = []

    def held(session: Session, *given: object, **more: object) -> object:
        done = step(session, *given, **more)
        session.flush()
        if not threads:
            threads.append(threading.Thread(target=batches.remove_all, args=(site.services, key)))
            threads[0].start()
            wait_for_another(database)
        return done

    monkeypatch.setattr(where, name, held)
    return lambda: threads[0].join(timeout=30)


@pytest.fixture
def shared(make_site: MakeSite, postgresql: PostgreSql) -> Site:
    """A site over PostgreSQL, where transactions run beside each other."""
    return make_site(postgresql.fresh("prepared"))


def test_what_a_replica_finds_at_that_moment_is_deleted_too(
    shared: Site, monkeypatch: pytest.MonkeyPatch
):
    add(shared, begin(shared), ("all.zip", packed(scans(2))))
    wait = deleting(shared, monkeypatch, leases, "settle")
    drain(shared)
    wait()
    assert left(shared) == [0, 0, 0, 0]


def test_what_a_request_brings_at_that_moment_is_deleted_too(
    shared: Site, monkeypatch: pytest.MonkeyPatch
):
    batch = begin(shared)
    wait = deleting(shared, monkeypatch, batch_intake, "_settle")
    add(shared, batch, *scans(1))
    wait()
    assert left(shared) == [0, 0, 0, 0]
