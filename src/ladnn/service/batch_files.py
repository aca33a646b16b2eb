"""The results of a batch to take away: a table, or an archive with predictions and overlays."""

import io
import itertools
import json
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from ladnn.csvs import csv_text
from ladnn.errors import ImageError
from ladnn.findings import LESIONS, RESEARCH_NOTICE
from ladnn.service import maps, views
from ladnn.service.context import Services
from ladnn.service.errors import NotFound
from ladnn.service.predictions import RETRACTED, is_whole
from ladnn.service.schemas import case_json
from ladnn.service.tables import Case
from ladnn.service.tables_batches import DONE, Batch, BatchItem
from ladnn.service.wording import harmless

HEAD = (
    "number",  # of the item, by which the archive names its files
    "name",
    "sha256",
    "files",
    "state",  # of the item, or "retracted" or "deleted" where its result was
    "error",
    "probability",
    "decision",
    "operating_point",
    *map(str, LESIONS),
    "too_few_examples",  # the lesions whose probability is not calibrated
    "assessable",  # how many of its images the guard let through
    "in_distribution",  # the least score of those, of all where it let none through
    "model",
    "page",
    "notice",
)
_AT_ONCE = 50  # items read from the database together


def table(site: Services, batch: Batch, base: str) -> Iterator[bytes]:
    """CSV in UTF-8, one line for each item in the order in which they came.

    `base` is the address of the site, for the links to the results' pages.
    """
    return _lines(site, batch, base, _count(site, batch))


def _lines(site: Services, batch: Batch, base: str, count: int) -> Iterator[bytes]:
    yield _csv([HEAD])
    numbers = itertools.count(1)
    for items in _items(site, batch, count):
        yield _csv(_row(next(numbers), item, base) for item in items)


def archive(site: Services, batch: Batch, base: str) -> Iterator[bytes]:
    """A zip archive, made while it is sent: the table, and each result as JSON with its overlay.

    Where the storage goes away meanwhile it raises StorageAway: what was sent is no archive then.
    """
    pipe, count = _Pipe(), _count(site, batch)
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as pack:
        with pack.open("results.csv", "w", force_zip64=True) as file:
            for piece in _lines(site, batch, base, count):
                file.write(piece)
        yield pipe.taken()
        numbers = itertools.count(1)
        for items in _items(site, batch, count):
            for item in items:
                number = next(numbers)
                if (case := _case(item)) is not None:
                    _add(site, pack, case, f"{number:05d}")
                    yield pipe.taken()
    yield pipe.taken()


def _add(site: Services, pack: zipfile.ZipFile, case: Case, name: str) -> None:
    pack.writestr(f"predictions/{name}.json", json.dumps(case_json(case), indent=2))
    shown = views.ranked(case)[0]  # as the page shows it
    try:
        sheet = maps.overlay_sheet(site, case, shown)
    except (NotFound, ImageError):  # its bytes were deleted a moment ago, or are none of an image
        return
    target = io.BytesIO()
    sheet.convert("RGB").save(target, "JPEG", quality=90)
    pack.writestr(f"overlays/{name}.jpg", target.getvalue())


class _Pipe(io.RawIOBase):
    """Holds what was written until it is taken."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401  # any buffer
        piece = bytes(data)
        self._held += piece
        return len(piece)

    def taken(self) -> bytes:
        """All of it, once."""
        piece = bytes(self._held)
        self._held.clear()
        return piece


def _count(site: Services, batch: Batch) -> int:
    mine = select(func.count()).where(BatchItem.batch_id == batch.id)
    return site.database.read(lambda session: session.scalar(mine)) or 0


def _items(site: Services, batch: Batch, count: int) -> Iterator[list[BatchItem]]:
    """All items, some at a time; NotFound where there are less than `count` by then.

    What was sent breaks off, rather than to be taken for the whole of a batch that was deleted.
    """
    last, left = 0, count
    while True:

        def look(session: Session, after: int = last) -> list[BatchItem]:
            query = select(BatchItem).where(BatchItem.batch_id == batch.id, BatchItem.id > after)
            query = query.options(
                selectinload(BatchItem.files),
                selectinload(BatchItem.case).selectinload(Case.images),
            )
            return list(session.scalars(query.order_by(BatchItem.id).limit(_AT_ONCE)))

        items = site.database.read(look)
        if not items and left > 0:
            raise NotFound
        if not items:
            return
        yield items
        last, left = items[-1].id, left - len(items)


def _case(item: BatchItem) -> Case | None:
    """The result of an item; None also of one that is deleted just now."""
    return item.case if item.case is not None and is_whole(item.case) else None


def _row(number: int, item: BatchItem, base: str) -> list[object]:
    head = [number, item.name, " ".join(file.sha256 for file in item.files), len(item.files)]
    case = _case(item)
    head += [_state(item, case), item.error]
    if case is None:
        return [*head, *[""] * (len(HEAD) - len(head) - 1), RESEARCH_NOTICE]
    said = case.study or case.images[0].prediction
    lesions = said["lesions"] or {}
    judged = [image for image in case.images if image.prediction["in_distribution"]["ok"]]
    score = min(image.score for image in judged or case.images)
    return [
        *head,
        case.probability,
        case.decision,
        case.operating_point,
        *(lesions.get(lesion, "") for lesion in LESIONS),
        " ".join(name for name, known in case.card["calibrated"].items() if not known),
        len(judged),
        score,
        f"{case.model_name} {case.model_version}",
        f"{base}/results/{case.share_token}",
        RESEARCH_NOTICE,
    ]


def _state(item: BatchItem, case: Case | None) -> str:
    """The item's own, or what became of its result."""
    if item.state != DONE:
        return item.state
    return "deleted" if case is None else RETRACTED if case.state == RETRACTED else DONE


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    return csv_text(
        [harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    ).encode()
