"""A copy of a site, consistent while it runs: rows as of one moment, every file that they name.

A backup is a folder: `tables/NAME.jsonl.gz`, `files/...` and, written last, `backup.json` with the
sha256 of each. It is the same for SQLite and PostgreSQL, a folder and S3, and restores into any.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, column, func, insert, inspect, select, table
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import TableClause

from ladnn.errors import DamagedError, DataError
from ladnn.service import migrations
from ladnn.service.blobs import Blobs, blob_columns
from ladnn.service.database import Database
from ladnn.service.errors import NotFound
from ladnn.service.models import FOLDER
from ladnn.service.schema import METADATA
from ladnn.service.settings import Settings
from ladnn.service.tables import now
from ladnn.service.tables_models import ModelEvent
from ladnn.service.upkeep import require_file
from ladnn.storage import Store

LISTING = "backup.json"
SCHEMA_VERSION = 1
_ROWS = 500

Advance = Callable[[str], None]
"""Told the name of each table and file once it is done."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a backup holds.

    Attributes:
        cases: how many the site has.
        lost: names of files that the site still names and that its storage has no longer, or not
            as they were stored.
    """

    cases: int
    lost: tuple[str, ...]


def backup(settings: Settings, target: Path, advance: Advance = lambda name: None) -> Copied:
    """Copy the site into a new folder while it runs.

    The rows are those of one moment whose files could all be copied: where some of them went before
    their turn, as those of a batch do that are answered, a later moment is taken. What is lost is
    left out: a file that nobody can bring back must not keep the others from being copied. Tables
    of an older program are copied as they are, for the time to copy a site is before it is brought
    up to date.

    Raises:
        DataError: a folder that holds something, a site that has no tables, or those of a newer
            program.
        ConfigError: no database, or a storage that cannot be used.
        DatabaseAway, StorageAway: as they say.
    """
    require_file(settings)
    database = Database(settings.database_url)
    version = migrations.current(database)
    if version is None:
        raise DataError("the settings name no site: there is nothing to back up")
    if version not in migrations.known():
        raise DataError("the tables are of another program: back the site up with that one")
    files = _Files(settings)
    _claim(target)
    listing: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "made_at": now().isoformat(),
        "tables_version": version,
        "tables": {},
        "files": {},
        "lost": [],
    }
    try:
        while not database.read_one_moment(
            lambda session: _copy(session, files, target, listing, advance)
        ):
            pass
    finally:
        database.dispose()
    _write(target / LISTING, json.dumps(listing, indent=1, sort_keys=True).encode())
    return Copied(cases=int(listing["tables"]["cases"]["rows"]), lost=tuple(listing["lost"]))


def restore(settings: Settings, source: Path, advance: Advance = lambda name: None) -> int:
    """Put a backup into a database without a site and a storage; say how many cases it has.

    Everything is checked against its hash before anything is written. Tables and rows come in one
    transaction: one that was interrupted has left none, and is begun anew by calling this again.

    Raises:
        DataError: no backup, an altered one, one of a newer program, or a site that is there.
    """
    listing = verify(source)
    database = Database(settings.database_url)
    try:
        if migrations.current(database) is not None:
            raise DataError("the database holds a site: restore into an empty one")
        files = _Files(settings)
        for name in listing["files"]:
            files.write(name, (source / "files" / name).read_bytes())
            advance(name)
        database.write(lambda session: _load(session, database, source, listing, advance))
    finally:
        database.dispose()
    return int(listing["tables"]["cases"]["rows"])


def verify(source: Path) -> dict[str, Any]:
    """The listing of a backup all of whose files are there and unaltered; raises DataError."""
    try:
        listing: dict[str, Any] = json.loads((source / LISTING).read_text(encoding="utf-8"))
        known = (
            listing["schema_version"] == SCHEMA_VERSION
            and listing["tables_version"] in migrations.known()
            and "cases" in listing["tables"]
        )
        parts = {
            f"tables/{name}.jsonl.gz": one["sha256"] for name, one in listing["tables"].items()
        }
        parts |= {f"files/{name}": sha256 for name, sha256 in listing["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"there is no whole backup in {source}: give another folder") from error
    if any(".." in Path(name).parts or "//" in name for name in parts):
        raise DataError(f"the backup in {source} names files outside it: give another backup")
    if not known:
        raise DataError(f"the backup in {source} is of another program: restore it with that one")
    for name, sha256 in parts.items():
        path = source / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise DataError(f"{name} of the backup is missing or altered: give another backup")
    return listing


def _copy(
    session: Session, files: "_Files", target: Path, listing: dict[str, Any], advance: Advance
) -> bool:
    """Copy what rows name at one moment, then the rows; False where a file was gone before.

    What was named and not there is lost only if it still is named at a later moment: bytes go after
    the rows that name them.
    """
    named, before = _named(session), set(listing["lost"])
    new = [name for name in named if name not in listing["files"]]
    missing = _copy_files(files, target, new, listing, advance)
    listing["lost"] = sorted(missing)
    if missing - before:
        return False
    for name in set(listing["files"]).difference(named):  # deleted since it was copied
        (target / "files" / name).unlink()
        del listing["files"][name]
    _dump(session, target, listing, advance)
    return True


# ------------------------------------------------------------------ rows


def _dump(session: Session, target: Path, listing: dict[str, Any], advance: Advance) -> None:
    """Write every table."""
    inspector = inspect(session.connection())
    for known in _tables(set(inspector.get_table_names())):
        path = target / "tables" / f"{known.name}.jsonl.gz"
        there = _with(known, [one["name"] for one in inspector.get_columns(known.name)])
        rows = _write_rows(path, session.execute(select(there)).yield_per(_ROWS).mappings())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        listing["tables"][known.name] = {"rows": rows, "sha256": digest}
        advance(known.name)


def _with(known: Table, columns: Iterable[str]) -> TableClause:
    """The table with these columns, such as an older program had, and without any default."""
    types = {name: known.c[name].type if name in known.c else None for name in columns}
    return table(known.name, *(column(name, kind) for name, kind in types.items()))


def _tables(there: set[str]) -> list[Table]:
    """Those that refer to others come after them; a table that is not known would be lost."""
    unknown = there - {known.name for known in METADATA.sorted_tables} - {migrations.VERSIONS}
    if unknown:
        raise DataError(
            f"the table {min(unknown)} is none of this program: give the site a database of its "
            "own, or use the program that made it"
        )
    return [known for known in METADATA.sorted_tables if known.name in there]


def _write_rows(path: Path, rows: Any) -> int:  # noqa: ANN401  # a result of mappings
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=4) as file:
        for row in rows:
            file.write(json.dumps({k: _plain(v) for k, v in row.items()}) + "\n")
            count += 1
    path.chmod(0o600)
    return count


def _plain(value: Any) -> Any:  # noqa: ANN401  # whatever a column holds
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    return {"$moment": value.isoformat()} if isinstance(value, datetime) else value


def _rich(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict) and value.keys() == {"$bytes"}:
        return base64.b64decode(value["$bytes"])
    if isinstance(value, dict) and value.keys() == {"$moment"}:
        return datetime.fromisoformat(value["$moment"])
    return value


def _named(session: Session) -> list[str]:
    """The names of all files that rows refer to: stored bytes, and the versions of the model."""
    there = set(inspect(session.connection()).get_table_names())
    found: set[str] = set()
    for naming in blob_columns():
        if naming.table.name in there:
            found |= {digest for digest in session.scalars(select(naming).distinct()) if digest}
    if ModelEvent.__tablename__ in there:
        for folder, files in session.execute(select(ModelEvent.folder, ModelEvent.files)):
            found |= {f"{FOLDER}/{folder}/{name}" for name in files}
    return sorted(found)


def _load(
    session: Session, database: Database, source: Path, listing: dict[str, Any], advance: Advance
) -> None:
    """Make the tables as they were, fill them, and bring them up to date."""
    migrations.upgrade_within(session, listing["tables_version"])
    for known in _tables(set(listing["tables"])):
        session.execute(known.delete())
        for rows in _read_rows(source / "tables" / f"{known.name}.jsonl.gz"):
            session.execute(insert(_with(known, rows[0])), rows)
        if not database.sqlite:
            _continue_keys(session, known)
        advance(known.name)
    migrations.upgrade_within(session)


def _read_rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            batch.append({key: _rich(value) for key, value in json.loads(line).items()})
            if len(batch) == _ROWS:
                yield batch
                batch = []
    if batch:
        yield batch


def _continue_keys(session: Session, known: Table) -> None:
    """Let the next row have the key after the last: keys that were given do not count on."""
    key = known.autoincrement_column
    if key is None:
        return
    sequence = session.scalar(select(func.pg_get_serial_sequence(known.name, key.name)))
    highest = session.scalar(select(func.max(key)))
    if sequence and highest is not None:
        session.execute(select(func.setval(sequence, highest)))


# ------------------------------------------------------------------ files


class _Files:
    """Stored bytes by digest, and files of the model's versions by path."""

    def __init__(self, settings: Settings) -> None:
        self._blobs = Blobs(settings.storage, settings.s3_endpoint)
        self._blobs.require()
        self._models = Store(settings.storage, settings.s3_endpoint)

    def read(self, name: str) -> bytes | None:
        """The bytes; None where there are none, no longer, or others than were stored."""
        if "/" in name:
            with suppress(DamagedError):
                return self._models.read(name)
            return None
        try:
            data = self._blobs.get(name)
        except NotFound:
            return None
        return data if hashlib.sha256(data).hexdigest() == name else None

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes under that name, in place of damaged ones."""
        if "/" in name:
            self._models.write(name, data)
            return
        if hashlib.sha256(data).hexdigest() != name:
            raise DataError(f"{name} of the backup is not what its name says: give another backup")
        if self.read(name) is None:
            self._blobs.remove(name)
            self._blobs.put(data)


def _copy_files(
    files: _Files, target: Path, names: list[str], listing: dict[str, Any], advance: Advance
) -> set[str]:
    """Copy the files of these names, and say of which there are none."""
    left_out = set()
    for name in names:
        data = files.read(name)
        if data is None:
            left_out.add(name)
        else:
            _write(target / "files" / name, data)
            listing["files"][name] = hashlib.sha256(data).hexdigest()
        advance(name)
    return left_out


def _claim(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} is not an empty folder: give another for the backup")
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)
