"""A batch that is deleted while replicas and requests are at work on it leaves nothing behind."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType

import pytest
from sites import MakeSite, PostgreSql, Site
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from test_site_batches import add, begin, drain, packed, scans

from ladnn.phantom import hounsfield
from ladnn.service import batch_files, batch_intake, batches, leases, retention
from ladnn.service.database import Database
from ladnn.service.errors import NotFound
from ladnn.service.tables import Base, Case, now
from ladnn.service.tables_batches import Batch, BatchItem
from synthetic import dicom_bytes

Sent = tuple[list[tuple[str, tuple[str, bytes]]], str]
"""The files of a request, and the query of its address."""

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


def aged(site: Site, *tables: type[Base]) -> None:
    """Let everything of these tables have been made before the time for which visitors' is kept."""
    then = site.services.clock() - timedelta(days=site.services.settings.visitor_case_days + 1)

    def write(session: Session) -> None:
        for table in tables:
            session.execute(update(table).values(created_at=then))

    site.services.database.write(write)


def test_what_was_tested_today_in_an_old_batch_stays_with_it(site: Site):
    batch, [old, new] = begin(site), scans(2)
    add(site, batch, old)
    aged(site, Batch, BatchItem, Case)
    link = add(site, batch, new).json()["items"][0]["links"]["prediction"]
    assert retention.purge(site.services)["visitor_batches"] == 0
    assert site.client.get(link).status_code == 200
    shown = site.client.get(f"{batch}/items").json()["items"]
    assert [item["covid"] is None for item in shown] == [True, False]


def test_a_result_that_is_younger_than_its_old_batch_outlives_it(site: Site):
    batch, [scan] = begin(site), scans(1)
    link = add(site, batch, scan).json()["items"][0]["links"]["prediction"]
    aged(site, Batch, BatchItem)
    assert retention.purge(site.services)["visitor_batches"] == 1
    assert (site.client.get(batch).status_code, site.client.get(link).status_code) == (404, 200)
    aged(site, Case)
    retention.purge(site.services)
    assert left(site) == [0, 0, 0, 0]


def test_what_comes_into_an_old_batch_just_before_it_is_deleted_stays(site: Site):
    batch, [scan] = begin(site), scans(1)
    before = site.services.clock()
    add(site, batch, scan)
    key = site.services.database.read(lambda session: session.scalar(select(Batch.id)))
    batches.remove_all(site.services, key, before)
    assert left(site) == [1, 1, 1, 1]


@pytest.mark.parametrize("together", [False, True])
def test_a_file_whose_result_was_deleted_is_asked_for_and_tested_again(site: Site, together: bool):
    batch, [scan] = begin(site), scans(1)
    [item] = add(site, batch, scan).json()["items"]
    digests = {"sha256": item["sha256"]}
    assert site.client.delete(item["links"]["prediction"]).status_code == 204
    assert site.client.post(f"{batch}/missing", json=digests).json() == digests
    assert add(site, batch, ("again.zip", packed([scan])) if together else scan).status_code != 200
    drain(site)
    [again] = site.client.get(f"{batch}/items").json()["items"]
    assert (again["id"], again["state"], again["covid"]) == (item["id"], "done", item["covid"])
    assert site.client.post(f"{batch}/missing", json=digests).json() == {"sha256": []}


def one_by_one(slices: list[tuple[str, bytes]]) -> list[Sent]:
    return [([("file", slices[0])], "?more=true"), ([("file", slices[1])], "")]


def at_once(slices: list[tuple[str, bytes]]) -> list[Sent]:
    return [([("file", one) for one in slices], "")]


@pytest.mark.parametrize("requests", [one_by_one, at_once])
def test_a_series_whose_result_was_deleted_is_tested_again_as_a_whole(
    site: Site, requests: Callable[[list[tuple[str, bytes]]], list[Sent]]
):
    scans = [dicom_bytes(hounsfield(n, size=(96, 120)), InstanceNumber=n) for n in (1, 2)]
    slices = [(f"{n}.dcm", data) for n, data in enumerate(scans)]
    batch = begin(site)
    add(site, batch, *slices)
    drain(site)
    [item] = site.client.get(f"{batch}/items").json()["items"]
    assert site.client.delete(item["links"]["prediction"]).status_code == 204
    for files, query in requests(slices):
        assert site.client.post(f"{batch}/items{query}", files=files).status_code == 202
    drain(site)
    [again] = site.client.get(f"{batch}/items").json()["items"]
    assert (again["state"], again["covid"]) == ("done", item["covid"])


def test_a_series_of_which_a_part_is_sent_again_asks_for_the_rest_of_it(site: Site):
    scans = [dicom_bytes(hounsfield(n, size=(96, 120)), InstanceNumber=n) for n in (1, 2)]
    slices, batch = [(f"{n}.dcm", data) for n, data in enumerate(scans)], begin(site)
    add(site, batch, *slices)
    drain(site)
    [item] = site.client.get(f"{batch}/items").json()["items"]
    site.client.delete(item["links"]["prediction"])
    add(site, batch, slices[0])
    drain(site)
    [failed] = site.client.get(f"{batch}/items").json()["items"]
    assert failed["state"] == "failed"
    digests = {"sha256": item["sha256"]}
    rest = site.client.post(f"{batch}/missing", json=digests).json()["sha256"]
    assert rest == [hashlib.sha256(slices[1][1]).hexdigest()]
    add(site, batch, slices[1])
    drain(site)
    [again] = site.client.get(f"{batch}/items").json()["items"]
    assert (again["state"], again["covid"]) == ("done", item["covid"])


def age(site: Site) -> None:
    """Let all batches and what is in them be 400 days old."""
    old = now() - timedelta(days=400)
    site.services.database.write(lambda s: s.execute(update(Batch).values(created_at=old)))
    site.services.database.write(lambda s: s.execute(update(BatchItem).values(created_at=old)))


@pytest.mark.parametrize("how", ["tried again", "sent again", "never tested"])
def test_an_old_batch_in_which_something_waits_is_kept(site: Site, how: str):
    batch = begin(site)
    add(site, batch, *scans(2))
    if how == "never tested":
        age(site)
    else:
        site.client.post(f"{batch}/cancel")
        age(site)
    if how == "tried again":
        site.client.post(f"{batch}/retry")
    elif how == "sent again":
        assert add(site, batch, *scans(2)).status_code == 202
    retention.purge(site.services)
    assert site.client.get(batch).json()["waiting"] == 2
    drain(site)
    retention.purge(site.services)
    assert site.client.get(batch).status_code == (404 if how == "never tested" else 200)


def test_an_old_batch_is_as_old_as_the_image_that_was_sent_again_alone(site: Site):
    batch = begin(site)
    [scan] = scans(1)
    link = add(site, batch, scan).json()["items"][0]["links"]["prediction"]
    assert site.client.delete(link).status_code == 204
    age(site)
    assert add(site, batch, scan).status_code == 201
    retention.purge(site.services)
    assert site.client.get(batch).status_code == 200


def test_an_old_batch_goes_as_a_whole_once_it_began_to(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batches, "_AT_ONCE", 1)
    batch = begin(site)
    add(site, batch, *scans(3))
    drain(site)
    age(site)
    release, sent = batches.blobs.release, []

    def send_another(*given: object) -> None:
        release(*given)  # type: ignore[arg-type]
        if left(site)[1] == 2 and not sent:
            sent.append(add(site, batch, scans(4)[3]).status_code)

    monkeypatch.setattr(batches.blobs, "release", send_another)
    retention.purge(site.services)
    assert (sent, left(site)[:2]) == ([404], [0, 0])


@pytest.mark.parametrize("make", [batch_files.table, batch_files.archive])
def test_what_is_downloaded_while_its_batch_is_deleted_breaks_off(
    page: Site, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Iterator[bytes]]
):
    monkeypatch.setattr(batch_files, "_AT_ONCE", 1)
    batch = begin(page)
    add(page, batch, *scans(3))
    drain(page)
    row = page.services.database.read(lambda session: session.scalar(select(Batch)))
    pieces = make(page.services, row, "")
    next(pieces)
    batches.remove_all(page.services, row.id)
    with pytest.raises(NotFound):
        list(pieces)
