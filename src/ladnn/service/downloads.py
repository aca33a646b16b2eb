"""What is taken away of a result or a batch: report and overlay, table and archive."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ladnn.service import audit_log, batch_files, batches, maps, views
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import services
from ladnn.service.tables import Case
from ladnn.service.tables_batches import Batch


def overlay(request: Request, case: Case, position: int | None) -> Response:
    """The sheet with an image and its maps; `position` None is the most suspicious slice."""
    sheet = maps.overlay_png(services(request), case, views.image_at(case, position))
    return of_case(sheet, "image/png", case, "png")


def report(request: Request, case: Case, position: int | None) -> Response:
    """One page to print, with that image; `position` None is the most suspicious slice."""
    page = views.report(request, case, views.image_at(case, position))
    return of_case(page, "application/pdf", case, "pdf")


def of_case(body: bytes, media_type: str, case: Case, ending: str) -> Response:
    """A file of a result."""
    headers = _attached(f"ladnn-{case.share_token[:8]}.{ending}")
    return Response(body, media_type=media_type, headers=headers)


def table(request: Request, principal: Principal, public_id: str) -> Response:
    """The worklist of a batch as CSV; noted in the audit log."""
    batch = _taken(request, principal, public_id)
    pieces = batch_files.table(services(request), batch, views.public_link(request, ""))
    return _of_batch(pieces, "text/csv; charset=utf-8", batch, "csv")


def archive(request: Request, principal: Principal, public_id: str) -> Response:
    """Every result of a batch as JSON, with its overlay, as ZIP; noted in the audit log.

    Raises StorageAway before anything is sent where the images cannot be read.
    """
    services(request).blobs.check()
    batch = _taken(request, principal, public_id)
    pieces = batch_files.archive(services(request), batch, views.public_link(request, ""))
    drawn = services(request).drawings.one_by_one(pieces)
    return _of_batch(drawn, "application/zip", batch, "zip")


def _taken(request: Request, principal: Principal, public_id: str) -> Batch:
    find = partial(batches.find, principal=principal, public_id=public_id)
    return audit_log.look(services(request).database, find, principal, "batch.download")


def _of_batch(
    pieces: Iterator[bytes] | AsyncIterator[bytes], media_type: str, batch: Batch, ending: str
) -> Response:
    headers = _attached(f"ladnn-batch-{batch.public_id[:8]}.{ending}")
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
