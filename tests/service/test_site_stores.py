"""Database and files: what is kept, what is given back, what a full disk leaves behind."""

import contextlib
import errno
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from moto.server import ThreadedMotoServer
from sites import PostgreSql, Site, free_port
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from ladnn.errors import ConfigError
from ladnn.service import blobs as store
from ladnn.service import retention
from ladnn.service.blobs import Blobs
from ladnn.service.database import Database, opening
from ladnn.service.errors import BadRequest, DatabaseAway, NotFound, StorageAway, StorageFull
from ladnn.service.tables import Account, Secret, now


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server in this process, with one bucket."""
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        s3fs.S3FileSystem(client_kwargs={"endpoint_url": address}).mkdir("bucket")
        yield address
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """A store of either kind."""
    if request.param == "folder":
        return Blobs(str(tmp_path / "blobs"))
    return Blobs(f"s3://bucket/{tmp_path.name}", request.getfixturevalue("s3"))


def test_bytes_are_given_back_by_their_hash(blobs: Blobs):
    digest = blobs.put(b"pixels")
    assert (blobs.get(digest), blobs.has(digest), blobs.names()) == (b"pixels", True, [digest])


def test_the_same_bytes_are_kept_once(blobs: Blobs):
    assert blobs.put(b"pixels") == blobs.put(b"pixels")
    assert len(blobs.names()) == 1


def test_files_of_others_in_the_same_storage_are_not_taken_for_bytes(tmp_path: Path):
    blobs = Blobs(str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ("0" * 64)).touch()
    assert blobs.names() == []


def test_bytes_have_an_age(blobs: Blobs):
    digest = blobs.put(b"pixels")
    assert blobs.names(now() - timedelta(minutes=1)) == []
    assert blobs.names(now() + timedelta(minutes=1)) == [digest]


def test_bytes_that_are_not_there_are_not_found(blobs: Blobs):
    with pytest.raises(NotFound):
        blobs.get("0" * 64)


def test_removing_is_final_and_may_be_repeated(blobs: Blobs):
    digest = blobs.put(b"pixels")
    blobs.remove(digest)
    blobs.remove(digest)
    assert not blobs.has(digest)


def test_a_store_that_can_be_reached_passes_its_check(blobs: Blobs):
    blobs.check()


def test_an_s3_server_that_is_down_is_said_to_be_away(s3: str):
    del s3  # for the credentials
    gone = Blobs("s3://bucket/x", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageAway):
        gone.put(b"pixels")


def test_what_can_be_stored_to_may_start_a_site(blobs: Blobs):
    blobs.require()


@pytest.mark.parametrize(
    ("bucket", "here", "secret", "reason"),
    [
        ("nowhere", True, "test", "there is no such bucket"),
        ("bucket", False, "test", "no connection"),
        ("bucket", True, "", "credentials"),
    ],
)
def test_a_site_is_told_why_s3_cannot_be_used(
    s3: str, monkeypatch: pytest.MonkeyPatch, *, bucket: str, here: bool, secret: str, reason: str
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if not secret:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("HOME", "/nonexistent")
    blobs = Blobs(f"s3://{bucket}/x", s3 if here else f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match=rf"s3://{bucket}/x cannot be used \(.*{reason}"):
        blobs.require()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    blobs = Blobs(str(tmp_path / "files"))
    (tmp_path / "files").rmdir()
    (tmp_path / "files").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        blobs.require()


def test_a_storage_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="s3://"):
        Blobs("ftp://host/path")


def test_many_files_wait_for_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    together, fsync = threading.Barrier(2), os.fsync

    def slow(handle: int) -> None:
        if not met:
            together.wait(timeout=20)  # never comes back where one is written after the other
            met.append(handle)
        fsync(handle)

    met: list[int] = []
    monkeypatch.setattr(os, "fsync", slow)
    blobs = Blobs(str(tmp_path))
    blobs.put_all([b"one", b"two", b"two"])
    assert sorted(map(blobs.get, blobs.names())) == [b"one", b"two"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blobs = Blobs(str(tmp_path / "blobs"))

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        blobs.put(b"pixels")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_a_folder_that_can_only_be_read_is_said_to_be_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    blobs = Blobs(str(tmp_path / "blobs"))
    blobs.check()
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    with pytest.raises(StorageAway):
        blobs.check()


def secret(name: str) -> Secret:
    return Secret(name=name, value=b"x")


def test_what_is_written_in_a_transaction_is_there_afterwards(database: Database):
    database.write(lambda session: session.add(secret("a")))
    found = database.read(lambda session: session.scalar(select(Secret.value)))
    assert found == b"x"


def test_a_transaction_that_fails_leaves_nothing(database: Database):
    def fail(session: Session) -> None:
        session.add(secret("a"))
        session.flush()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # its own, with no text
        database.write(fail)
    assert database.read(lambda session: session.scalar(select(func.count(Secret.name)))) == 0


def test_a_moment_comes_back_with_its_zone(database: Database):
    moment = now()
    row = Account(email="a@example.org", name="A", role="clinician", created_at=moment)
    database.write(lambda session: session.add(row))
    assert database.read(lambda session: session.scalar(select(Account.created_at))) == moment


def test_of_many_writers_none_overwrites_another(database: Database):
    database.write(lambda session: session.add(Secret(name="n", value=b"0")))

    def add_one(session: Session) -> None:
        database.lock(session, "n")
        row = session.get(Secret, "n")
        assert row is not None
        row.value = str(int(row.value) + 1).encode()

    workers = [
        threading.Thread(target=lambda: [database.write(add_one) for _ in range(5)])
        for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert database.read(lambda session: session.scalar(select(Secret.value))) == b"30"


def test_on_sqlite_the_writers_of_one_process_are_served_in_the_order_they_came(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/site.db")
    assert database.writers is not None
    order: list[int] = []
    go = threading.Event()

    def first(_session: Session) -> None:
        assert go.wait(10)

    workers = [threading.Thread(target=database.write, args=(first,))]
    workers[0].start()
    for number in range(6):
        note = (lambda _session, number=number: order.append(number),)
        workers.append(threading.Thread(target=database.write, args=note))
        workers[-1].start()
        deadline = time.monotonic() + 10
        while database.writers.waiting <= number and time.monotonic() < deadline:
            time.sleep(0.001)
    go.set()
    for worker in workers:
        worker.join()
    assert order == list(range(6))


def test_on_sqlite_a_stuck_lock_is_told_to_all_writers_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ladnn.service.database._LONGEST", 0.3)
    path = tmp_path / "site.db"
    database = Database(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    took: list[float] = []

    def write() -> None:
        start = time.monotonic()
        with pytest.raises(DatabaseAway):
            database.write(lambda session: session.execute(text("SELECT 1")))
        took.append(time.monotonic() - start)

    workers = [threading.Thread(target=write) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    other.close()
    assert len(took) == 8
    assert max(took) < 4  # one after the other they would take five seconds and more


def test_work_is_done_again_when_the_database_restarts(postgresql: PostgreSql):
    database = Database(postgresql.fresh("prepared"))
    database.write(lambda session: session.add(secret("before")))
    postgresql.stop("immediate")
    postgresql.start()
    database.write(lambda session: session.add(secret("after")))
    names = database.read(lambda session: list(session.scalars(select(Secret.name))))
    database.dispose()
    assert sorted(names) == ["after", "before"]


def test_who_writes_a_row_second_finds_that_of_the_first(postgresql: PostgreSql):
    database = Database(postgresql.fresh("prepared"))

    def write(session: Session) -> str:
        found = session.get(Secret, "same")
        if found is not None:
            return "found"
        database.write(lambda other: other.merge(secret("same")))  # somebody is quicker
        session.add(secret("same"))
        session.flush()
        return "written"

    assert database.write(write) == "found"
    database.dispose()


def test_a_text_that_no_column_can_hold_is_the_caller_s_mistake(postgresql: PostgreSql):
    database = Database(postgresql.fresh("prepared"))
    with pytest.raises(BadRequest):
        database.read(lambda session: session.get(Secret, "a\0b"))
    database.dispose()


def test_a_database_that_stays_away_is_said_to_be_away():
    database = Database(f"postgresql+psycopg://ladnn@127.0.0.1:{free_port()}/x")
    with pytest.raises(DatabaseAway):
        database.read(lambda session: session.scalar(select(1)))


def test_a_database_whose_connections_are_all_taken_is_said_to_be_away(database: Database):
    def taken(_session: Session) -> None:
        raise PoolTimeout

    with pytest.raises(DatabaseAway):
        database.read(taken)


def test_a_database_that_can_only_be_read_is_said_to_be_away_until_it_can_be_written(
    postgresql: PostgreSql,
):
    database = Database(postgresql.fresh("prepared"))
    name = database.engine.url.database
    switch = f'ALTER DATABASE "{name}" SET default_transaction_read_only = '
    database.check()
    database.write(lambda session: session.execute(text(f"{switch} on")))
    database.engine.dispose()
    with pytest.raises(DatabaseAway):
        database.write(lambda session: session.add(secret("a")))
    with pytest.raises(DatabaseAway):
        database.check()
    with psycopg.connect(_plain(database), autocommit=True) as server:
        server.execute("SET default_transaction_read_only = off")
        server.execute(f"{switch} off")
    database.write(lambda session: session.add(secret("b")))
    database.check()
    database.dispose()


def _plain(database: Database) -> str:
    return database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.mark.parametrize("room", [True, False])
def test_a_database_on_a_full_disk_opens_by_its_reserve_or_says_that_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: bool
):
    database = Database(f"sqlite:///{tmp_path}/site.db")
    assert database.reserve is not None
    if room:
        database.reserve.keep()
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    def no_log() -> None:
        if not room or (tmp_path / "site.db-reserve").exists():
            raise OperationalError("PRAGMA", {}, Exception("disk I/O error"))

    if room:
        with opening(database):
            no_log()
    else:
        said = pytest.raises(ConfigError, match=r"disk of the database .* is full: make room")
        with said, opening(database):
            no_log()


@pytest.mark.parametrize("reason", ["database or disk is full", "could not extend: disk full"])
def test_a_database_without_room_is_said_to_be_full(database: Database, reason: str):
    def full(_session: Session) -> None:
        raise OperationalError("INSERT", {}, Exception(reason))

    with pytest.raises(StorageFull):
        database.write(full)


def test_a_server_of_postgresql_is_given_up_in_time_unless_the_url_says_otherwise():
    def given(query: str) -> dict[str, object]:
        database = Database(f"postgresql+psycopg://ladnn@127.0.0.1/x{query}")
        asked: dict[str, object] = {}

        @event.listens_for(database.engine, "do_connect")
        def note(_dialect: object, _record: object, _args: object, words: dict[str, object]):
            asked.update(words)
            raise DatabaseAway

        with contextlib.suppress(DatabaseAway):
            database.read(lambda session: session.scalar(select(1)))
        return asked

    assert (given("")["connect_timeout"], given("")["tcp_user_timeout"]) == (10, 30_000)
    assert given("?tcp_user_timeout=5000")["tcp_user_timeout"] == "5000"


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/name", "sqlite://"])
def test_a_database_of_another_kind_is_refused(url: str):
    with pytest.raises(ConfigError, match="database_url"):
        Database(url)


def test_bytes_go_with_the_last_row_that_names_them(site: Site, scan: bytes):
    sent = [
        browser.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
        for browser in (site.client, signed(site))
    ]
    blobs = site.services.blobs
    kept = blobs.names()
    site.client.delete(f"/api/v1/predictions/{sent[0]['id']}")
    assert (len(kept), blobs.names()) == (1, kept)
    assert sent[1]["id"] != sent[0]["id"]
    store.release(site.services.database, blobs, kept)
    assert blobs.names() == kept


def test_a_sweep_deletes_what_no_case_names_and_nothing_else(site: Site, scan: bytes):
    site.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
    blobs = site.services.blobs
    kept = blobs.names()
    blobs.put(b"what a crash left behind")
    half = next(Path(site.services.settings.storage).glob("??/??")) / ".half"
    half.touch()
    database, present = site.services.database, now()
    assert store.sweep(database, blobs, present - timedelta(hours=1)) == 0  # it may be under way
    assert store.sweep(database, blobs, present + timedelta(hours=1)) == 1
    assert (blobs.names(), half.exists()) == (kept, False)


def test_what_nobody_names_goes_with_the_hourly_purge_a_day_later(site: Site):
    blobs = site.services.blobs
    blobs.put(b"what a crash left behind")
    retention.purge(site.services)
    assert len(blobs.names()) == 1
    retention.purge(replace(site.services, clock=lambda: now() + timedelta(hours=25)))
    assert blobs.names() == []


def test_what_is_deleted_while_the_storage_is_away_is_deleted_and_its_bytes_are_swept(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    address = "/api/v1/predictions"
    sent = site.client.post(address, files={"file": ("a.png", scan)}).json()
    blobs, database = site.services.blobs, site.services.database

    def away(digest: str) -> None:
        raise StorageAway

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "remove", away)
        assert site.client.delete(f"{address}/{sent['id']}").status_code == 204
        with pytest.raises(StorageAway):  # which is logged, for nobody else would know
            store.sweep(database, blobs, now() + timedelta(hours=1))
    store.sweep(database, blobs, now() + timedelta(hours=1))
    assert blobs.names() == []


def test_bytes_that_a_sweep_took_before_their_row_came_are_put_back(site: Site):
    database, blobs = site.services.database, site.services.blobs
    digest = blobs.put(b"pixels")
    store.sweep(database, blobs, now() + timedelta(hours=1))
    database.write(lambda session: store.keep(session, database, blobs, b"pixels"))
    assert blobs.has(digest)


def signed(site: Site):  # type: ignore[no-untyped-def]
    """A browser that has been on the first page and so has a visitor's cookie."""
    browser = site.browser()
    browser.get("/")
    return browser
