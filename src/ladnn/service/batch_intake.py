"""What comes into a batch: one image is answered at once, of many files each becomes a row.

Bytes are on disk and their rows committed before anything is acknowledged. Of a DICOM file only
what is left without identity is stored, so each is decoded here, once, before it waits.

The slices of one series become one item, also where several requests bring them: a slice joins the
item of its series, and takes it away from a replica that is at work on it, whose result is then
discarded (`leases.hold`). An item that is done never changes while its result is there: later
slices become another one.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from ladnn.errors import DataError, ImageError
from ladnn.formats import kind_of
from ladnn.imaging import LIMITS
from ladnn.service import audit_log, blobs, leases, predictions
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.errors import BadRequest, NotFound, ServiceError
from ladnn.service.incoming import Incoming, members_of, short_name
from ladnn.service.limits import Room
from ladnn.service.refusals import Refusal
from ladnn.service.tables_batches import (
    ARRIVING,
    CANCELLED,
    DONE,
    FAILED,
    SERIES_LENGTH,
    WAITING,
    Batch,
    BatchFile,
    BatchItem,
    is_deleted,
    is_void,
)
from ladnn.sources.archives import Member

REQUEST_BYTES = 2 << 30
"""The most that the files of one request may come to as they are kept."""

PATIENCE = timedelta(hours=1)
"""How long an item waits for slices that were said to follow; then it is tested as it is."""

_TOGETHER = 32  # files that are stored, and whose rows are committed, together
_TOGETHER_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Received:
    """What one request brought.

    Attributes:
        items: of the batch, in order; also those that were there before.
        new: how many of them were not.
        answered: whether nothing of it is left to wait for.
    """

    items: list[BatchItem]
    new: int
    answered: bool


class _Ready(NamedTuple):
    """One file: the bytes to store, or why there are none."""

    name: str
    sha256: str
    data: bytes
    series: str
    error: str

    @property
    def digest(self) -> str:
        """Of the bytes to store: the store's name for them, and the order of locks for all."""
        return hashlib.sha256(self.data).hexdigest()


def receive(
    site: Services,
    principal: Principal,
    batch: Batch,
    files: Sequence[Incoming],
    *,
    more: bool = False,
) -> Received:
    """Take what one request brought: one image is answered, of anything else each file waits.

    Args:
        site: the services.
        principal: who sends.
        batch: where to.
        files: images, archives, or both.
        more: whether slices of these series follow in further requests: until one comes with loose
            files and without `more`, their items are not tested, for `PATIENCE` at most.

    Raises:
        BadRequest: no file, an archive that is none, or more than `REQUEST_BYTES`; what came before
            is kept.
        NotFound: the batch was deleted meanwhile.
        StorageFull: no room; what was acknowledged before stays.
        TooMany: a visitor's files come to more than may be stored today; likewise.
    """
    if not files:
        raise BadRequest("error.no_file")
    if len(files) == 1 and not files[0].is_archive():
        member = files[0].member()
        if not (_is_dicom(member.data) and (more or _expects_slices(site, batch))):
            return _answer(site, principal, batch, member)
    return _Queue(site, principal, batch).take(files, more=more)


def _is_dicom(data: bytes) -> bool:
    with contextlib.suppress(ImageError):
        return kind_of(data, LIMITS) == "DICOM"
    return False


def _expects_slices(site: Services, batch: Batch) -> bool:
    """Whether the batch has an item that a slice may still join."""
    query = select(BatchItem.id).where(
        BatchItem.batch_id == batch.id,
        BatchItem.series.is_not(None),
        (BatchItem.state != DONE) | is_deleted(),
    )
    return site.database.read(lambda session: session.scalar(query.limit(1))) is not None


def _answer(site: Services, principal: Principal, batch: Batch, member: Member) -> Received:
    name = short_name(member.name)
    upload = predictions.Upload(name=name, data=member.data)
    known = site.database.read(lambda session: _known(session, batch, upload.sha256))
    if known is not None and not known.void:
        return Received(items=[known], new=0, answered=known.state == DONE)
    put: list[_Settled] = []

    def settle(session: Session, case_id: int | None, error: str = "") -> None:
        put[:] = [_settle(session, site, batch, upload, case_id=case_id, error=error)]

    owner = Principal(role=principal.role, owner=batch.owner, address=principal.address)
    try:
        predictions.assess(site, owner, [upload], also=settle)
    except ImageError as error:
        sentence = str(error)
        site.database.write(lambda session: settle(session, None, sentence))
    [(item, ours, freed)] = put
    blobs.release(site.database, site.blobs, freed)
    return Received(items=[item], new=int(ours), answered=item.state not in (WAITING, ARRIVING))


class _Settled(NamedTuple):
    """The item of one image, whether this request brought it, and the names of bytes it lets go."""

    item: BatchItem
    ours: bool
    freed: list[str]


def _settle(
    session: Session,
    site: Services,
    batch: Batch,
    upload: predictions.Upload,
    *,
    case_id: int | None,
    error: str,
) -> _Settled:
    """Write what became of one image, unless another request brought it meanwhile."""
    _hold(session, site, batch)
    item = _known(session, batch, upload.sha256)
    if item is None:
        item = BatchItem(batch_id=batch.id, name=upload.name)
        item.files = [BatchFile(batch_id=batch.id, sha256=upload.sha256)]
        session.add(item)
    elif not item.void:
        return _Settled(item, False, [])
    item.case_id, item.error, item.created_at = case_id, error, site.clock()
    item.state = FAILED if error else DONE
    freed = [] if error else leases.free(item)
    session.flush()
    return _Settled(item, True, freed)


def _hold(session: Session, site: Services, batch: Batch) -> None:
    """Hold the batch's lock until the transaction ends; NotFound if it was deleted meanwhile."""
    site.database.lock(session, batch.public_id)
    there = select(Batch.id).where(Batch.id == batch.id, Batch.owner == batch.owner)
    if session.scalar(there) is None:
        raise NotFound


def _known(session: Session, batch: Batch, sha256: str) -> BatchItem | None:
    query = select(BatchItem).join(BatchItem.files)
    return session.scalar(query.where(BatchFile.batch_id == batch.id, BatchFile.sha256 == sha256))


class _Queue:
    """Takes the files of one request, a few at a time."""

    def __init__(self, site: Services, principal: Principal, batch: Batch) -> None:
        self._site, self._principal, self._batch = site, principal, batch
        self._holder = secrets.token_urlsafe(18)  # of the items whose slices this request brings
        self._ids: dict[int, None] = {}
        self._new = self._changed = 0

    def take(self, files: Sequence[Incoming], *, more: bool) -> Received:
        """Store every file, then let the series wait that are now whole."""
        loose = not all(file.is_archive() for file in files)
        limits, address = self._site.limits, self._principal.address
        sent, key = sum(file.size() for file in files), "batch.large_request"
        self._room = Room(limits, address, sent=sent, most=REQUEST_BYTES, key=key)
        try:
            for ready in _bundled(map(self._prepare, members_of(files))):
                self._commit(ready)
        except DataError as error:
            self._end(more=more, loose=loose)
            raise BadRequest("batch.bad_archive", why=Refusal(error)) from error
        except ServiceError:  # whoever sent it comes again, and the series is to be whole then
            raise
        except Exception:  # sent again it fails again, so that nothing more is to be waited for
            self._end(more=more, loose=loose)
            raise
        return self._end(more=more, loose=loose)

    def _prepare(self, member: Member) -> _Ready:
        """What may be stored of a file; nothing of one that cannot be read."""
        name, data = short_name(member.name), member.data
        sha256 = hashlib.sha256(data or f"{name}/{member.mark}".encode()).hexdigest()
        if member.problem:
            return _Ready(name, sha256, b"", "", f"{name} {member.problem}")
        try:
            if kind_of(data, LIMITS) != "DICOM":
                return _Ready(name, sha256, data, "", "")
            decoded = self._site.decoder.decode(data, name=name)
        except ImageError as error:
            sentence = str(error) if name in str(error) else f"{name} {error}"
            return _Ready(name, sha256, b"", "", sentence)
        series = str(decoded.image.series or "")[:SERIES_LENGTH]
        return _Ready(name, sha256, decoded.stored, series, "")

    def _commit(self, ready: Sequence[_Ready]) -> None:
        site, batch, until = self._site, self._batch, self._site.clock() + PATIENCE
        unstored = site.database.read(lambda session: _unstored(session, batch, ready))
        self._room.take(sum(len(one.data) for one in unstored))
        site.blobs.put_all([one.data for one in unstored])

        def write(session: Session) -> tuple[list[int], int, int]:
            kept = {
                one.sha256: blobs.keep(session, site.database, site.blobs, one.data)
                for one in sorted(_unstored(session, batch, ready), key=lambda one: one.digest)
            }
            _hold(session, site, batch)
            desk = _Desk(session, batch, site.clock(), [one.sha256 for one in ready])
            items = [desk.place(one, kept.get(one.sha256)) for one in ready]
            for item in items:
                if item.state == ARRIVING:
                    leases.hold(item, self._holder, until)
            session.flush()
            return [item.id for item in items], desk.new, desk.changed

        try:
            ids, new, changed = site.database.write(write)
        except NotFound:
            blobs.release(site.database, site.blobs, [one.digest for one in unstored])
            raise
        self._ids.update(dict.fromkeys(ids))
        self._new += new
        self._changed += changed

    def _end(self, *, more: bool, loose: bool) -> Received:
        site, batch, ids, new = self._site, self._batch, list(self._ids), self._new
        until = site.clock() + PATIENCE

        def write(session: Session) -> list[BatchItem]:
            _hold(session, site, batch)
            if more:
                leases.leave_open(session, batch.id, self._holder, until)
            else:
                leases.close(session, batch.id, self._holder, left_open=loose)
            detail = {"items": len(ids), "new": new}
            if self._changed:  # or anyone could fill the chain
                audit_log.record(
                    session, self._principal, "batch.add", audit_log.name_of(batch), detail
                )
            query = select(BatchItem).where(BatchItem.batch_id == batch.id)
            return [one for one in session.scalars(query.order_by(BatchItem.id)) if one.id in there]

        there = set(ids)
        items = site.database.write(write)
        answered = all(item.state not in (WAITING, ARRIVING) for item in items)
        return Received(items=items, new=new, answered=answered)


def _unstored(session: Session, batch: Batch, ready: Sequence[_Ready]) -> list[_Ready]:
    """Those files whose bytes the batch needs: not of one that is there or has its result.

    Stored again, the picture as it came, texts and all, would lie there and no row would name it.
    """
    query = select(BatchFile.sha256).join(BatchItem, BatchFile.item_id == BatchItem.id)
    mine = BatchFile.batch_id == batch.id, BatchFile.sha256.in_([one.sha256 for one in ready])
    has_it = BatchFile.blob.is_not(None) | (BatchItem.state == DONE)
    there = set(session.scalars(query.where(*mine, ~is_void(), has_it)))
    return [one for one in ready if not one.error and one.sha256 not in there]


class _Desk:
    """Puts files into the items of a batch, within one transaction that holds the batch's lock.

    Attributes:
        new: how many items were made.
        changed: how many files were taken in, into new items or others.
    """

    def __init__(
        self, session: Session, batch: Batch, present: datetime, sha256: Sequence[str]
    ) -> None:
        self._session, self._batch, self._present = session, batch, present
        self.new = self.changed = 0
        query = select(BatchFile.sha256, BatchItem).join(BatchItem.files)
        here = query.where(BatchFile.batch_id == batch.id, BatchFile.sha256.in_(sha256))
        held = here.with_for_update(of=BatchItem)  # no replica ends one of them meanwhile
        self._known = {row.sha256: row.BatchItem for row in session.execute(held)}
        self._studies: dict[str, BatchItem] = {}

    def place(self, one: _Ready, blob: str | None) -> BatchItem:
        """The item of a file: the one it is in already, that of its series, or a new one."""
        item = self._known.get(one.sha256)
        self.changed += item is None or blob is not None
        if item is not None:
            return _again(item, one, blob, self._present)
        study = self._study(one.series) if one.series else None
        file = BatchFile(batch_id=self._batch.id, sha256=one.sha256, blob=blob)
        item = self._made(one, file) if study is None else self._joined(study, file)
        self._known[one.sha256] = item
        return item

    def _made(self, one: _Ready, file: BatchFile) -> BatchItem:
        state = FAILED if one.error else ARRIVING if one.series else WAITING
        item = BatchItem(batch_id=self._batch.id, name=one.name, state=state, error=one.error)
        item.series, item.created_at, item.files = one.series or None, self._present, [file]
        self._session.add(item)
        if one.series:
            self._session.flush()  # its further slices need its key
            self._studies[one.series] = item
        self.new += 1
        return item

    def _joined(self, item: BatchItem, file: BatchFile) -> BatchItem:
        if item.state != CANCELLED:  # what a person cancelled is tested when a person says so
            item.state, item.error, item.tries = ARRIVING, "", 0
        file.item_id, item.created_at = item.id, self._present
        self._session.add(file)
        return item

    def _study(self, series: str) -> BatchItem | None:
        """The item of that series which is not done; no replica can end it meanwhile."""
        if series not in self._studies:
            mine = BatchItem.batch_id == self._batch.id, BatchItem.series == series
            query = select(BatchItem).where(*mine, BatchItem.state != DONE)
            newest = query.order_by(BatchItem.id.desc()).limit(1).with_for_update()
            found = self._session.scalar(newest.execution_options(populate_existing=True))
            if found is None:
                return None
            self._studies[series] = found
        return self._studies[series]


def _again(item: BatchItem, one: _Ready, blob: str | None, present: datetime) -> BatchItem:
    """An item whose file was sent once more: it waits again if nothing is left of it."""
    if blob is None:
        return item
    item.created_at = present
    if item.void:
        item.state, item.error, item.tries = ARRIVING if item.series else WAITING, "", 0
    if item.state != DONE:  # also of a further slice, after the first let its series wait again
        next(file for file in item.files if file.sha256 == one.sha256).blob = blob
    return item


def _bundled(ready: Iterable[_Ready]) -> Iterator[list[_Ready]]:
    """Cut a stream into lists of a few files and a few bytes, each stored at one go."""
    together: list[_Ready] = []
    size = 0
    for one in ready:
        together.append(one)
        size += len(one.data)
        if len(together) >= _TOGETHER or size >= _TOGETHER_BYTES:
            yield together
            together, size = [], 0
    if together:
        yield together
