"""A backup of a running site, put into a site of the same or the other kind, is the same site."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sites import Site
from sqlalchemy import MetaData, Table, func, insert, inspect, select, text
from test_site_batches import add, begin, drain, scans

from bundles import tiny_bundle
from ladnn.errors import ConfigError, DataError
from ladnn.service import migrations, models, schema
from ladnn.service.backup import LISTING, Copied, backup, restore, verify
from ladnn.service.blobs import Blobs
from ladnn.service.database import Database
from ladnn.service.settings import Settings, to_environment
from ladnn.service.tables import Account, Base, Case, CaseImage, new_id, now
from ladnn.service.tables_batches import BatchItem

CASES = 40
FIRST = 1_000_000  # keys that no sequence gives in a test


def fill(site: Site, cases: int) -> None:
    """So many cases of one image each, stored as bytes of their own."""
    blobs = site.services.blobs
    digests = [blobs.put(f"image {number}".encode()) for number in range(cases)]
    shared = {"owner": "visitor:x", "model_name": "tiny", "model_version": "1", "card": {}}
    rows = [
        {
            "id": FIRST + number,
            "public_id": new_id(),
            "share_token": new_id(),
            "fingerprint": digest,
            "state": "active",
            "operating_point": "balanced",
            "probability": 0.5,
            "decision": "positive",
            "created_at": now(),
            **shared,
        }
        for number, digest in enumerate(digests)
    ]
    images = [
        {
            "case_id": FIRST + number,
            "position": 0,
            "source_sha256": digest,
            "blob": digest,
            "format": "PNG",
            "height": 1,
            "width": 1,
            "frame": 0,
            "prediction": {"text": "\u00e4"},
            "probability": 0.5,
            "decision": "positive",
            "score": 0.9,
            "box": [0, 0, 1, 1],
            "maps": b"\x00\xff",
            "maps_shape": [1, 1, 1],
        }
        for number, digest in enumerate(digests)
    ]

    def write(session):
        session.execute(insert(Case), rows)
        session.execute(insert(CaseImage), images)

    site.services.database.write(write)


def content(settings: Settings) -> dict[str, list[str]]:
    """Every row of every table, in words."""
    database = Database(settings.database_url)
    found = {
        table.name: database.read(
            lambda s, table=table: sorted(
                str([plain(v) for v in row]) for row in s.execute(select(table))
            )
        )
        for table in Base.metadata.sorted_tables
    }
    database.dispose()
    return found


def plain(value: object) -> object:
    """Moments compare by what they are, not by the name of their zone."""
    return value.timestamp() if isinstance(value, datetime) else value


KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of a site that is not there yet, of either kind."""
    url = f"sqlite:///{tmp_path}/restored.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").fresh()
    return Settings(database_url=url, storage=str(tmp_path / "restored-files"))


@pytest.fixture
def filled(site: Site, tmp_path: Path) -> Site:
    fill(site, CASES)
    registry = models.site_registry(site.services.settings, site.services.database)
    registry.add(tiny_bundle(tmp_path), {}, by="ada", why="a test")
    registry.promote("tiny-1", by="ada", why="a test")
    return site


def test_a_restored_site_has_every_row_every_image_and_every_model(
    filled: Site, empty: Settings, tmp_path: Path
):
    settings = filled.services.settings
    assert backup(settings, tmp_path / "b") == Copied(cases=CASES, lost=())
    assert restore(empty, tmp_path / "b") == CASES
    assert content(empty) == content(settings)
    database = Database(empty.database_url)
    registry = models.site_registry(empty, database)
    assert registry.open(registry.champion() or "").card.name == "tiny"
    names = {hashlib.sha256(f"image {n}".encode()).hexdigest() for n in range(CASES)}
    stored = {path.name: path.read_bytes() for path in Path(empty.storage).glob("??/??/*")}
    assert names <= stored.keys()
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in stored.items())
    # the next row has a key of its own
    database.write(lambda s: s.add(Account(email="a@example.org", name="A", role="clinician")))
    database.dispose()


def test_a_backup_of_a_site_that_is_written_to_is_of_one_moment(filled: Site, tmp_path: Path):
    stop = threading.Event()
    database = filled.services.database

    def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            blob = filled.services.blobs.put(f"late {number}".encode())
            database.write(lambda s, blob=blob: s.add(late_case(blob)))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        backup(filled.services.settings, tmp_path / "b")
    finally:
        stop.set()
        writer.join()
    listing = verify(tmp_path / "b")
    rows = listing["tables"]
    assert rows["cases"]["rows"] == rows["case_images"]["rows"] >= CASES
    with gzip.open(tmp_path / "b" / "tables" / "case_images.jsonl.gz", "rt") as file:
        named = {json.loads(line)["blob"] for line in file}
    assert named <= listing["files"].keys()


def late_case(blob: str) -> Case:
    image = CaseImage(
        position=0, source_sha256=blob, blob=blob, format="PNG", height=1, width=1, frame=0,
        prediction={}, probability=0.5, decision="positive", score=0.9, box=[0, 0, 1, 1],
        maps=b"", maps_shape=[1, 1, 1],
    )  # fmt: skip
    return Case(
        public_id=new_id(), share_token=new_id(), owner="visitor:y", fingerprint=new_id(),
        model_name="tiny", model_version="1", card={}, operating_point="balanced",
        probability=0.5, decision="positive", images=[image],
    )  # fmt: skip


def run_command(settings: Settings, *words: str, code: int = 0) -> str:
    """`ladnn site` in a process of its own, which has imported what that command needs alone."""
    command = [sys.executable, "-c", "from ladnn.cli import main; main()", "site", *words]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | to_environment(settings),
    )
    assert done.returncode == code, done.stderr
    return done.stderr


SAME, OTHER = [(name, name) for name in KINDS], [KINDS, KINDS[::-1]]
FROM_ONE_KIND_TO_THE_OTHER = pytest.mark.parametrize(
    ("database_url", "empty"),
    [*OTHER, *(pytest.param(*pair, marks=pytest.mark.soak) for pair in SAME)],
    indirect=True,
)


@FROM_ONE_KIND_TO_THE_OTHER
def test_the_command_by_itself_takes_every_table_and_brings_it_back(
    filled: Site, empty: Settings, tmp_path: Path
):
    settings = filled.services.settings
    run_command(settings, "backup", str(tmp_path / "b"))
    inspected = inspect(filled.services.database.engine)
    there = set(inspected.get_table_names()) - {migrations.VERSIONS}
    assert set(verify(tmp_path / "b")["tables"]) == there
    run_command(empty, "restore", str(tmp_path / "b"))
    assert content(empty) == content(settings)
    assert content(empty)["audit_chain"]


@FROM_ONE_KIND_TO_THE_OTHER
def test_what_is_lost_keeps_nothing_else_from_being_copied(
    filled: Site, empty: Settings, tmp_path: Path
):
    settings = filled.services.settings
    image = hashlib.sha256(b"image 7").hexdigest()
    filled.services.blobs.remove(image)
    [model] = Path(settings.storage).glob("models/versions/*/model.onnx")
    model.unlink()
    lost = {image, model.relative_to(settings.storage).as_posix()}
    said = run_command(settings, "backup", str(tmp_path / "b"), code=1)
    assert f"2 files that the site names are lost, {min(lost)} the first" in said
    assert set(verify(tmp_path / "b")["lost"]) == lost
    assert restore(empty, tmp_path / "b") == CASES
    assert content(empty) == content(settings)


def test_a_file_that_is_not_what_was_stored_is_lost_and_a_whole_one_takes_its_place(
    page: Site, tmp_path: Path
):
    settings, blobs = page.services.settings, page.services.blobs
    fill(page, 2)
    backup(settings, tmp_path / "whole")
    image = hashlib.sha256(b"image 1").hexdigest()
    [file] = Path(settings.storage).rglob(image)
    file.write_bytes(b"rotten")
    assert backup(settings, tmp_path / "b") == Copied(cases=2, lost=(image,))
    assert restore(elsewhere(tmp_path), tmp_path / "b") == 2
    other = replace(settings, database_url=f"sqlite:///{tmp_path}/again.db")
    assert restore(other, tmp_path / "whole") == 2
    assert blobs.get(image) == b"image 1"


def test_what_a_batch_is_answering_meanwhile_is_of_one_moment_too(
    site: Site, empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    batch = begin(site)
    add(site, batch, *((name, data + b"what is not kept") for name, data in scans(3)))
    waiting, read = set(site.services.blobs.names()), Blobs.get

    def get(store: Blobs, digest: str) -> bytes:
        monkeypatch.setattr(Blobs, "get", read)
        drain(site)  # each waiting file goes, and what is kept of it has another name
        return read(store, digest)

    monkeypatch.setattr(Blobs, "get", get)
    assert backup(site.services.settings, tmp_path / "b") == Copied(cases=3, lost=())
    assert waiting.isdisjoint(verify(tmp_path / "b")["files"])
    assert restore(empty, tmp_path / "b") == 3
    restored = Database(empty.database_url)
    states = restored.read(lambda session: list(session.scalars(select(BatchItem.state))))
    blobs = restored.read(lambda session: set(session.scalars(select(CaseImage.blob))))
    restored.dispose()
    assert states == ["done"] * 3
    assert blobs == set(Blobs(empty.storage).names())


def test_a_restore_killed_before_the_tables_are_up_to_date_is_begun_again(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    backup(old_site(tmp_path, "0009")[0], tmp_path / "b")
    upgrade = command.upgrade

    def die(config: Config, revision: str) -> None:
        if revision == "head":
            raise KeyboardInterrupt
        upgrade(config, revision)

    monkeypatch.setattr(command, "upgrade", die)
    with pytest.raises(KeyboardInterrupt):
        restore(empty, tmp_path / "b")
    monkeypatch.undo()
    assert restore(empty, tmp_path / "b") == 1


@pytest.mark.parametrize("version", ["0001", "0009"])
def test_the_tables_of_an_older_program_are_copied_and_come_back_up_to_date(
    empty: Settings, tmp_path: Path, version: str
):
    settings, blob = old_site(tmp_path, version)
    assert backup(settings, tmp_path / "b") == Copied(cases=1, lost=())
    assert restore(empty, tmp_path / "b") == 1
    restored = Database(empty.database_url)
    assert migrations.current(restored) == migrations.head()
    case = restored.read(lambda session: session.scalars(select(Case)).one())
    assert (case.owner, case.alone) == ("visitor:x", True)  # as migration 0010 takes them
    restored.dispose()
    assert Blobs(empty.storage).get(blob) == b"image 0"


def old_site(folder: Path, version: str) -> tuple[Settings, str]:
    """A site of one case with the tables of a version, and the digest of its image."""
    settings = Settings(
        database_url=f"sqlite:///{folder}/old.db", storage=str(folder / "old-files")
    )
    database = Database(settings.database_url)
    migrations.upgrade(database, version)
    blob = Blobs(settings.storage).put(b"image 0")
    for name, row in old_rows(blob).items():
        there = Table(name, MetaData(), autoload_with=database.engine)
        values = {key: value for key, value in row.items() if key in there.c}
        database.write(lambda s, there=there, values=values: s.execute(insert(there), values))
    database.dispose()
    return settings, blob


def old_rows(blob: str) -> dict[str, dict[str, object]]:
    """A case and its image with all that any version of the tables has asked for."""
    case = late_case(blob)
    both = {"id": 1, "created_at": now(), "owner": "visitor:x"}
    rows = (
        ("cases", vars(case) | both | {"state": "active", "fingerprint": "f" * 64}),
        (
            "case_images",
            vars(case.images[0]) | both | {"case_id": 1, "frame": 0},
        ),
    )
    return dict(rows)


def test_a_storage_that_is_away_leaves_the_folder_free(page: Site, tmp_path: Path):
    away = replace(page.services.settings, storage="s3://b/p", s3_endpoint="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="cannot be used"):
        backup(away, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_database_with_a_table_of_somebody_else_s_is_not_copied_in_part(
    page: Site, tmp_path: Path
):
    page.services.database.write(lambda s: s.execute(text("CREATE TABLE theirs (id INTEGER)")))
    with pytest.raises(DataError, match="the table theirs is none of this program"):
        backup(page.services.settings, tmp_path / "b")


def test_no_module_of_tables_is_left_out():
    files = {path.stem for path in Path(schema.__file__).parent.glob("tables*.py")}
    assert {module.__name__.rsplit(".", 1)[-1] for module in schema.MODULES} == files


@pytest.fixture
def made(page: Site, tmp_path: Path) -> Path:
    fill(page, 2)
    backup(page.services.settings, tmp_path / "b")
    return tmp_path / "b"


def elsewhere(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path}/r.db", storage=str(tmp_path / "r"))


@pytest.mark.parametrize("what", ["altered", "missing"])
@pytest.mark.parametrize("which", ["tables", "files"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    made: Path, tmp_path: Path, what: str, which: str
):
    file = next(path for path in sorted((made / which).rglob("*")) if path.is_file())
    if what == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(DataError, match="missing or altered"):
        restore(elsewhere(tmp_path), made)
    assert not list((tmp_path / "r").rglob("*"))


@pytest.mark.parametrize("name", ["../stray", "/etc/hostname"])
def test_a_backup_that_names_files_outside_it_is_refused(made: Path, tmp_path: Path, name: str):
    (made / "stray").write_bytes(b"x")
    listing = json.loads((made / LISTING).read_text(encoding="utf-8"))
    listing["files"][name] = hashlib.sha256(b"x").hexdigest()
    (made / LISTING).write_text(json.dumps(listing), encoding="utf-8")
    with pytest.raises(DataError, match="outside"):
        restore(elsewhere(tmp_path), made)


@pytest.mark.parametrize(
    "change",
    [{"tables_version": "9999"}, {"tables_version": None}, {"schema_version": 2}, {"tables": {}}],
)
def test_a_backup_of_another_program_is_refused_before_anything_is_written(
    made: Path, tmp_path: Path, change: dict[str, object]
):
    listing = json.loads((made / LISTING).read_text(encoding="utf-8"))
    (made / LISTING).write_text(json.dumps(listing | change), encoding="utf-8")
    with pytest.raises(DataError, match="is of another program"):
        restore(elsewhere(tmp_path), made)
    assert not list((tmp_path / "r").rglob("*"))
    assert not (tmp_path / "r.db").exists()


def test_a_restore_that_was_interrupted_is_begun_again(
    filled: Site, empty: Settings, tmp_path: Path
):
    backup(filled.services.settings, tmp_path / "b")

    def interrupt(name: str) -> None:
        if name == "cases":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(empty, tmp_path / "b", interrupt)
    assert restore(empty, tmp_path / "b") == CASES
    assert content(empty) == content(filled.services.settings)
    with pytest.raises(DataError, match="the database holds a site"):
        restore(empty, tmp_path / "b")


def test_a_backup_that_was_cut_short_is_none(made: Path, tmp_path: Path):
    (made / LISTING).unlink()
    with pytest.raises(DataError, match="no whole backup"):
        restore(elsewhere(tmp_path), made)


def test_a_site_that_is_there_is_not_overwritten(page: Site, made: Path):
    with pytest.raises(DataError, match="the database holds a site"):
        restore(page.services.settings, made)


def test_a_folder_that_holds_something_is_not_written_to(page: Site, tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(DataError, match="not an empty folder"):
        backup(page.services.settings, tmp_path / "full")


def test_where_there_is_no_site_there_is_nothing_to_back_up(page: Site, tmp_path: Path):
    other = replace(page.services.settings, database_url=f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(ConfigError, match="there is no site at sqlite"):
        backup(other, tmp_path / "b")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "none.db").touch()
    with pytest.raises(DataError, match="nothing to back up"):
        backup(other, tmp_path / "b")


def test_the_tables_of_a_newer_program_are_left_to_it(page: Site, tmp_path: Path):
    newer = text(f"UPDATE {migrations.VERSIONS} SET version_num = '9999'")
    page.services.database.write(lambda session: session.execute(newer))
    with pytest.raises(DataError, match="back the site up with that one"):
        backup(page.services.settings, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.soak
def test_ten_thousand_cases_come_back(site: Site, empty: Settings, tmp_path: Path):
    fill(site, 10_000)
    assert backup(site.services.settings, tmp_path / "b").cases == 10_000
    assert restore(empty, tmp_path / "b") == 10_000
    database = Database(empty.database_url)
    assert database.read(lambda s: s.scalar(select(func.count(CaseImage.id)))) == 10_000
    database.dispose()
    assert content(empty) == content(site.services.settings)
