"""The interface for programs: batches."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Path, Query, Request, Response, UploadFile

from ladnn.service import batch_intake, batches, downloads
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Admitted, Principal, requires
from ladnn.service.context import services
from ladnn.service.incoming import Incoming
from ladnn.service.paging import Limit, Offset, page
from ladnn.service.routes.api_predictions import router as predictions
from ladnn.service.schemas_batches import (
    ITEMS_SHOWN,
    BatchesOut,
    BatchOut,
    Digests,
    ItemsOut,
    ReceivedOut,
    batch_json,
    item_json,
)
from ladnn.service.tables_batches import Batch

router = APIRouter(prefix="/api/v1/batches", tags=["batches"], responses=predictions.responses)

Tester = Annotated[Principal, Depends(requires(Permission.TEST))]
Reader = Annotated[Principal, Depends(requires(Permission.READ_CASE))]
Owner = Annotated[Principal, Depends(requires(Permission.CHANGE_CASE))]
Id = Annotated[str, Path(max_length=40)]


@router.post("", status_code=201, response_model=BatchOut, summary="Begin a batch")
def create(request: Request, response: Response, principal: Tester) -> dict[str, Any]:
    """Make an empty batch; files are sent to its items."""
    batch = batches.begin(services(request), principal)
    response.headers["location"] = f"/api/v1/batches/{batch.public_id}"
    return batch_json(batch, batches.Progress())


@router.get("", response_model=BatchesOut, summary="List one's batches")
def index(
    request: Request, principal: Reader, limit: Limit = 50, offset: Offset = 0
) -> dict[str, Any]:
    """Give the batches of whoever asks; a program without a key has none it could list."""
    found, total = services(request).database.read(
        lambda session: batches.owned(session, principal, limit=limit, offset=offset)
    )
    items = [batch_json(batch, progress) for batch, progress in found]
    return page("batches", items, "/api/v1/batches", limit=limit, offset=offset, total=total)


@router.get("/{id}", response_model=BatchOut, summary="Read how far a batch is")
def read(request: Request, principal: Reader, id: Id) -> dict[str, Any]:  # noqa: A002
    """Give the batch with how many of its items wait, are done or failed."""
    return _state(request, principal, id)


@router.delete("/{id}", status_code=204, summary="Delete a batch")
def delete(request: Request, principal: Owner, id: Id) -> Response:  # noqa: A002
    """Delete the batch, its results and its images for good."""
    batches.remove(services(request), principal, id)
    return Response(status_code=204)


@router.post(
    "/{id}/items",
    status_code=201,
    response_model=ReceivedOut,
    responses={
        200: {"model": ReceivedOut, "description": "All of it was there before, and is answered"},
        202: {"model": ReceivedOut, "description": "Kept; some of it still waits to be tested"},
    },
    summary="Send files",
)
def add(
    request: Request,
    response: Response,
    principal: Tester,
    _: Admitted,
    id: Id,  # noqa: A002
    file: Annotated[list[UploadFile], File(description="An image, a zip, or several of them")],
    more: Annotated[bool, Query(description="Whether slices of these series follow")] = False,
) -> dict[str, Any]:
    """Take files into the batch: one image is answered at once, anything more waits its turn.

    An image that cannot be read becomes an item that failed, with its reason. DICOM files of one
    series become one item, those of further requests too until it is done; with `more` it is not
    tested before a request with files outside an archive comes without, or an hour passed. The
    same bytes are in a batch once.
    """
    incoming = [Incoming(name=one.filename, file=one.file) for one in file if one.filename]
    batch = _find(request, principal, id)
    received = batch_intake.receive(services(request), principal, batch, incoming, more=more)
    if received.new < len(received.items):  # what is answered again is looked at
        batches.look(services(request), principal, id)
    response.status_code = 202 if not received.answered else 201 if received.new else 200
    shown = _listed(request, batch, [item.id for item in received.items[:ITEMS_SHOWN]])
    return {"received": len(received.items), "new": received.new, "items": shown}


@router.get("/{id}/items", response_model=ItemsOut, summary="Read the worklist")
def items(
    request: Request,
    principal: Reader,
    id: Id,  # noqa: A002
    sort: Annotated[str, Query(json_schema_extra={"enum": list(batches.SORTS)})] = "arrival",
    show: Annotated[str, Query(json_schema_extra={"enum": ["", *batches.SHOWN]})] = "",
    limit: Limit = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Give a page of the items, the most suspicious first with `sort=probability`."""
    view = batches.View(sort=sort, show=show, limit=limit, offset=offset)
    batch = batches.look(services(request), principal, id)
    found = services(request).database.read(lambda session: batches.items(session, batch, view))
    path, query = f"/api/v1/batches/{batch.public_id}/items", f"sort={sort}&show={show}&"
    return page(
        "items",
        _json(found),
        path,
        limit=limit,
        offset=offset,
        total=found.total,
        query=query,
    )


@router.get(
    "/{id}/results.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
    summary="Download the table",
)
def as_csv(request: Request, principal: Reader, id: Id) -> Response:  # noqa: A002
    """Give the worklist as CSV in UTF-8, a line for each item in the order in which they came."""
    return downloads.table(request, principal, id)


@router.get(
    "/{id}/results.zip",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
    summary="Download the archive",
)
def as_zip(request: Request, principal: Reader, id: Id) -> Response:  # noqa: A002
    """Give the table, and every result as JSON with its overlay."""
    return downloads.archive(request, principal, id)


@router.post("/{id}/missing", response_model=Digests, summary="Ask what has to be sent")
def missing(
    request: Request,
    principal: Reader,
    id: Id,  # noqa: A002
    digests: Digests,
) -> dict[str, Any]:
    """Of these sha256, give those that the batch does not have: after a lost connection."""
    batch = _find(request, principal, id)
    return {
        "sha256": services(request).database.read(
            lambda session: batches.missing(session, batch, digests.sha256)
        )
    }


@router.post("/{id}/cancel", response_model=BatchOut, summary="Cancel what waits")
def cancel(request: Request, principal: Owner, id: Id) -> dict[str, Any]:  # noqa: A002
    """Test nothing more of what waits; results that are there stay."""
    batches.cancel(services(request), principal, id)
    return _state(request, principal, id)


@router.post("/{id}/retry", response_model=BatchOut, summary="Try again")
def retry(request: Request, principal: Owner, id: Id) -> dict[str, Any]:  # noqa: A002
    """Let what failed or was cancelled wait again; a file that could not be read is sent anew."""
    batches.retry(services(request), principal, id)
    return _state(request, principal, id)


def _find(request: Request, principal: Principal, public_id: str) -> Batch:
    return services(request).database.read(
        lambda session: batches.find(session, principal, public_id)
    )


def _state(request: Request, principal: Principal, public_id: str) -> dict[str, Any]:
    batch = batches.look(services(request), principal, public_id)
    progress = services(request).database.read(lambda session: batches.progress(session, batch))
    return batch_json(batch, progress)


def _listed(request: Request, batch: Batch, ids: list[int]) -> list[dict[str, Any]]:
    return _json(
        services(request).database.read(lambda session: batches.by_keys(session, batch, ids))
    )


def _json(found: batches.Listed) -> list[dict[str, Any]]:
    return [item_json(item, found.numbers[item.id]) for item in found.items]
