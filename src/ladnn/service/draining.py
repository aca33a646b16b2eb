"""The thread of every replica that takes up what waits in batches, until nothing waits."""

import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.orm import Session

from ladnn.errors import ImageError, LadnnError
from ladnn.service import blobs, leases, predictions
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.errors import (
    BadRequest,
    DatabaseAway,
    NotFound,
    StorageAway,
    StorageFull,
)
from ladnn.service.logs import cause, log
from ladnn.service.tables_batches import BatchItem

PAUSE = 0.5  # seconds between looks while nothing waits, or while what is needed is away
AT_ONCE = 2  # items under way in one replica; decoding of one and the network of another overlap
_AWAY = (DatabaseAway, StorageAway, StorageFull)


class Drainer:
    """Works on batches in the background; made once for each process."""

    def __init__(self, site: Services) -> None:
        self._site = site
        self._holder = secrets.token_urlsafe(18)
        self._mine: set[int] = set()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=work.__name__, daemon=True)
            for work in (self._drain, self._renew)
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the items under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def step(self) -> int:
        """Take up a few items and answer them; how many there were."""
        site, present = self._site, self._site.clock()
        if not site.database.read(lambda session: leases.any_free(session, present)):
            return 0

        def take(session: Session) -> list[BatchItem]:
            return leases.claim(session, self._holder, present, 2 * AT_ONCE)

        items = site.database.write(take)
        self._mine.update(item.id for item in items)
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._answer, items))
        finally:
            self._mine.clear()
        return len(items)

    def _drain(self) -> None:
        worked = 0
        while not self._stop.wait(0 if worked else PAUSE):
            try:
                worked = self.step()
            except Exception as error:  # the database is away, or worse: the next look may do
                worked = 0
                log().warning("batch", cause=cause(error))

    def _renew(self) -> None:
        while not self._stop.wait(leases.RENEWAL.total_seconds()):
            self._renew_once()

    def _renew_once(self) -> None:
        mine, present = list(self._mine), self._site.clock()
        if not mine:
            return
        try:
            self._site.database.write(
                lambda session: leases.renew(session, self._holder, mine, present)
            )
        except Exception as error:  # the leases run out, and somebody takes the items up again
            log().warning("lease", cause=cause(error))

    def _answer(self, item: BatchItem) -> None:
        """Answer one item, or leave it to its next turn."""
        if self._stop.is_set():
            self._give_back(item)
            return
        try:
            self._assess(item)
        except leases.LeaseLostError:
            return
        except _AWAY as error:
            log().warning("batch", cause=cause(error))
            self._give_back(item)
            self._stop.wait(PAUSE)
        except Exception as error:  # it is tried again when its lease has run out, a few times
            log().error("batch", exc_info=error)

    def _assess(self, item: BatchItem) -> None:
        site, freed = self._site, list[str]()
        try:
            if item.tries > leases.TRIES:
                raise BadRequest("batch.given_up", tries=leases.TRIES)
            owner = Principal(role=Role(item.batch.role), owner=item.batch.owner)
            uploads = _uploads(site, item)

            def end(session: Session, case_id: int) -> None:
                freed[:] = leases.settle(session, self._holder, item.id, case_id=case_id)

            predictions.assess(site, owner, uploads, also=end)
        except (ImageError, BadRequest, NotFound) as error:
            sentence = english(site, error)
            site.database.write(
                lambda session: leases.settle(session, self._holder, item.id, error=sentence)
            )
        blobs.release(site.database, site.blobs, freed)

    def _give_back(self, item: BatchItem) -> None:
        try:
            self._site.database.write(
                lambda session: leases.give_back(session, self._holder, [item.id])
            )
        except LadnnError:
            return  # the lease runs out by itself


def english(site: Services, error: LadnnError) -> str:
    """The sentence of an error, as it is kept: what is kept has one language."""
    if isinstance(error, BadRequest | NotFound):
        return site.catalogues.say("en", error.key, **error.values)
    return str(error)


def _uploads(site: Services, item: BatchItem) -> Sequence[predictions.Upload]:
    uploads, size = [], 0
    for file in item.files:
        if file.blob is None:  # a slice of a series that was sent again in part
            raise BadRequest("batch.file_gone")
        try:
            data = site.blobs.get(file.blob)
        except NotFound as error:
            raise BadRequest("batch.file_gone") from error
        size += len(data)
        if size > predictions.SERIES_BYTES:
            raise BadRequest("batch.large_series", limit=predictions.SERIES_BYTES >> 20)
        uploads.append(predictions.Upload(name=item.name, data=data, came_as=file.sha256))
    return uploads
