"""Stored bytes, named by their sha256, in a folder or in S3; deleted when nothing names them."""

import contextlib
import errno
import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
from sqlalchemy import Column, select
from sqlalchemy.orm import Session

from ladnn.certificates import fault
from ladnn.errors import ConfigError, LadnnError
from ladnn.paths import staged
from ladnn.service.database import Database
from ladnn.service.errors import NotFound, StorageAway, StorageFull
from ladnn.service.schema import METADATA
from ladnn.service.tables import DIGEST
from ladnn.storage import AUTHORITIES, is_of_s3, open_s3

_AT_ONCE = 8  # files that are written at the same time
_IN_A_ROW = 20  # files deleted in one transaction: S3 has answered before anybody waits long
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("storagefull", "quotaexceeded", "insufficientstorage", "quota exceeded")
_PATIENCE = 10  # seconds that S3 has to answer when a site starts
_BOTO = {
    "NoCredentialsError": "there are no credentials",
    "PartialCredentialsError": "the credentials are incomplete",
    "EndpointConnectionError": "no connection",
    "ConnectTimeoutError": "no connection",
    "ConnectionClosedError": "it closes the connection",
}


class Blobs:
    """Bytes by their sha256; made once for each process, used from any thread."""

    def __init__(self, storage: str, endpoint: str = "") -> None:
        """Open a folder, which is made if need be, or `s3://bucket/prefix`."""
        self._local = "://" not in storage
        self._root = storage.rstrip("/")
        self._bucket = storage.removeprefix("s3://").partition("/")[0]
        if self._local:
            self._file_system = fsspec.filesystem("file")
            _make_folder(Path(storage))
        elif storage.startswith("s3://") and self._bucket:
            self._file_system = open_s3(endpoint)
        else:
            raise ConfigError(f"storage is {storage!r}: give a folder or s3://bucket/prefix")

    def put(self, data: bytes) -> str:
        """Keep the bytes, on disk before this returns, and say their name.

        Raises StorageFull when there is no room; nothing is left behind then.
        """
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            if self._local:  # into a bucket that is gone nothing can be written
                self._require_root()
            with _told():
                self._write(digest, data)
        return digest

    def put_all(self, files: Iterable[bytes]) -> None:
        """Keep many files, all on disk before this returns, several being written at a time.

        What takes long is to wait for the disk, and that they do together. Raises StorageFull as
        `put` does; those that were written before stay for `sweep`.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self.put, set(files)):
                pass

    def get(self, digest: str) -> bytes:
        """The bytes of that name; NotFound when there are none, but all else is there."""
        with _told(), contextlib.suppress(FileNotFoundError):
            return bytes(self._file_system.cat_file(self._path(digest)))
        self._require_root()
        raise NotFound

    def has(self, digest: str) -> bool:
        """Whether bytes of that name are kept."""
        path = self._path(digest)
        with _told():
            return Path(path).exists() if self._local else bool(self._file_system.exists(path))

    def remove(self, digest: str) -> None:
        """Delete the bytes, if they are there; `release` says whether they may be."""
        with _told(), contextlib.suppress(FileNotFoundError):
            self._file_system.rm_file(self._path(digest))

    def names(self, before: datetime | None = None) -> list[str]:
        """The names of all that is kept, or of what was there `before` a moment."""
        with _told():
            found = self._file_system.find(self._root, detail=True)
        named = ((str(path).rsplit("/", 1)[-1], path, info) for path, info in found.items())
        return sorted(
            name
            for name, path, info in named
            if len(name) == DIGEST and self._path(name).endswith(str(path)[-DIGEST - 7 :])
            if before is None or _written_at(info) < before
        )

    def drop_unfinished(self, before: datetime) -> None:
        """Delete what a crash before that moment left half written; S3 has no such thing."""
        if not self._local:
            return
        for path in Path(self._root).glob("??/??/.*"):
            with _told(), contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()

    def check(self) -> None:
        """Raise StorageAway when the store cannot be reached, or its folder only be read."""
        self._require_root()
        if self._local and not os.access(self._root, os.W_OK | os.X_OK):
            raise StorageAway

    def _require_root(self) -> None:
        """Raise StorageAway for a folder or a bucket that is gone.

        What it held is not lost one by one, and a folder made anew would hide it.
        """
        with _told():
            if not self._local:
                self._file_system.call_s3("head_bucket", Bucket=self._bucket)
            elif not Path(self._root).is_dir():
                raise StorageAway

    def require(self) -> None:
        """Raise ConfigError, with the reason, where nothing can be stored: said when a site starts.

        Of S3 it asks for the bucket alone, for at most `_PATIENCE` seconds.
        """
        if not self._local:
            _check_authorities()
        try:
            if self._local:
                _make_folder(Path(self._root))
                with tempfile.TemporaryFile(dir=self._root):
                    return
            self._file_system.call_s3("head_bucket", Bucket=self._bucket, timeout=_PATIENCE)
        except Exception as error:
            certificate = fault(error, AUTHORITIES)
            if certificate:
                raise ConfigError(
                    f"the storage {self._root} cannot be used: {certificate}"
                ) from error
            reason = _reason(error)
            if reason is None:
                raise
            what = "storage, s3_endpoint and the credentials" if not self._local else "storage"
            raise ConfigError(
                f"the storage {self._root} cannot be used ({reason}): check {what}"
            ) from error

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest[2:4]}/{digest}"

    def _write(self, digest: str, data: bytes) -> None:
        if self._local:
            path = Path(self._path(digest))
            with staged(path, data) as part:
                part.replace(path)
        else:
            self._file_system.pipe_file(self._path(digest), data)


def keep(session: Session, database: Database, blobs: Blobs, data: bytes) -> str:
    """Keep the bytes for a row that this transaction writes.

    The lock makes sure that `release` does not delete them in between. Call `blobs.put` before the
    transaction, so that the slow part of the work is done outside it.
    """
    digest = hashlib.sha256(data).hexdigest()
    database.lock(session, digest)
    return blobs.put(data)


def release(database: Database, blobs: Blobs, digests: Iterable[str]) -> None:
    """Delete those bytes that no row names any more; what cannot be reached is left to `sweep`.

    The rows are gone by now, so that whoever deleted them has nothing to try again.
    """
    with contextlib.suppress(StorageAway):
        _drop_all(database, blobs, digests)


def take_back(database: Database, blobs: Blobs, digests: Iterable[str]) -> None:
    """`release` what no row came to name; what cannot be deleted now, `sweep` deletes."""
    with contextlib.suppress(LadnnError):
        release(database, blobs, digests)


def _drop_all(database: Database, blobs: Blobs, digests: Iterable[str]) -> None:
    waiting = iter(sorted(set(digests)))  # one order of locks for all
    while few := list(islice(waiting, _IN_A_ROW)):

        def drop(session: Session, few: Sequence[str] = few) -> None:
            for digest in few:
                database.lock(session, digest)
                if not _is_named(session, digest):
                    blobs.remove(digest)

        database.write(drop)


def sweep(database: Database, blobs: Blobs, before: datetime) -> int:
    """Delete what no row names, such as a crash leaves behind; how much that was at most.

    Only what is older than `before`: a row that a request is about to write may name the rest. And
    were a request to take longer, `keep` puts back, under the same lock, what it finds gone.
    """

    def named(session: Session) -> set[str]:
        return {name for column in blob_columns() for name in session.scalars(select(column))}

    blobs.drop_unfinished(before)
    kept = blobs.names(before)  # first, so that what comes in meanwhile is not among them
    orphans = set(kept) - database.read(named)
    _drop_all(database, blobs, orphans)
    return len(orphans)


def _written_at(info: Mapping[str, Any]) -> datetime:
    """When a file was written: S3 says so by a moment, a folder by seconds of the epoch."""
    if "LastModified" in info:
        moment: datetime = info["LastModified"]
        return moment
    return datetime.fromtimestamp(info["mtime"], UTC)


def _is_named(session: Session, digest: str) -> bool:
    queries = (select(1).where(column == digest).limit(1) for column in blob_columns())
    return any(session.scalar(query) is not None for query in queries)


def blob_columns() -> list[Column[Any]]:
    """Every column that names stored bytes."""
    columns = (column for table in METADATA.sorted_tables for column in table.columns)
    return [column for column in columns if column.info.get("blob")]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn the errors of a file system into those of the site.

    Something that is not found is the folder or the bucket: a file is looked for by whoever asks.
    """
    try:
        yield
    except OSError as error:
        words = str(error).lower().replace(" ", "")
        full = error.errno in _FULL or any(word.replace(" ", "") in words for word in _FULL_WORDS)
        raise (StorageFull if full else StorageAway) from error
    except Exception as error:
        if is_of_s3(error):
            raise StorageAway from error
        raise


def _reason(error: Exception) -> str | None:
    """Why a file system fails, in words without secrets; None for what is none of its errors."""
    if isinstance(error, TimeoutError):  # fsspec's own among them
        return f"no answer within {_PATIENCE} seconds"
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket"
    if isinstance(error, PermissionError):
        return "access denied"
    if isinstance(error, OSError):
        return error.strerror or "it does not answer as S3 does"
    if is_of_s3(error):
        return _BOTO.get(type(error).__name__, "it does not answer as S3 does")
    return None


def _check_authorities() -> None:
    """Raise ConfigError where the file of further authorities cannot be used."""
    named = os.environ.get(AUTHORITIES)
    try:
        if named:
            ssl.create_default_context(cafile=named)
    except OSError as error:  # of OpenSSL too
        raise ConfigError(
            f"{AUTHORITIES} names {named}, which cannot be read as certificates: give a PEM file"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the storage {folder} cannot be made ({error.strerror}): give another folder"
        ) from error
