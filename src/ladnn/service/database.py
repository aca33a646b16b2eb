"""The database: SQLite or PostgreSQL behind one object that runs work in transactions."""

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Engine, Table, create_engine, event, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm.exc import StaleDataError

from ladnn.errors import ConfigError
from ladnn.service.errors import BadRequest, DatabaseAway, StorageFull
from ladnn.service.reserve import Reserve
from ladnn.turns import Turns

Result = TypeVar("Result")

_WRITES = "ladnn_writes"
_PAUSES = (0.05, 0.2, 0.5)  # seconds between attempts; a restart of the server takes about one
_LONGEST = 30.0  # seconds that a writer of SQLite waits for its turn, and then for other processes
_LEAST = 1 << 20  # bytes free below which SQLite can make neither its log nor its index
_PATIENCE = {  # with a server of PostgreSQL, by libpq's names, unless the URL says so
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 30_000,  # milliseconds until a host that is gone without a word is given up
    "keepalives_idle": 15,  # seconds, and the same while nothing is sent
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_RETRIED = (
    *("40001", "40P01"),  # serialization, deadlock
    *("23503", "23505"),  # a row that another transaction deleted, or wrote first
    *("57P01", "57P02", "57P03"),  # going down
)
_READ_ONLY = ("25006",)  # a standby, or a server that has no room left
_FULL = ("53100", "disk is full", "disk full")


class Database:
    """One database; made once for each process, used from any thread."""

    def __init__(self, url: str) -> None:
        self.engine = _make_engine(url)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._writing = self.engine.execution_options(**{_WRITES: True})
        # SQLite lets writers sleep and try again; those of one process need not.
        self.writers = Turns("the only one") if self.sqlite else None
        self.reserve = Reserve(Path(f"{self.engine.url.database}-reserve")) if self.sqlite else None

    def read(self, work: Callable[[Session], Result]) -> Result:
        """Run `work` in a transaction that changes nothing; see `write`."""
        return self._run(self.engine, work)

    def read_one_moment(self, work: Callable[[Session], Result]) -> Result:
        """`read` in which all statements see the same moment, whatever others write beside them."""

        def frozen(session: Session) -> Result:
            if not self.sqlite:  # where every transaction sees one moment
                session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            return work(session)

        return self.read(frozen)

    def write(self, work: Callable[[Session], Result], *, deletes: bool = False) -> Result:
        """Run `work` in one transaction and commit it; on SQLite no other writer runs beside it.

        `work` is run again when the server restarts or two transactions stand in each other's way,
        even if it is unknown whether the first commit arrived: ids are chosen outside it, and it
        looks for what is already there. Where `deletes`, a full disk is met with the reserve.

        Raises:
            BadRequest: a value that the database cannot hold, such as a text with a NUL.
            DatabaseAway: no connection, also after a second; on SQLite no turn to write in time.
            StorageFull: no room to write.
        """
        with self._turn():
            try:
                return self._run(self._writing, work)
            except StorageFull:
                if not (deletes and self.reserve and self.reserve.give_up()):
                    raise
                return self._run(self._writing, work)

    def check(self) -> None:
        """Raise DatabaseAway when it cannot be reached, or only be read."""
        asked = "SELECT 1" if self.sqlite else "SHOW transaction_read_only"
        if self.read(lambda session: session.scalar(text(asked))) == "on":
            self.engine.dispose()
            raise DatabaseAway

    def is_full(self) -> bool:
        """Whether the disk of a database that is a file has no room for its log."""
        if not self.sqlite:
            return False
        folder = Path(str(self.engine.url.database)).resolve().parent
        return folder.is_dir() and shutil.disk_usage(folder).free < _LEAST

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The turn to write, where writers have turns."""
        if self.writers is None:
            yield
            return
        try:
            turn = self.writers.get(_LONGEST)
        except TimeoutError:
            raise DatabaseAway from None
        try:
            yield
        finally:
            self.writers.put(turn)

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _run(self, engine: Engine, work: Callable[[Session], Result]) -> Result:
        start = time.monotonic()
        for pause in (*_PAUSES, None):
            try:
                with Session(engine, expire_on_commit=False) as session, session.begin():
                    return work(session)
            except StaleDataError:  # a row that this transaction held was deleted meanwhile
                if pause is None:
                    raise
            except PoolTimeout as error:  # all connections were taken, for as long as one waits
                raise DatabaseAway from error
            except DBAPIError as error:
                if _matches(error, _READ_ONLY):
                    self.engine.dispose()  # another connection may find another server there
                    raise DatabaseAway from error
                _tell(error)
                if pause is None or time.monotonic() > start + _LONGEST:
                    raise DatabaseAway from error
            time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311  # no secret: spreads out
        raise DatabaseAway

    def lock(self, session: Session, name: str) -> None:
        """Hold a lock by name until the transaction ends, on every replica; for `write` alone."""
        if not self.sqlite:  # there, a writer is alone anyway
            digest = hashlib.sha256(name.encode()).digest()
            key = int.from_bytes(digest[:8], "big", signed=True)
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


@contextmanager
def opening(database: Database) -> Iterator[None]:
    """Raise ConfigError, one sentence without secrets, where a database cannot be used.

    SQLite needs a little room to open at all. Where there is none, the reserve makes it: whoever
    cannot open the database can delete nothing either.
    """
    full = database.is_full()
    if full and database.reserve and database.reserve.give_up():
        full = False
    try:
        yield
    except DBAPIError as error:
        if full:
            raise ConfigError(
                f"the disk of the database {database.engine.url.database} is full: make room on it"
            ) from error
        url = database.engine.url
        where = f" at {url.host}:{url.port or 5432}" if url.host else ""
        raise ConfigError(
            f"the database {url.database}{where} cannot be used ({reason(error)}): "
            "start it, or correct database_url"
        ) from error


def reason(error: DBAPIError) -> str:
    """The server's own last word, such as 'role "x" does not exist', on one line."""
    lines = str(error.orig).split("\n") if error.orig else [""]
    return lines[0].rpartition("FATAL:")[2].rpartition(" failed: ")[2].strip()


def insert_row(session: Session, row: DeclarativeBase) -> int:
    """Write one new row at once and give its key: cheaper than by the session's bookkeeping.

    The row itself stays outside the session.
    """
    table = cast("Table", type(row).__table__)
    given = {key: value for key, value in vars(row).items() if key in table.columns}
    given.pop("id", None)  # of an attempt that was undone
    key = session.connection().execute(insert(table), given).inserted_primary_key
    return int(key[0]) if key else 0


def _tell(error: DBAPIError) -> None:
    """Raise what the error means, unless the same work may well succeed when it is tried again."""
    if _matches(error, _FULL):
        raise StorageFull from error
    if isinstance(error, DataError):  # a character or a number that no column can hold
        raise BadRequest("error.fields") from error
    if not _passing(error):
        raise error


def _matches(error: DBAPIError, signs: tuple[str, ...]) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in signs or any(sign in str(error.orig) for sign in signs if " " in sign)


def _passing(error: DBAPIError) -> bool:
    """Whether the same work may well succeed when it is tried again."""
    if error.connection_invalidated or _matches(error, _RETRIED):
        return True
    words = str(error.orig)
    away = isinstance(error, OperationalError | InterfaceError) and (
        "connection" in words or "terminat" in words
    )
    return away or "database is locked" in words


def _make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "database_url is no URL: write it like sqlite:///site.db or "
            "postgresql+psycopg://user@host/name"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return _make_sqlite(url, parsed.database or "")
    if parsed.drivername != "postgresql+psycopg":
        raise ConfigError(
            f"database_url begins with {parsed.drivername}: expected sqlite or postgresql+psycopg"
        )
    return create_engine(
        parsed,
        pool_size=10,
        max_overflow=10,
        pool_timeout=10,
        pool_recycle=1800,
        connect_args={key: value for key, value in _PATIENCE.items() if key not in parsed.query},
    )


def _make_sqlite(url: str, path: str) -> Engine:
    if not path or path == ":memory:":
        raise ConfigError("database_url names no file: write it like sqlite:///site.db")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch(mode=0o600, exist_ok=True)  # for its owner alone: secrets are in it
    except OSError as error:
        raise ConfigError(
            f"the folder of the database {path} cannot be made ({error.strerror}): give another"
        ) from error
    engine = create_engine(url, pool_size=10, max_overflow=40, connect_args={"timeout": _LONGEST})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  # of the driver
        connection.isolation_level = None  # BEGIN is written below, not by the driver
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:  # noqa: ANN401
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
